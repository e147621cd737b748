"""The report of a comparison of contestants."""
