"""Search for inputs that one runtime decides rightly and another wrongly, along the border of the one that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec._lazy import np
from tinymlsec.attacks.evasion._pgd_search import Reach, pgd_search

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.attacks._white_box import WhiteBox
    from tinymlsec.target.space import Codes

    Rows = NDArray[np.intp]


@dataclass(frozen=True)
class SkewResult:
    """What was found for every input."""

    codes: Codes
    """(n, ...) an input on which the two differ, or the original."""
    found: NDArray[np.bool_]
    """(n,) the device decides wrongly on it, and the other runtime rightly."""
    crossed: NDArray[np.bool_]
    """(n,) the device could be brought to a wrong decision within reach at all."""
    rounds: NDArray[np.int64]
    """(n,) walks that the input took."""


def skew_search(
    device: WhiteBox,
    other: WhiteBox,
    x: Codes,
    labels: NDArray[np.int64],
    rng: Generator,
    *,
    reach: int,
    steps: int,
    rounds: int,
    progress: Callable[[int], None] = lambda walks: None,
) -> SkewResult:
    """Look for inputs within reach that the device decides wrongly and the other runtime rightly.

    Gradients bring each input over the border of the device. Then its values are changed one after the other in random
    order, and bisection finds the first point at which the device is wrong: two inputs that differ in one value, on
    either side of the border. There the few output steps by which runtimes differ decide. Every walk takes another
    order, so it meets the border at another place.

    Args:
        device: the model as the device computes it.
        other: the same model in the arithmetic of another runtime.
        x: (n, ...) codes that both decide rightly.
        labels: (n,) correct decisions.
        rng: all randomness.
        reach: largest change of one value in input steps.
        steps: gradient steps.
        rounds: most walks per input.
        progress: called with the number of walks since the last call.
    """
    far = pgd_search(device, x, labels, rng, reach=Reach("linf", reach), steps=steps, restarts=2)
    codes, found, taken = x.copy(), np.zeros(len(x), bool), np.zeros(len(x), np.int64)
    for _ in range(rounds):
        rows = np.flatnonzero(far.broken & ~found)
        if rows.size == 0:
            break
        near = first_wrong(device, x[rows], far.codes[rows], labels[rows], rng)
        skewed = other.decide(near) == labels[rows]
        codes[rows[skewed]] = near[skewed]
        found[rows[skewed]] = True
        taken[rows] += 1
        progress(len(rows))
    return SkewResult(codes, found, far.broken, taken)


def first_wrong(box: WhiteBox, right: Codes, wrong: Codes, labels: NDArray[np.int64], rng: Generator) -> Codes:
    """The first wrongly decided point on a random path from right to wrong.

    Args:
        box: decides.
        right: (n, ...) codes that are decided rightly.
        wrong: (n, ...) codes that are decided wrongly.
        labels: (n,) correct decisions.
        rng: draws the order in which values change.

    Returns:
        (n, ...) codes; changing back the value that changed last makes the decision right.
    """
    a, b = right.reshape(len(right), -1), wrong.reshape(len(wrong), -1)
    place = rng.permuted(np.tile(np.arange(a.shape[1]), (len(a), 1)), axis=1)
    low, high = np.zeros(len(a), np.int64), np.full(len(a), a.shape[1], np.int64)
    while (high - low).max(initial=0) > 1:
        middle = (low + high) // 2
        point = np.where(place < middle[:, None], b, a).reshape(right.shape)
        is_wrong = box.decide(point) != labels
        open_ = high - low > 1
        high, low = np.where(open_ & is_wrong, middle, high), np.where(open_ & ~is_wrong, middle, low)
    found: Codes = np.where(place < high[:, None], b, a).reshape(right.shape)
    return found
