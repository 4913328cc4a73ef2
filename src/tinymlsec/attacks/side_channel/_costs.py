"""Sums over traces for the likelihood of guesses, in C: the inner loop of the weight extraction."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS = {"hw_sum": 0, "hd_sum": 1, "hw_product": 2, "hw_weight": 3}
"""Features by their number in _costs.c."""


def sums_over_traces(
    feature: str,
    sums: NDArray[np.int32],
    factor: NDArray[np.int32],
    guesses: NDArray[np.int32],
    rest: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the likelihood of every guess after every path needs.

    Args:
        feature: one of `KINDS`.
        sums: (p, n) before the step, of each path.
        factor: (n,) that the weight is multiplied with.
        guesses: (g,) weights.
        rest: (n,) measured minus level.

    Returns:
        Sum of the squares of the feature, and sum of feature times rest: (p, g) each.
    """
    paths = np.ascontiguousarray(sums, np.int32)
    columns = [np.ascontiguousarray(factor, np.int32), np.ascontiguousarray(guesses, np.int32)]
    measured = np.ascontiguousarray(rest, np.float32)
    n = len(measured)
    if paths.shape[1] != n or len(columns[0]) != n:
        raise ValueError(f"{paths.shape[1]} sums, {len(columns[0])} factors and {n} samples do not belong together")
    square, cross = (np.empty((len(paths), len(columns[1]))) for _ in range(2))
    count = ctypes.c_uint64
    _library().tms_costs(
        KINDS[feature], _pointer(paths), count(n), count(len(paths)), _pointer(columns[0]), _pointer(columns[1]),
        count(len(columns[1])), _pointer(measured), count(n), _pointer(square), _pointer(cross),
    )  # fmt: skip
    return square, cross


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@cache
def _library() -> ctypes.CDLL:
    from tinymlsec.emulate.toolchain import build_host_library

    source = Path(__file__).with_name("_costs.c").read_text(encoding="ascii")
    return ctypes.CDLL(str(build_host_library({"costs.c": source}, name="tms_costs")))
