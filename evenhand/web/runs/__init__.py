"""The practitioner's pages: all runs."""
