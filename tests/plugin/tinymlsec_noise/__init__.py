"""An example plug-in for tinymlsec."""
