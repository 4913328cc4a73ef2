"""The assessment of a target: controls and noise first, then every layer, against other inputs and other weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinymlsec.attacks.side_channel._assess_controls import ControlBench, Named
from tinymlsec.attacks.side_channel._assess_feed import Walk, collect
from tinymlsec.attacks.side_channel._assess_test import Plan, WindowTest, measured
from tinymlsec.attacks.side_channel._assess_traces import Source, Varied
from tinymlsec.attacks.side_channel._assess_values import Values
from tinymlsec.attacks.side_channel._assess_windows import Part, parts_of
from tinymlsec.attacks.side_channel._timing_inputs import choose
from tinymlsec.emulate.leakage import Leakage

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel.leakage_assessment import LeakageAssessmentConfig
    from tinymlsec.context import Context
    from tinymlsec.emulate.twin import Twin
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
    """
    twin, leakage = target.twin(config.style), Leakage(config.leakage)
    control, choice, pool, seeds = context.rng.spawn(4)
    against: tuple[Varied, ...] = ("inputs", "weights") if config.against == "both" else (config.against,)
    parts = parts_of(twin, config.channels, choice)
    windows = [(part, varied) for part in parts for varied in against if varied == "inputs" or part.stored is not None]
    alpha = ALPHA / max(len(windows), 1)
    with ControlBench(twin.core, leakage, config.style, control) as bench:
        named = bench.named(config.snr)
        plan = Plan(config.traces, named.sigma, alpha, 0)
        positive, negative = bench.controls(plan, against)
    inputs = choose(twin.program, target.space, target.dataset, config.inferences, pool)
    with twin.start() as started:
        feed = collect(started, parts, inputs, context.progress)
        walk, seen = Walk(started, feed.fixed), []
        for number, (part, varied) in enumerate(windows):
            context.progress(number, len(windows), f"{part.name} against other {varied}")
            if number == 0 or windows[number - 1][0] is not part:
                walk.to(part)
            source = Source(walk, part, feed, varied, leakage, samples=config.points, seed=int(seeds.integers(1 << 62)))
            values = Values(part, twin.program.style, weights=varied == "weights", cut=source.cut)
            seen.append(measured(source, values, replace(plan, seed=int(seeds.integers(1 << 62)), silent=silent)))
    return Assessed(
        twin, tuple(seen), tuple(_untested(twin, parts, against)), feed.executed, named, positive, negative,
        inputs.source,
    )  # fmt: skip


def _untested(twin: Twin, parts: Sequence[Part], against: Sequence[Varied]) -> Iterator[str]:
    """Layers with a table of weights of which no window was made."""
    if "weights" not in against:
        return
    for part in parts:
        if part.stored is None and f"tms_w_{part.layer.index:03d}" in twin.image.symbols:
            yield part.name
