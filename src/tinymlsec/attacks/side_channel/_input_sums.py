"""Likelihood of guessed input values from the sums that they lead to, in C: the inner loop of input recovery."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS = {"weight": 0, "distance": 1, "both": 2}
"""What a sample shows of a sum, by its number in _input_sums.c."""
STEPS = 64
"""Fixed point of measured values: a 64th of a bit, far below any noise that matters."""
LARGEST = 1 << 14
"""Magnitude to which they are clipped, so that no sum overflows: 256 bits."""


def fixed(rest: NDArray[np.floating]) -> NDArray[np.int32]:
    """Measured values in units of 1 / `STEPS`."""
    whole: NDArray[np.int32] = np.clip(np.rint(rest * STEPS), -LARGEST, LARGEST).astype(np.int32)
    return whole


def sum_costs(
    kind: str, before: NDArray[np.int32], factors: NDArray[np.int32], rest: NDArray[np.int32],
    guesses: NDArray[np.int32],
) -> NDArray[np.float64]:  # fmt: skip
    """Squared distance of measured and expected values, without what all guesses share.

    Args:
        kind: one of `KINDS`.
        before: (p, n) sums of each path.
        factors: (n,) that a guess is multiplied with.
        rest: (n,) from `fixed`: measured less the level, for a gain of one.
        guesses: (g,) values.

    Returns:
        (p, g) sum over n of seen^2 - 2 * seen * rest.
    """
    paths, n = before.shape
    if factors.shape != (n,) or rest.shape != (n,):
        raise ValueError(f"sums {before.shape}, factors {factors.shape} and measured values {rest.shape} differ")
    arrays = [np.ascontiguousarray(array, np.int32) for array in (before, factors, rest, guesses)]
    first, second, third, fourth = (array.ctypes.data_as(ctypes.c_void_p) for array in arrays)
    costs, count = np.empty((paths, len(guesses))), ctypes.c_uint64
    _library().tms_input_costs(
        KINDS[kind], first, count(paths), second, third, count(n), fourth, count(len(guesses)),
        costs.ctypes.data_as(ctypes.c_void_p),
    )  # fmt: skip
    return costs


@cache
def _library() -> ctypes.CDLL:
    from tinymlsec.emulate.toolchain import build_host_library

    source = Path(__file__).with_name("_input_sums.c").read_text(encoding="ascii")
    flags = ("-O3",)
    return ctypes.CDLL(str(build_host_library({"input_sums.c": source}, name="tms_input_sums", extra_flags=flags)))
