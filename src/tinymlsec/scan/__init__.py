"""The scanner: files in, findings out; what it finds comes from `tinymlsec.rules`."""
