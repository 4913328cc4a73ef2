"""How many channels follow each other without a gap: where the correlation with a round breaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_nest import Steps
from tinymlsec.attacks.side_channel._arch_scores import Samples

NATS = 15.0
"""Log-likelihood by which a number of channels may be worse than the best and still be looked at."""
COST = 6.0
"""Of a channel that is shorter than the others, in nats."""
LARGEST_STEP = 50.0
MOST_NUMBERS = 16


def frame(block: Steps, levels: Samples) -> Samples:
    """What is seen of a channel beside its innermost loop: that fits at any multiple of its length, and tells nothing.

    Args:
        block: instructions of a channel.
        levels: mean signal of each instruction.
    """
    counts = np.bincount(block)[block]
    # a stretch may end within the loop: its instructions then have two counts
    outer = counts < 0.6 * counts.max() if counts.max() > 1 else np.ones(len(block), np.bool_)
    period = len(np.unique(block[~outer])) or 1
    phase = np.arange(len(block)) % period
    # blind to whatever repeats with the length of the innermost loop: such a loop may be beyond a layer's end
    means = np.bincount(phase[outer], levels[block[outer]], period) / np.maximum(
        np.bincount(phase[outer], minlength=period), 1
    )
    weights = np.zeros(len(block), np.float32)
    weights[outer] = levels[block[outer]] - means[phase[outer]]
    return weights


@dataclass(frozen=True)
class Train:
    """So many channels, one after the other."""

    channels: int
    nats: float
    """By how much it is less likely than another number."""
    flat: tuple[int, ...] = ()
    """Channels that were shorter."""


def ends_of_train(along: NDArray[np.floating], expected: float, spread: float, loose: float = 0.0) -> list[Train]:
    """After how many equal rounds a train of them may end, and how much less likely each is than the best, in nats.

    Args:
        along: (shifts, rounds) how well each round fits where so many rounds before it were shorter. Behind the end and
            where it does not fit, it is noise around zero.
        expected: how well a round fits.
        spread: standard deviation of that.
        loose: all ends up to so many nats below the best, rather than those near a likely one.
    """
    level = 0.8 * expected
    spread = max(spread, 0.05 * abs(level), 1e-9)
    if level <= 0:
        return [Train(0, 0.0)]
    gain = (2 * level * along.astype(np.float64) - level**2) / (2 * spread**2)
    likelihood, states, came = _followed(np.clip(gain, -LARGEST_STEP, LARGEST_STEP))
    worse = likelihood.max() - likelihood
    if loose:
        return [Train(int(c), float(worse[c]), _shorter(states, came, int(c))) for c in np.flatnonzero(worse <= loose)]
    made: dict[int, float] = {}
    for peak in {int(np.argmax(likelihood)), _first_drop(likelihood)}:
        near = np.arange(max(peak - MOST_NUMBERS, 0), min(peak + MOST_NUMBERS, len(likelihood) - 1) + 1)
        before, after = _paces(likelihood, peak)
        # as if rounds behind the end fitted as they do here
        local = likelihood[near] - near * (before + after) / 2
        made |= {int(n): float(w) for n, w in zip(near, local.max() - local, strict=True) if int(n) not in made}
    # behind its end a train may for a while seem to go on: all ends that cost little
    made |= {int(c): float(worse[c]) for c in np.flatnonzero(worse <= NATS) if int(c) not in made}
    trains = [Train(c, nats, _shorter(states, came, c)) for c, nats in made.items()]
    return sorted(trains, key=lambda train: train.nats)


def _followed(gain: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """The most likely way through rounds and shifts: likelihood and shift up to each round, and where it shifted."""
    total, came = np.full(len(gain), -np.inf), np.zeros(gain.T.shape, np.bool_)
    total[0] = 0.0
    likelihood, states = [0.0], [0]
    for number, column in enumerate(gain.T):
        came[number, 1:] = total[:-1] - COST > total[1:]
        total[1:] = np.maximum(total[1:], total[:-1] - COST)
        total = total + column
        states.append(int(np.argmax(total)))
        likelihood.append(float(total[states[-1]]))
        if likelihood[-1] < max(likelihood) - 40 * NATS:
            break
    return np.array(likelihood), np.array(states), came


def _shorter(states: NDArray[np.int64], came: NDArray[np.bool_], rounds: int) -> tuple[int, ...]:
    """Rounds before which the most likely way shifted."""
    shift, made = int(states[rounds]), []
    for number in range(rounds - 1, -1, -1):
        if shift and came[number, shift]:
            made.append(number)
            shift -= 1
    return tuple(reversed(made))


def _paces(likelihood: NDArray[np.float64], peak: int) -> tuple[float, float]:
    """What a round adds before and behind a place; nothing or less behind it counts as a whole round's loss."""
    before = float(likelihood[peak] - likelihood[0]) / max(peak, 1)
    ahead = min(peak + 12, len(likelihood) - 1)
    after = float(likelihood[ahead] - likelihood[peak]) / max(ahead - peak, 1)
    return (before, after) if after > 0 else (0.0, 0.0)


def _first_drop(likelihood: NDArray[np.float64]) -> int:
    """Where likelihood first goes on at less than half of the pace that it had."""
    n = np.arange(len(likelihood))
    ahead = np.minimum(n + np.maximum(np.minimum(n, 12), 3), len(likelihood) - 1)
    pace = (likelihood - likelihood[0]) / np.maximum(n, 1)
    after = (likelihood[ahead] - likelihood) / np.maximum(ahead - n, 1)
    slow = np.flatnonzero((n >= 1) & (after < 0.5 * pace) & (pace > 0))
    if not len(slow):
        return len(likelihood) - 1
    stretch = slice(int(slow[0]), int(slow[0]) + 8)
    return int(slow[0]) + int(np.argmax((pace - after)[stretch]))
