"""Two scans, or two assessments: what is new, what is gone, and what changed."""
