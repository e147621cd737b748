"""A study's file, its checks and what surrounds it until it goes live."""
