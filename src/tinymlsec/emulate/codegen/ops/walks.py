"""Walks over two arrays, as kernels/walk.h has them: axes with a size and a step in each array, as few as there can be.

Sizes and steps come from the shapes of the file. Neighboring axes that both arrays run through in one go are merged, so
that most walks are a single loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tinymlsec.emulate.codegen.lowering import Lowered, Place
from tinymlsec.emulate.codegen.ops.common import call, record

AXES = 6
"""TMS_AXES in kernels/walk.h."""
LARGEST = 2**31 - 1
"""Offsets and counts are 32-bit numbers."""

MOVES = ("moves",)
"""Family of kernels that moves need."""

Axis = tuple[int, int, int]
"""(size, step in the first array, step in the second one)."""


def dense(shape: Sequence[int]) -> list[int]:
    """Steps of an array that lies in memory without gaps.

    >>> dense((2, 3, 4))
    [12, 4, 1]
    """
    return [prod(shape[k + 1 :]) for k in range(len(shape))]


def broadcast(place: Place, shape: Sequence[int], to: Sequence[int]) -> list[int]:
    """Steps of an operand that is broadcast: 0 along the axes where it has one element.

    Raises:
        UnsupportedModelError: the shapes do not fit.
    """
    full = (*[1] * (len(to) - len(shape)), *shape)
    if len(full) != len(to) or any(a not in (1, b) for a, b in zip(full, to, strict=True)):
        raise place.unsupported(f"shape {list(shape)} is not broadcast to {list(to)}")
    return [0 if size == 1 else step for size, step in zip(full, dense(full), strict=True)]


def walk(place: Place, axes: Sequence[Axis], *, keep_last: bool = False) -> dict[str, list[int]]:
    """The C record of a walk.

    Args:
        place: the operator, for errors.
        axes: outermost first.
        keep_last: the last axis stays one of its own even if its size is 1 (the run of bytes of a move).

    Raises:
        UnsupportedModelError: more axes are left than kernels have, or offsets beyond 32 bits.
    """
    merged = _merged(axes, keep_last)
    reach = max((sum(abs(axis[k]) * max(axis[0] - 1, 0) for axis in merged) for k in (1, 2)), default=0)
    if len(merged) > AXES or max(reach, prod(axis[0] for axis in merged)) > LARGEST:
        raise place.unsupported(f"a walk over {len(merged)} axes of {[axis[0] for axis in merged]}")
    full = [(1, 0, 0)] * (AXES - len(merged)) + merged
    return {name: [axis[k] for axis in full] for k, name in enumerate(("size", "first", "second"))}


def _merged(axes: Sequence[Axis], keep_last: bool) -> list[Axis]:
    merged: list[Axis] = []
    for number, (size, first, second) in enumerate(axes):
        last = keep_last and number == len(axes) - 1
        if size == 1 and not last:
            continue
        if merged and merged[-1][1:] == (size * first, size * second):
            merged[-1] = (merged[-1][0] * size, first, second)
        else:
            merged.append((size, first, second))
    return merged


def move(
    place: Place, sizes: Sequence[int], first: Sequence[int], second: Sequence[int], width: int
) -> dict[str, list[int]]:
    """The C record of a move of elements.

    Args:
        place: the operator, for errors.
        sizes: elements along every axis.
        first: steps in the source, in elements.
        second: steps in the target, in elements.
        width: bytes of an element.
    """
    axes = [(size, a * width, b * width) for size, a, b in zip(sizes, first, second, strict=True)]
    return walk(place, [*axes, (width, 1, 1)], keep_last=True)


def lower_moves(place: Place, moves: Sequence[tuple[str, str, dict[str, list[int]]]], before: str = "") -> Lowered:
    """Moves one after the other; what is a single run of bytes becomes a copy.

    Args:
        place: the operator.
        moves: (target, source, walk) each, from `move`.
        before: statements ahead of them.
    """
    walks: list[dict[str, list[int]]] = []
    body = before
    for target, source, found in moves:
        if max(found["size"][:-1]) == 1:
            body += call("tms_copy", target, source, found["size"][-1])
        else:
            body += call("tms_move", target, source, f"&{place.symbol('p')}[{len(walks)}]")
            walks.append(found)
    if len(walks) == 1:
        body = body.replace(f"&{place.symbol('p')}[0]", f"&{place.symbol('p')}")
        return Lowered(body, MOVES, statics=record(place, "tms_walk", walks[0]))
    return Lowered(body, MOVES, statics=record(place, "tms_walk", walks) if walks else "")


def shifted(pointer: str, elements: int) -> str:
    """A pointer some elements further on."""
    return f"{pointer} + {elements}" if elements else pointer
