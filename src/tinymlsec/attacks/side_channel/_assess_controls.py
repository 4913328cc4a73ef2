"""A small dense layer that leaks loudly, the same layer with a constant signal, and the noise of the whole assessment.

The noise is set by the control layer and not by the target: a target that leaks less must not be given less noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinymlsec.attacks.side_channel._assess_feed import Feed, Walk, collect
from tinymlsec.attacks.side_channel._assess_test import Plan, WindowTest, measured
from tinymlsec.attacks.side_channel._assess_traces import Source, Varied
from tinymlsec.attacks.side_channel._assess_values import Values
from tinymlsec.attacks.side_channel._assess_windows import Part, parts_of
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._timing_inputs import choose
from tinymlsec.attacks.side_channel._timing_places import spot_of
from tinymlsec.attacks.side_channel._weights_controls import INPUTS, UNITS, small_dense
from tinymlsec.records import Control, Metric
from tinymlsec.traces.noise import sigma_for

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import Core
    from tinymlsec.emulate.leakage import Leakage
    from tinymlsec.emulate.twin import StartedTwin, Twin

NAMING = 1000
"""Traces without noise from which the sample is named at which the ratio is set."""
FEW = 8
"""Inferences behind what the control layer is fed."""
SEED = 2011
"""Of the control layer and of the noise that is set there: they are the same in every assessment of a core."""


@dataclass(frozen=True)
class Named:
    """How the noise was set."""

    sigma: float
    ratio: float
    sample: int
    words: str
    """The sample."""


class ControlBench:
    """The control layer, up and running. A context manager.

    Args:
        core: of the target.
        leakage: what the probe sees.
        style: of the kernels.
        rng: traces and noise of the controls.
    """

    def __init__(self, core: Core, leakage: Leakage, style: str, rng: np.random.Generator) -> None:
        from tinymlsec.emulate.codegen.style import Style
        from tinymlsec.emulate.twin import build_twin

        self._fixed = np.random.default_rng(SEED)
        self.twin: Twin = build_twin(small_dense(self._fixed), core, style=Style(style))
        self.leakage, self.rng = leakage, rng
        self.part: Part = parts_of(self.twin, UNITS, self._fixed)[0]
        self._started: StartedTwin = self.twin.start()
        try:
            inputs = choose(self.twin.program, None, None, FEW, self._fixed)
            self.feed: Feed = collect(self._started, [self.part], inputs, lambda *_: None)
        except BaseException:
            self._started.machine.close()
            raise

    def __enter__(self) -> ControlBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._started.machine.close()

    def source(self, varied: Varied, seed: int) -> Source:
        """Traces of the layer."""
        walk = Walk(self._started, self.feed.fixed)
        walk.to(self.part)
        return Source(walk, self.part, self.feed, varied, self.leakage, samples=1 << 14, seed=seed)

    def values(self, source: Source) -> Values:
        """Values of the layer."""
        return Values(self.part, self.twin.program.style, weights=source.varied == "weights", cut=source.cut)

    def named(self, ratio: float) -> Named:
        """The noise with which the ratio holds at the sample that shows the first channel's last sum best."""
        source = self.source("inputs", SEED)
        (batch,) = source.batches([min(NAMING, source.together)])
        signal = batch.laid.signal[batch.groups]
        sums = self.values(source).sums(batch, batch.groups)[:, -1]
        expected = bits(np.ascontiguousarray(sums)).astype(np.float64)
        centered = (signal - signal.mean(axis=0)).astype(np.float64)
        scale = np.sqrt((centered**2).sum(axis=0)) * expected.std() * np.sqrt(len(expected))
        likeness = np.abs((expected - expected.mean()) @ centered) / np.maximum(scale, 1e-9)
        likeness[~batch.laid.everywhere] = 0
        at = int(likeness.argmax())
        spot = spot_of(self.twin, int(source.path.pcs[source.path.kept[at]]), 0)
        words = f"sample {at} of the control layer, {spot.words}, which shows the last sum of its first channel"
        return Named(sigma_for(signal, at, ratio), ratio, at, words)

    def run(self, varied: Varied, plan: Plan) -> WindowTest:
        """The assessment of the layer, each time with traces and noise of its own."""
        source = self.source(varied, int(self.rng.integers(1 << 62)))
        return measured(source, self.values(source), replace(plan, seed=int(self.rng.integers(1 << 62))))

    def controls(self, plan: Plan, against: tuple[Varied, ...]) -> tuple[Control, Control]:
        """Loud and silent, with the noise and the traces of the assessment."""
        loud = [self.run(varied, replace(plan, silent=False)) for varied in against]
        silent = [self.run(varied, replace(plan, silent=True)) for varied in against]
        name = f"dense layer of {INPUTS} x {UNITS}"
        return (
            Control(
                kind="positive", twin=f"{name} with the noise and traces of this assessment",
                succeeded=all(seen.alarms.any() for seen in loud), detail=_told(loud), metrics=_metrics(loud),
            ),
            Control(
                kind="negative", twin="the same layer with a constant signal under the noise",
                succeeded=not any(seen.alarms.any() for seen in silent), detail=_told(silent), metrics=_metrics(silent),
            ),
        )  # fmt: skip


def _told(seen: list[WindowTest]) -> str:
    return "; ".join(
        f"{each.varied}: {int(each.alarms.any(axis=0).sum())} of {each.samples} samples alarm in {each.traces} traces, "
        f"largest |t| {max(each.largest):.2f}, threshold {each.threshold:.2f}"
        for each in seen
    )


def _metrics(seen: list[WindowTest]) -> tuple[Any, ...]:
    return tuple(
        Metric.of("max_abs_t", max(each.largest), n=each.traces, label=f"fixed against random {each.varied}")
        for each in seen
    )
