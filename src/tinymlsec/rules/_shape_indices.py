"""Constant indices: of gathers and scatters, of segments, of look-ups."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.rules._relative import Effect
from tinymlsec.rules._shape_values import ShapeFault
from tinymlsec.rules._sites import Site

Check = Callable[[Site], ShapeFault | None]

GATHERS = ("CVE-2021-37687", "CVE-2022-35937", "CVE-2022-35938")
SEGMENTS = {"negative": "CVE-2020-15212", "large": "CVE-2020-15213", "unsorted": "CVE-2020-15214"}
MAX_SEGMENTS = 1 << 20
"""Segments that a model for a microcontroller or phone can mean; each is a row of output that hosts allocate."""


def _outside(site: Site, position: int, values: NDArray[np.int64], size: int, cve: tuple[str, ...], write: bool = False
             ) -> ShapeFault | None:  # fmt: skip
    bad = np.flatnonzero((values < 0) | (values >= size))
    if not bad.size:
        return None
    place, effect = int(bad[0]), Effect.WRITE if write else Effect.READ
    return _index("SHAPE-10", position, place, int(values[place]), size, cve, effect)


def gather(site: Site) -> ShapeFault | None:
    """GATHER: indices along the axis."""
    shape, indices, axis = site.shape(0), site.ints(1), site.option("axis")
    if shape is None or indices is None or axis is None or not -len(shape) <= axis < len(shape):
        return None
    return _outside(site, 1, indices, shape[axis], GATHERS[:1])


def _tuples(site: Site, position: int, shape: tuple[int, ...], cve: tuple[str, ...], write: bool) -> ShapeFault | None:
    indices, dims = site.ints(position), site.shape(position)
    if indices is None or not dims or not 1 <= dims[-1] <= len(shape) or not indices.size:
        return None
    bounds = np.array(shape[: dims[-1]], np.int64)
    rows = indices.reshape(-1, dims[-1])
    bad = np.flatnonzero(((rows < 0) | (rows >= bounds)).reshape(-1))
    if not bad.size:
        return None
    size = shape[int(bad[0]) % dims[-1]]
    steps = np.array([prod(shape[axis + 1 : dims[-1]]) for axis in range(dims[-1])], np.int64)
    flat = rows @ steps  # what kernels compute, and the only thing that some of them check
    beyond = np.flatnonzero((flat < 0) | (flat >= prod(shape[: dims[-1]])))
    if not beyond.size:
        return _index("SHAPE-17", position, int(bad[0]), int(indices[bad[0]]), size, (), Effect.WRONG)
    place = next(int(each) for each in bad if each // dims[-1] in beyond)
    effect = Effect.WRITE if write else Effect.READ
    return _index("SHAPE-10", position, place, int(indices[place]), shape[place % dims[-1]], cve, effect)


def _index(
    rule: str, position: int, place: int, found: int, size: int, cve: tuple[str, ...], effect: Effect
) -> ShapeFault:
    message = f"has the index {found} at element {place} of input {position}; expected 0 to {size - 1}"
    return ShapeFault(rule, message, cve, effect, position, place)


def gather_nd(site: Site) -> ShapeFault | None:
    """GATHER_ND: rows of indices into the leading dimensions."""
    shape = site.shape(0)
    return None if shape is None else _tuples(site, 1, shape, GATHERS, write=False)


def scatter_nd(site: Site) -> ShapeFault | None:
    """SCATTER_ND: rows of indices into the shape of input 2, whose product must stay below 2^31."""
    shape = site.ints(2, 64)
    if shape is None:
        return None
    if (shape < 0).any() or prod(max(int(size), 1) for size in shape) > 2**31 - 1:
        message = f"scatters into the shape {shape.tolist()}; expected sizes of 0 or more and fewer than 2^31 elements"
        return ShapeFault("SHAPE-05", message, ("CVE-2022-35939",), Effect.WRITE, 2)
    return _tuples(site, 0, tuple(int(size) for size in shape), ("CVE-2022-35939",), write=True)


def embedding_lookup(site: Site) -> ShapeFault | None:
    """EMBEDDING_LOOKUP: row numbers."""
    rows, ids = site.shape(1), site.ints(0)
    return None if not rows or ids is None else _outside(site, 0, ids, rows[0], ())


def embedding_lookup_sparse(site: Site) -> ShapeFault | None:
    """EMBEDDING_LOOKUP_SPARSE: the dense shape times a row of the table must stay below 2^31."""
    dense, table = site.ints(2, 64), site.shape(4)
    if dense is None or table is None or dense.size == 0:
        return None
    elements = prod(max(int(size), 1) for size in dense[:-1]) * prod(size or 1 for size in table[1:])
    if (dense >= 0).all() and elements <= 2**31 - 1:
        return None
    message = f"has the dense shape {dense[:8].tolist()} and makes {elements:,} elements; expected fewer than 2^31"
    return ShapeFault("SHAPE-05", message, ("CVE-2022-23559",), Effect.WRITE, 2)


def segment_sum(site: Site) -> ShapeFault | None:
    """SEGMENT_SUM: segment numbers that are sorted, not negative, and no more than make sense."""
    ids = site.ints(1)
    if ids is None or not ids.size:
        return None
    kind, place = "", 0
    if (ids < 0).any():
        kind, place = "negative", int(np.flatnonzero(ids < 0)[0])
    elif (np.diff(ids) < 0).any():
        kind, place = "unsorted", int(np.flatnonzero(np.diff(ids) < 0)[0]) + 1
    elif int(ids[-1]) >= MAX_SEGMENTS:
        kind, place = "large", ids.size - 1
    if not kind:
        return None
    message = f"has the {kind} segment number {int(ids[place])} at element {place}; expected sorted ones from 0"
    effect = Effect.ABORT if kind == "large" else Effect.WRITE
    return ShapeFault("SHAPE-11", message, (SEGMENTS[kind],), effect, 1, place)


INDEX_CHECKS: dict[str, tuple[Check, ...]] = {
    "GATHER": (gather,),
    "GATHER_ND": (gather_nd,),
    "SCATTER_ND": (scatter_nd,),
    "EMBEDDING_LOOKUP": (embedding_lookup,),
    "EMBEDDING_LOOKUP_SPARSE": (embedding_lookup_sparse,),
    "SEGMENT_SUM": (segment_sum,),
}
