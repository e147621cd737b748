"""The pages of a person who works with a running method."""
