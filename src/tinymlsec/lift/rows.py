"""Rows of the support table for operators that treat several types alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinymlsec.lift.op import LiftedOp, Site, Support


def rows_of(
    op: str,
    types: Sequence[str],
    build: Callable[[Site], LiftedOp],
    options: str = "",
    *,
    position: int = 0,
) -> tuple[Support, ...]:
    """One row for each type, which the values at one input and every output must have.

    Args:
        op: operator.
        types: tensor types.
        build: makes the lifted operator.
        options: which options are covered, in words.
        position: input that carries the values.
    """
    return tuple(Support(op, kind, build, _has_type(kind, position), options) for kind in types)


def _has_type(kind: str, position: int) -> Callable[[Site], bool]:
    def accepts(site: Site) -> bool:
        outputs = (site.graph.tensors[index].dtype for index in site.op.outputs)
        return site.has(position) and site.input(position).dtype == kind and all(dtype == kind for dtype in outputs)

    return accepts


def one_axis(site: Site, axis: int, rank: int) -> int:
    """An axis of the file as a number of 0 or more.

    Raises:
        UnsupportedModelError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise site.unsupported(f"axis {axis} of {rank} dimensions")
    return axis % rank
