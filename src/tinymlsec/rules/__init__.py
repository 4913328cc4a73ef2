"""Static checks on model files, firmware images and products: one rule family a file, stable ids, no torch."""
