"""A graph as plain nested tuples, without what a rewritten file may change: offsets and the file's size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        names = [f.name for f in dataclasses.fields(value) if f.name not in ("offset", "size")]
        return (type(value).__name__, *((name, plain(getattr(value, name))) for name in names))
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    if isinstance(value, Mapping):
        return tuple(sorted((key, plain(item)) for key, item in value.items()))
    if isinstance(value, tuple | list):
        return tuple(plain(item) for item in value)
    return value
