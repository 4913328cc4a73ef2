"""tinymlsec: security assessment of machine learning on microcontrollers."""

from __future__ import annotations

__version__ = "0.1.0"
