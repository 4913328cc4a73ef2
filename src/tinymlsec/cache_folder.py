"""Where this tool keeps what is costly to make again: trained models, builds."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """TINYMLSEC_CACHE, else XDG_CACHE_HOME/tinymlsec, else .cache/tinymlsec in the home folder."""
    if own := os.environ.get("TINYMLSEC_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tinymlsec"
