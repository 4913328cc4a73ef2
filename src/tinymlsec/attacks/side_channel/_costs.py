"""Sums over traces for the likelihood of guesses, in C: the inner loop of the weight extraction."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._features import loaded_word

KINDS = {"hw_sum": 0, "hd_sum": 1, "hw_product": 2, "hw_weight": 3, "hw_hd_sum": 4}
"""Features by their number in _costs.c."""


class Sums(NamedTuple):
    """Over all traces, (p, g) each."""

    total: NDArray[np.float64]
    """Sum of the feature."""
    square: NDArray[np.float64]
    """Of its squares."""
    cross: NDArray[np.float64]
    """Of its products with what was measured."""


def sums_over_traces(
    feature: str,
    sums: NDArray[np.int32],
    factors: NDArray[np.int32],
    guesses: NDArray[np.int32],
    rest: NDArray[np.float32],
    starts: NDArray[np.int32] | None = None,
) -> Sums:
    """What the likelihood of every guess after every path needs.

    Args:
        feature: one of `KINDS`.
        sums: (p, n) before the step, of each path.
        factors: (n, 1) or (n, 2) that the weights of the step are multiplied with.
        guesses: (g, 1) or (g, 2) weights.
        rest: (n,) measured minus level.
        starts: (g,) what each guess takes the register to have held before everything else; nothing by default.
    """
    paths, measured = np.ascontiguousarray(sums, np.int32), np.ascontiguousarray(rest, np.float32)
    n, each = len(measured), guesses.shape[1]
    if paths.shape[1] != n or factors.shape != (n, each) or each not in (1, 2):
        raise ValueError(f"sums {paths.shape}, factors {factors.shape}, guesses {guesses.shape} and {n} samples differ")
    loaded = loaded_word(np.ascontiguousarray(guesses, np.int32))
    columns, guessed = np.ascontiguousarray(_paired(factors).T), _paired(guesses)
    begun = np.zeros(len(guesses), np.int32) if starts is None else np.ascontiguousarray(starts, np.int32)
    made = Sums(*(np.empty((len(paths), len(guesses))) for _ in range(3)))
    count = ctypes.c_uint64
    _library().tms_costs(
        KINDS[feature], _pointer(paths), count(len(paths)), _pointer(columns), _pointer(guessed),
        _pointer(begun), _pointer(loaded), count(len(guesses)), _pointer(measured), count(n), _pointer(made.total),
        _pointer(made.square), _pointer(made.cross),
    )  # fmt: skip
    return made


def _paired(columns: NDArray[np.int32]) -> NDArray[np.int32]:
    """(n, 2), the second column zero where there is only one."""
    if columns.shape[1] == 1:
        columns = np.concatenate([columns, np.zeros_like(columns)], axis=1)
    return np.ascontiguousarray(columns, np.int32)


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@cache
def _library() -> ctypes.CDLL:
    from tinymlsec.emulate.toolchain import build_host_library, wide_vectors

    source = Path(__file__).with_name("_costs.c").read_text(encoding="ascii")
    return ctypes.CDLL(str(build_host_library({"costs.c": source}, name="tms_costs", extra_flags=wide_vectors())))
