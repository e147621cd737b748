"""The study's report: numbers from `analysis`, drawn here; one list of sections becomes the page, the PDF and the files."""
