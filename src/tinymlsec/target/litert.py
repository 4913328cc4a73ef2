"""LiteRT in worker processes: the runtime of PCs and phones beside that of microcontrollers."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.oracle_launch import search_path
from tinymlsec.target.oracle_limits import Limits

ENTRIES = {"xnnpack": "main", "ruy": "main_without_delegate"}
"""Profiles of rounding that LiteRT itself can show, and the worker's entry point for each."""


def litert_available() -> bool:
    """Whether LiteRT is installed (extra ``litert``), without importing it."""
    return find_spec("ai_edge_litert") is not None


def litert_command(profile: str) -> list[str]:
    """How to start a worker with LiteRT: isolated from user site, environment and current folder.

    Args:
        profile: xnnpack or ruy.
    """
    boot = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); sys.path += json.loads(sys.argv[2]); "
        f"from tinymlsec.target.litert_worker import {ENTRIES[profile]} as run; run(sys.argv[3])"
    )
    root = str(Path(__file__).resolve().parents[2])
    paths = search_path(("numpy", "ai_edge_litert", "flatbuffers", "tqdm", "typing_extensions"))
    return [sys.executable, "-I", "-B", "-c", boot, root, json.dumps(paths)]


def litert_pool(profile: str, workers: int = 1, limits: Limits | None = None) -> OraclePool:
    """A pool of workers with LiteRT; used like the oracle.

    Args:
        profile: xnnpack (LiteRT's default) or ruy (its own kernels).
        workers: processes.
        limits: memory, times and sizes.
    """
    return OraclePool(workers, limits, command=litert_command(profile))
