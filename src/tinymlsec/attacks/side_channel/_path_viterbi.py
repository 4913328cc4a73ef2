"""Follows a program through the samples of one trace: the likeliest sequence of instructions.

A. J. Viterbi, "Error Bounds for Convolutional Codes and an Asymptotically Optimum Decoding Algorithm", IEEE
Transactions on Information Theory 13(2), 1967; hidden Markov models of programs by T. Eisenbarth, C. Paar,
B. Weghenkel, "Building a Side Channel Based Disassembler", Transactions on Computational Science X, 2010.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import MachineError

VALUES = 256
"""Values that a sample may have."""
BEAM, MOST = 60.0, 500
"""Nats behind the best way, and number of ways, up to which others are followed."""
MOST_STATES = 1 << 16


@dataclass(frozen=True)
class Graph:
    """What may run after what, and what it looks like."""

    first: NDArray[np.int32]
    """(states + 1,) where the ways on from each state begin."""
    next: NDArray[np.int32]
    """(ways,) states."""
    cost: NDArray[np.float32]
    """(ways,) log-probabilities."""
    emission: NDArray[np.float32]
    """(VALUES, states) log-probability of each value of a sample."""
    start: int
    """State ahead of the first sample."""

    @property
    def states(self) -> int:
        """Their number."""
        return len(self.first) - 1


def follow(graph: Graph, samples: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The likeliest sequence of states.

    Args:
        graph: the program.
        samples: (t,) at least one.

    Returns:
        (t,) state of each sample.

    Raises:
        MachineError: too many states, or a state that leads nowhere.
    """
    if graph.states > MOST_STATES or graph.emission.shape != (VALUES, graph.states):
        raise MachineError("a graph", found=f"{graph.states} states", expected=f"at most {MOST_STATES}")
    samples = np.ascontiguousarray(samples, np.uint8)
    arrays = (
        np.ascontiguousarray(graph.emission, np.float32), np.ascontiguousarray(graph.first, np.int32),
        np.ascontiguousarray(graph.next, np.int32), np.ascontiguousarray(graph.cost, np.float32),
    )  # fmt: skip
    path = np.zeros(len(samples), np.uint16)
    result = _library().tms_path(
        _pointer(samples), ctypes.c_uint64(len(samples)), ctypes.c_uint32(graph.states), *map(_pointer, arrays),
        ctypes.c_uint32(graph.start), ctypes.c_uint32(MOST), ctypes.c_float(BEAM), _pointer(path),
    )  # fmt: skip
    if result:
        raise MachineError("the trace cannot be followed", found="no memory" if result == 1 else "a dead end")
    return path


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@cache
def _library() -> ctypes.CDLL:
    from tinymlsec.emulate.toolchain import build_host_library

    source = Path(__file__).with_name("_path.c").read_text(encoding="ascii")
    return ctypes.CDLL(str(build_host_library({"path.c": source}, name="tms_path", extra_flags=("-O3",))))
