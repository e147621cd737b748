"""The pages of a participant."""
