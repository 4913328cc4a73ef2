"""Attacks: one file each. The docstring of the decorated function is the documentation page."""
