"""Threats that cannot be run on a desk, judged by rules on files, images and declared facts."""
