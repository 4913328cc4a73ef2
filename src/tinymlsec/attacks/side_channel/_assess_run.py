"""The assessment of a target: controls and noise first, then every layer, against other inputs and other weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinymlsec.attacks.side_channel._assess_controls import ControlBench, Named
from tinymlsec.attacks.side_channel._assess_feed import Feed, Walk, collect, reached
from tinymlsec.attacks.side_channel._assess_test import Plan, WindowTest, measured
from tinymlsec.attacks.side_channel._assess_traces import Source, Varied
from tinymlsec.attacks.side_channel._assess_values import Values
from tinymlsec.attacks.side_channel._assess_windows import Part, parts_of
from tinymlsec.attacks.side_channel._timing_inputs import choose
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.errors import CapabilityMissing

if TYPE_CHECKING:
    import numpy as np

    from tinymlsec.attacks.side_channel.leakage_assessment import LeakageAssessmentConfig
    from tinymlsec.context import Context, Progress
    from tinymlsec.emulate.twin import StartedTwin, Twin
    from tinymlsec.records import Control
    from tinymlsec.target.target import Target

ALPHA = 1e-3
"""Probability of a false alarm anywhere: in all windows, samples, orders and both tests together."""


@dataclass(frozen=True)
class Assessed:
    """Everything that was seen of a target."""

    twin: Twin
    windows: tuple[WindowTest, ...]
    untested: tuple[str, ...]
    """Layers with weights that could not be replaced by others."""
    executed: Mapping[int, Mapping[int, int]]
    """By operator: address -> times executed in one inference."""
    named: Named
    positive: Control
    negative: Control
    source: str
    """Of the values that layers were fed."""

    def of(self, varied: Varied) -> tuple[WindowTest, ...]:
        """Windows of one test."""
        return tuple(window for window in self.windows if window.varied == varied)

    def worst(self, varied: Varied) -> WindowTest | None:
        """The window with the largest |t| of one test."""
        return max(self.of(varied), key=lambda window: max(window.largest), default=None)

    @property
    def against(self) -> tuple[Varied, ...]:
        """Tests that were made."""
        made: tuple[Varied, ...] = ("inputs", "weights")
        return tuple(varied for varied in made if self.of(varied))


def run(target: Target, config: LeakageAssessmentConfig, context: Context, *, silent: bool = False) -> Assessed:
    """Assesses a target.

    Args:
        target: with a model and a device that firmware can be built for.
        config: of the attack.
        context: randomness and progress.
        silent: the target's signal is replaced by a constant one under the same noise, to count false alarms.

    Raises:
        CapabilityMissing: nothing to assess: no layer has weights, and only weights are asked for.
    """
    twin, leakage = target.twin(config.style), Leakage(config.leakage)
    control, choice, pool, seeds = context.rng.spawn(4)
    against: tuple[Varied, ...] = ("inputs", "weights") if config.against == "both" else (config.against,)
    inputs = choose(twin.program, target.space, target.dataset, config.inferences, pool)
    with twin.start() as started:
        parts = reached(started, parts_of(twin, config.channels, choice))
        jobs = _jobs(parts, against)
        with ControlBench(twin.core, leakage, config.style, control) as bench:
            named = bench.named(config.snr)
            plan = Plan(config.traces, named.sigma, ALPHA / len(jobs), 0, silent)
            positive, negative = bench.controls(plan, against)
        feed = collect(started, parts, inputs, context.progress)
        job = _Job(started, feed, leakage, config.points, plan, seeds)
        seen = tuple(job.windows(jobs, context.progress))
    return Assessed(
        twin, seen, tuple(_untested(twin, parts, against)), feed.executed, named, positive, negative, inputs.source
    )


def _jobs(parts: Sequence[Part], against: Sequence[Varied]) -> list[tuple[Part, Varied]]:
    made = [(part, varied) for part in parts for varied in against if varied == "inputs" or part.stored is not None]
    if not made:
        raise CapabilityMissing("the model has no layer with weights that could be replaced by others")
    return made


@dataclass(frozen=True)
class _Job:
    """All windows, one after the other, in one inference that stands still at each."""

    started: StartedTwin
    feed: Feed
    leakage: Leakage
    points: int
    plan: Plan
    rng: np.random.Generator

    def windows(self, jobs: Sequence[tuple[Part, Varied]], said: Progress) -> Iterator[WindowTest]:
        walk, at = Walk(self.started, self.feed.fixed), None
        for number, (part, varied) in enumerate(jobs):
            said(number, len(jobs), f"{part.name} against other {varied}")
            if part is not at:
                walk.to(part)
                at = part
            yield self._window(walk, part, varied)

    def _window(self, walk: Walk, part: Part, varied: Varied) -> WindowTest:
        seeds = [int(seed) for seed in self.rng.integers(1 << 62, size=2)]
        source = Source(walk, part, self.feed, varied, self.leakage, samples=self.points, seed=seeds[0])
        values = Values(part, self.started.program.style, weights=varied == "weights", cut=source.cut)
        return measured(source, values, replace(self.plan, seed=seeds[1]))


def _untested(twin: Twin, parts: Sequence[Part], against: Sequence[Varied]) -> Iterator[str]:
    """Layers with a table of weights of which no window was made."""
    if "weights" not in against:
        return
    for part in parts:
        if part.stored is None and f"tms_w_{part.layer.index:03d}" in twin.image.symbols:
            yield part.name
