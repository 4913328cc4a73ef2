"""Faults: what changed bits and disturbed instructions do."""
