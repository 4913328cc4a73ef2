"""The attack on its own two firmwares: the weak one must be found at its line, the constant one must stay silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.attacks.side_channel._timing_examine import Examined, Settings, examine
from tinymlsec.attacks.side_channel._timing_flow import Kind
from tinymlsec.attacks.side_channel._timing_twins import ControlTwin, constant_twin, weak_twin
from tinymlsec.attacks.side_channel._timing_verdict import bits_about_class, leaks
from tinymlsec.records import Control, Metric

if TYPE_CHECKING:
    from tinymlsec.emulate.twin import Twin

BUDGET = 20_000_000
"""Instructions of each control; an inference has about 20,000."""


def controls(
    like: Twin, resolution: float, permutations: int, least: float, rng: np.random.Generator
) -> tuple[Control, Control]:
    """Both, on the target's core and with its style.

    Args:
        like: the target's twin.
        resolution: cycles between two ticks of the timer.
        permutations: of the statistics.
        least: bits below which nothing counts.
        rng: inputs and statistics.
    """
    settings = Settings(BUDGET, resolution, permutations)
    weak, constant = weak_twin(like, resolution, rng), constant_twin(like, rng)
    return _positive(weak, _examined(weak, settings, rng), least), _negative(_examined(constant, settings, rng))


def _examined(made: ControlTwin, settings: Settings, rng: np.random.Generator) -> Examined:
    with made.twin.start() as started:
        return examine(started, made.inputs, settings, rng)


def _positive(made: ControlTwin, found: Examined, least: float) -> Control:
    spot = found.divergence.spot if found.divergence else None
    file = made.line.partition(":")[0]
    there = spot is not None and (spot.line == made.line if spot.exact else spot.line.startswith(file))
    where = spot.words if spot is not None else "nowhere"
    return Control(
        kind="positive",
        twin=f"dense layer whose requantization takes another way for negative sums ({made.line})",
        succeeded=there and leaks(found, least),
        detail=f"inputs part {'' if spot is None else 'after '}{where}",
        metrics=(_bits(found),),
    )


def _negative(found: Examined) -> Control:
    silent = found.low.constant and found.high.constant and not found.apart
    branches = found.followed.of(Kind.BRANCH)
    return Control(
        kind="negative",
        twin="the same layer with clamps made of masks, without any choice",
        succeeded=silent and not branches and not found.followed.gap,
        detail=f"{found.n} inputs, {len(branches)} branches that read what depends on them, "
        f"{np.ptp(found.high.cycles):g} cycles apart",
        metrics=(_bits(found),),
    )


def _bits(found: Examined) -> Metric:
    return Metric.of("bits_per_query", bits_about_class(found), n=found.n, label="about the class")
