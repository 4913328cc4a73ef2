"""Loop nests of kernels, learned from runs with small counts, and written out again for any counts.

A kernel that is run once more through one of its loops executes the same instructions with one block more somewhere (or
in several places, where an outer round was peeled off by the compiler). Where that block lies and what is in it is
found by comparing the two runs; what stands before it, in it and behind it depends in the same way on the loops further
in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import MachineError

Steps = NDArray[np.int32]
"""Instructions in the order in which they ran, each by its number."""
Runs = Mapping[tuple[int, ...], Steps]
"""By loop counts, from the outermost loop inwards."""
PLACES = 3
"""In how many places of a run a loop may stand."""


class NotALoop(MachineError):
    """A kernel whose run does not follow from its loop counts."""


@dataclass(frozen=True)
class Nest:
    """What runs, as a function of loop counts from the outermost loop inwards."""

    least: int
    """Rounds of the loop that the parts between blocks hold; fewer cannot be told."""
    parts: tuple[Nest | Steps, ...]
    """Alternating: what runs anyway, a block for each round more, what runs anyway, ..."""

    def steps(self, counts: Sequence[int]) -> Steps:
        """The instructions for given counts.

        Raises:
            NotALoop: fewer rounds than it was learned from.
        """
        more = counts[0] - self.least
        if more < 0:
            raise NotALoop("too few rounds of a loop", found=str(counts[0]), expected=f"at least {self.least}")
        made = [_steps(part, counts[1:]) for part in self.parts]
        made[1::2] = [np.tile(block, more) for block in made[1::2]]
        return np.concatenate(made)


def _steps(part: Nest | Steps, counts: Sequence[int]) -> Steps:
    return part.steps(counts) if isinstance(part, Nest) else part


def learn(runs: Runs) -> Nest | Steps:
    """The nest behind runs with all combinations of some counts of each loop.

    Args:
        runs: for each loop two or three counts that follow each other; two that explain the rest are looked for.

    Raises:
        NotALoop: a run with one more round is not the other with blocks more.
    """
    first = next(iter(runs.values()))
    if () in runs or all(np.array_equal(first, other) for other in runs.values()):
        return first
    counts = sorted({key[0] for key in runs})
    for least in counts[:-1]:
        try:
            return _learned(runs, least)
        except NotALoop:
            if least == counts[-2]:
                raise
    raise NotALoop("one count of a loop does not tell what a round is", found=str(counts))


def _learned(runs: Runs, least: int) -> Nest:
    inner = sorted({key[1:] for key in runs})
    pairs = [(runs[(least, *key)], runs[(least + 1, *key)]) for key in inner]
    for places in range(1, PLACES + 1):
        cuts = [inserted(few, more, places) for few, more in pairs]
        if all(cut is not None for cut in cuts):
            break
    else:
        sizes = ", ".join(f"{len(few)} and {len(more)}" for few, more in pairs[:2])
        raise NotALoop(
            "a kernel does not follow its loop counts", found=f"{sizes} instructions",
            expected="the shorter run with one block more", next_step="profile the plain kernels",
        )  # fmt: skip
    columns: list[dict[tuple[int, ...], Steps]] = [{} for _ in range(2 * places + 1)]
    for key, (_, more), cut in zip(inner, pairs, cuts, strict=True):
        for column, part in zip(columns, np.split(more, cut or []), strict=True):
            column[key] = part
    return Nest(least, tuple(learn(column) for column in columns))


def inserted(few: Steps, more: Steps, places: int) -> list[int] | None:
    """Where the longer run has blocks of one size that the shorter one has not: begin, end, begin, end, ..."""
    size, rest = divmod(len(more) - len(few), places)
    if size < 0 or rest:
        return None
    cuts, done = [], 0
    for place in range(places):
        ahead = few[done:] == more[done + place * size : len(few) + place * size]
        at = done + (len(ahead) if ahead.all() else int(np.argmin(ahead)))
        cuts += [at + place * size, at + (place + 1) * size]
        done = at
    return cuts if np.array_equal(few[done:], more[done + places * size :]) else None
