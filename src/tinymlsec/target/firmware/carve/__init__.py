"""Carving: models in firmware images, plain, under trivial keys, compressed or compiled in; and what else is there."""
