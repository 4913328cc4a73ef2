"""How one weight stands out: correlation over time, and guessing entropy against traces.

Both look at single weights with everything before them known, so they show the leak itself, without what an error in an
earlier weight does to later ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.correlation import Correlation, chance_level
from tinymlsec.analysis.rank import entropy_curve, ranks_of
from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._costs import sums_over_traces
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, named_sample
from tinymlsec.attacks.side_channel._features import FEATURES, loaded_word
from tinymlsec.attacks.side_channel._points import Point
from tinymlsec.attacks.side_channel._weights_likelihood import fitted_cost, moments_of, template_cost
from tinymlsec.figures import Line, Series
from tinymlsec.records import Curve

GUESSES = np.arange(-127, 128, dtype=np.int32)
AROUND = 300
"""Samples to each side that are drawn."""
WEIGHTS, COUNTS = 24, 8
"""Weights over which the entropy is averaged, and numbers of traces at which it is."""
FEWEST = 10


class Shown:
    """One channel of the device, measured anew, with its true weights.

    Args:
        bench: the boards.
        layer: attacked.
        weights: (k,) of the channel, as the device has them.
        channel: of the output.
        activations: (n, ...) of the layer's input.
        strength: of the attack.
        rng: of the noise.
    """

    def __init__(
        self, bench: Bench, layer: LayerResult, weights: NDArray[np.int32], channel: int,
        activations: NDArray[np.int8], strength: Strength, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.groups, self.weights = bench.groups(layer.macs), weights
        self.factors = layer.macs.factors(activations, channel)
        self.levels = bench.levels(layer.profile, layer.macs, channel, rng)
        signal = bench.whole(layer.macs, channel, activations)
        self.sigma = float(np.sqrt(signal[:, named_sample(layer.profile)].astype(np.float64).var() / strength.snr))
        self.traces = signal + np.float32(self.sigma) * rng.standard_normal(signal.shape, np.float32)
        self.profiled = strength.profiled

    def speaking(self) -> list[int]:
        """Steps that add something and have a sample that shows it."""
        return [
            k for k, group in enumerate(self.groups)
            if self.factors[:, list(group)].std(0).any() and any(p.feature != "hw_weight" for p in self.levels.steps[k])
        ]  # fmt: skip

    def guesses(self, step: int) -> tuple[NDArray[np.int32], int]:
        """(255, 1 or 2) weights of a step, of which the last is guessed, and the place of the true one."""
        true = self.weights[list(self.groups[step])]
        table = np.tile(true, (len(GUESSES), 1))
        table[:, -1] = GUESSES
        return table, int(np.searchsorted(GUESSES, true[-1]))

    def before(self, step: int) -> NDArray[np.int32]:
        """(n,) the sum before a step."""
        used = [k for group in self.groups[:step] for k in group]
        made: NDArray[np.int32] = (self.factors[:, used] * self.weights[used]).sum(1, dtype=np.int32)
        return made

    def correlation(self, step: int) -> Series:
        """Of the right guess and of the best wrong one, over time."""
        point = next(p for p in self.levels.steps[step] if p.feature != "hw_weight")
        table, place = self.guesses(step)
        before, factors = self.before(step), self.factors[:, list(self.groups[step])]
        after = np.ascontiguousarray((before[:, None] + factors @ table.T).astype(np.int32))
        predicted = FEATURES[point.feature](after, before[:, None], loaded_word(table)[None])
        start = max(0, point.sample - AROUND)
        seen = self.traces[:, start : point.sample + AROUND]
        statistic = Correlation()
        statistic.update(predicted, seen)
        values = statistic.result().values
        wrong = np.delete(values, place, axis=0)
        rival = int(wrong[:, point.sample - start].argmax())
        named = np.delete(GUESSES, place)[rival]
        level = chance_level(len(seen), values.size)
        return Series(
            title=f"Correlation with one weight (step {step}), those before it known",
            x_label="sample", y_label="correlation",
            lines=(
                Line.of(f"right guess ({GUESSES[place]})", values[place], start=start),
                Line.of(f"best wrong guess ({named})", wrong[rival], start=start),
            ),
            thresholds=(level, -level),
        )  # fmt: skip

    def entropy(self, rng: np.random.Generator) -> Curve:
        """Guessing entropy of a weight against traces."""
        steps = self.speaking()
        places = np.unique(np.linspace(0, len(steps) - 1, min(WEIGHTS, len(steps))).round().astype(int))
        chosen = [steps[i] for i in places]
        counts = np.unique(np.geomspace(min(FEWEST, len(self.traces)), len(self.traces), COUNTS).round().astype(int))
        scores = np.array([[-self._cost(step, int(count)) for count in counts] for step in chosen])
        true = np.array([[self.guesses(step)[1]] * len(counts) for step in chosen])
        title = "Guessing entropy of a weight, those before it known"
        return entropy_curve(ranks_of(scores, true), counts.tolist(), rng, title=title)

    def _cost(self, step: int, count: int) -> NDArray[np.float64]:
        table, _ = self.guesses(step)
        before = np.ascontiguousarray(self.before(step)[None, :count])
        factors = np.ascontiguousarray(self.factors[:count, list(self.groups[step])])
        cost = np.zeros(len(GUESSES))
        for point in self.levels.steps[step]:
            rest = self._rest(point, count)
            if point.feature == "hw_weight" and not self.profiled:  # its level is not known beforehand
                continue
            sums = sums_over_traces(point.feature, before, factors, table, rest)
            if self.profiled:
                cost += template_cost(point, sums, self.sigma)[0]
            else:
                cost += fitted_cost(moments_of(sums, rest), np.sign(point.gain))[0]
        return cost

    def _rest(self, point: Point, count: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.traces[:count, point.sample] - np.float32(point.level), np.float32)


def figures(
    bench: Bench,
    layer: LayerResult,
    weights: NDArray[np.int32],
    channel: int,
    activations: NDArray[np.int8],
    strength: Strength,
    rng: np.random.Generator,
) -> tuple[Series | None, Curve | None]:
    """Both figures; none where no sample shows a sum. The arguments are those of `Shown`."""
    shown = Shown(bench, layer, weights, channel, activations, strength, rng)
    steps = shown.speaking()
    if not steps:
        return None, None
    return shown.correlation(steps[len(steps) // 2]), shown.entropy(rng)
