"""The report of a contest on several data sets."""
