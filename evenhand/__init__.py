"""Evenhand: a laboratory where people and optimizers tune the same task on equal terms."""

__version__ = "0.1.0"
