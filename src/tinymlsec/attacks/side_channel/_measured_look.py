"""The first pass over measured traces: what speaks of the inputs, of the sums, of the outputs, and of the groups.

Everything is done twice: with each trace's own input, and with the inputs exchanged among the traces of a portion. The
second must show nothing, whatever the oscilloscope did: it is the negative control that real traces bring along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.correlation import Correlation, chance_level
from tinymlsec.analysis.ttest import TTest, TTestResult
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._measured_groups import Groups
from tinymlsec.attacks.side_channel._measured_subject import FEATURES, ORDERS, Subject, shown
from tinymlsec.errors import CapabilityMissing

if TYPE_CHECKING:
    from tinymlsec.context import Progress
    from tinymlsec.traces.traceset import Chunk, TraceSet

PORTION = 64 << 20
"""Bytes of samples that are handled at a time."""
FEW, MANY = 64, 2000
"""Traces of a portion."""
ALPHA = 1e-3
"""Probability that chance alone exceeds a level in any family."""
MODELS = {(order, feature): f"{feature} of the sum ({name})"
          for order, name in enumerate(ORDERS) for feature in FEATURES}  # fmt: skip
LEAST_GROUP = 20
"""Traces in each group, at least, for a t-test."""


@dataclass(frozen=True)
class Family:
    """Predictions of one kind, and how the samples go with them."""

    name: str
    values: NDArray[np.float32]
    """(g, t) coefficients."""
    silent: NDArray[np.float32]
    """(g, t) the same with inputs exchanged."""
    level: float
    """|r| that chance exceeds; in all families together once in a thousand sets."""
    traces: int

    @property
    def peak(self) -> tuple[int, int, float]:
        """Prediction, sample and coefficient of the largest |r|."""
        place = int(np.abs(self.values).argmax())
        row, column = divmod(place, self.values.shape[1])
        return row, column, float(self.values[row, column])

    @property
    def speaks(self) -> bool:
        """Above chance."""
        return self.values.size > 0 and bool(np.abs(self.values).max() > self.level)

    @property
    def rings(self) -> bool:
        """The exchanged inputs are above chance, which they must not be."""
        return self.silent.size > 0 and bool(np.abs(self.silent).max() > self.level)

    @property
    def along(self) -> float:
        """Mean over all predictions but the first of their largest |r|: how well the whole family shows."""
        rows = self.values[1:] if len(self.values) > 1 else self.values
        return float(np.abs(rows).max(axis=1).mean())

    @property
    def over_time(self) -> NDArray[np.float32]:
        """(t,) largest |r| of any prediction."""
        most: NDArray[np.float32] = np.abs(self.values).max(axis=0)
        return most


@dataclass(frozen=True)
class FirstLook:
    """What the first pass saw."""

    traces: int
    """With inputs of their own, without a fixed group."""
    families: dict[str, Family]
    groups: Groups
    test: TTestResult | None
    silent_test: TTestResult | None

    def shown_best(self) -> tuple[int, str]:
        """Order of summing and feature that the traces show best."""
        found = {key: self.families[name].along for key, name in MODELS.items() if name in self.families}
        return max(found, key=lambda key: found[key]) if found else (0, FEATURES[0])

    @property
    def sums(self) -> Family | None:
        """What the sums show as they show best; None without sums."""
        return self.families.get(MODELS[self.shown_best()])


def portions(traces: TraceSet, most: int) -> Iterator[Chunk]:
    """Traces in portions that bounded memory holds."""
    size = max(FEW, min(MANY, PORTION // (4 * traces.samples)))
    yield from traces.chunks(size, end=min(most, len(traces)))


def first_look(
    traces: TraceSet, subject: Subject, groups: Groups, *, most: int, steps: int, asked: int,
    rng: np.random.Generator, said: Progress,
) -> FirstLook:  # fmt: skip
    """Goes through the traces once.

    Args:
        traces: with inputs.
        subject: what they are of.
        groups: for the t-test.
        most: traces.
        steps: of a sum that are predicted.
        asked: traces for which the runtime is asked for decisions and outputs, at most.
        rng: of the exchange.
        said: progress.

    Raises:
        CapabilityMissing: all traces have the fixed input.
    """
    own, late, tests = _Compared(traces.samples), _Compared(traces.samples), _Tests()
    total = min(most, len(traces))
    for chunk in portions(traces, most):
        said(chunk.first, total, "traces correlated")
        few = max(asked - chunk.first, 0)
        samples, inputs = chunk.samples, chunk.inputs
        if groups.fixed is not None:
            of = groups.of(subject, inputs)
            assert of is not None
            tests.update(samples, of, rng)
            samples, inputs = samples[of == 0], inputs[of == 0]
        elif few:
            tests.update(samples[:few], groups.of(subject, inputs[:few]), rng)
        own.update(_predictions(subject, steps, inputs), samples, rng)
        if few and subject.sums is not None and len(inputs):
            bits_ = subject.output_bits(subject.codes(inputs[:few]))
            late.update({"outputs": bits_}, samples[:few], rng)
    if not own.traces:
        raise CapabilityMissing(
            "inputs do not differ in the traces that are looked at", found=f"{total:,} traces of one fixed input",
            next_step="record fixed and random inputs in turn, or look at more: --set measured-leakage.traces=N",
        )  # fmt: skip
    alpha = ALPHA / max(len(own.rows) + len(late.rows), 1)
    return FirstLook(own.traces, own.families(alpha) | late.families(alpha), groups, *tests.results())


def _predictions(subject: Subject, steps: int, inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """(b, g) by family: Hamming weights that samples are compared with.

    Bytes of the input come twice: as they cross a bus, and extended by their sign as a register holds them.
    """
    chosen = np.ascontiguousarray(inputs[:, subject.bytes])
    extended = bits(chosen.view(np.int8).astype(np.int32))
    columns: dict[str, NDArray[np.uint8]] = {"inputs": np.concatenate([np.bitwise_count(chosen), extended], axis=1)}
    if subject.sums is not None and len(inputs):
        fed = subject.activations(subject.codes(inputs))
        for order in range(len(ORDERS)):
            after = subject.sums.after(fed, order, steps, subject.sums.weights)
            columns |= {MODELS[order, feature]: shown(after, feature) for feature in FEATURES}
    return columns


class _Compared:
    """Predictions with samples, as they belong together and with inputs exchanged."""

    def __init__(self, samples: int) -> None:
        self.rows: dict[str, slice] = {}
        self._samples, self._all = samples, Correlation()

    @property
    def traces(self) -> int:
        return self._all.traces

    def update(
        self, columns: Mapping[str, NDArray[np.uint8]], samples: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        if not len(samples):
            return
        ends = np.cumsum([0, *(array.shape[1] for array in columns.values())])
        self.rows = {name: slice(int(a), int(b)) for name, a, b in zip(columns, ends, ends[1:], strict=False)}
        own = np.concatenate(list(columns.values()), axis=1)
        self._all.update(np.concatenate([own, own[rng.permutation(len(own))]], axis=1), samples)

    def families(self, alpha: float) -> dict[str, Family]:
        """Each with its own level of chance, of which alpha is the probability."""
        if not self.rows:
            return {}
        found = self._all.result().values
        half, n = len(found) // 2, self.traces
        return {
            name: Family(name, found[rows], found[half:][rows],
                         chance_level(n, (rows.stop - rows.start) * self._samples, alpha), n)
            for name, rows in self.rows.items()
        }  # fmt: skip


class _Tests:
    """Welch's t between the groups, and between groups that chance made of the same sizes."""

    def __init__(self) -> None:
        self._tests = (TTest(engine="numpy"), TTest(engine="numpy"))
        self._sizes = np.zeros(2, np.int64)

    def update(self, samples: NDArray[np.float32], of: NDArray[np.uint8] | None, rng: np.random.Generator) -> None:
        if of is None or not len(of):
            return
        self._sizes += np.bincount(of, minlength=2)
        for test, groups in zip(self._tests, (of, rng.permutation(of)), strict=True):
            test.update(samples, groups)

    def results(self) -> tuple[TTestResult | None, TTestResult | None]:
        if self._sizes.min() < LEAST_GROUP:
            return None, None
        return self._tests[0].result(), self._tests[1].result()
