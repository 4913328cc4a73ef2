"""Where this tool keeps what is costly to make again: trained models, builds."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def cache_folder() -> Path:
    """TINYMLSEC_CACHE, else XDG_CACHE_HOME/tinymlsec, else .cache/tinymlsec in the home folder."""
    if own := os.environ.get("TINYMLSEC_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tinymlsec"


def made_ours(folder: Path) -> bool:
    """Makes a folder where it is missing; whether it can be written, and by nobody else.

    What lies in it is loaded and linked, so a folder that belongs to somebody else is none to use.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError:
        return False
    others = hasattr(os, "getuid") and (status.st_uid != os.getuid() or bool(status.st_mode & stat.S_IWOTH))
    return not others and os.access(folder, os.W_OK | os.X_OK)
