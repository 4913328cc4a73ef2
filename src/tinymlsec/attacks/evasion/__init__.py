"""Evasion: inputs that the model answers wrongly."""
