"""Statistics that several attacks share: one idea a file."""
