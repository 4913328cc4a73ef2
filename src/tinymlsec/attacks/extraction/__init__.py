"""Extraction: what an attacker learns of the model."""
