"""Measurements; see README.md. Not collected by pytest."""
