"""Simulated participants walk the real pages."""
