"""Traces of one window in two groups: a fixed input against random ones, or the fixed weights against random ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._assess_feed import Feed, Walk
from tinymlsec.attacks.side_channel._assess_paths import Laid, Path
from tinymlsec.attacks.side_channel._assess_windows import REACH, Part
from tinymlsec.emulate.contract import Campaign, RunEnd, Window
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.errors import MachineError

Varied = Literal["inputs", "weights"]
TOGETHER = 1000
"""Traces that are made at a time, at most."""
BYTES = 48 << 20
"""Of all samples that are made at a time, about."""
EACH_RECORD = 24
"""Bytes that one record takes on the way to a sample."""
DONE, CUT = list(RunEnd).index(RunEnd.DONE), list(RunEnd).index(RunEnd.TIMEOUT)


@dataclass(frozen=True)
class Batch:
    """Some traces without noise."""

    groups: NDArray[np.bool_]
    """(b,) True: random."""
    laid: Laid
    fed: tuple[NDArray[Any], ...]
    """For each part of a tensor (b, elements)."""
    weights: NDArray[Any] | None
    """(b, w)"""
    outputs: NDArray[np.uint8]
    """(b, bytes) the values that the window wrote."""
    lengths: NDArray[np.uint32]
    """(b,) records of each run."""


class Source:
    """Traces of one window. The machine is left as it was.

    Args:
        walk: with the fixed input, standing at the layer; nobody may move it while traces are made.
        part: the window.
        feed: values for its inputs.
        varied: what is random in the second group.
        leakage: what the probe sees.
        samples: that are kept of the window, at most.
        seed: of groups and values.

    Raises:
        MachineError: the fixed input does not leave the window well.
    """

    def __init__(
        self,
        walk: Walk,
        part: Part,
        feed: Feed,
        varied: Varied,
        leakage: Leakage,
        *,
        samples: int,
        seed: int,
    ) -> None:
        self.part, self.feed, self.varied, self.leakage, self.seed = part, feed, varied, leakage, seed
        self.machine, layer = walk.machine, part.layer
        if layer.pixel_symbol:
            start = self.machine.address_of(layer.pixel_symbol)
            self._window = Window(part.window, start, (*part.pixel, *part.channels))
        else:
            self._window = walk.whole(part.window)
        first = self.machine.campaign(self._window, take=("pc",), runs=1, instructions=REACH)
        self._refuse(first)
        self.path = Path(first.pcs, samples)
        """Of the run with the fixed input and the fixed weights."""
        self.cut = bool((first.ends == CUT).any())
        """The layer is longer than what is run of it."""
        length = len(first.pcs)
        self._records = length if self.cut else length + max(64, length // 4)

    @property
    def together(self) -> int:
        """Traces of a batch at most, an even number."""
        written = sum(fed.count * fed.dtype.itemsize for fed in self.part.fed)
        written += 0 if self.part.stored is None else self.part.stored.values.nbytes
        each = EACH_RECORD * self._records + 3 * written
        return int(np.clip(BYTES // each, 4, TOGETHER)) // 2 * 2

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Batches of the given sizes; the same every time. In each, half of the traces are random ones. After the last
        one the firmware has its own weights again.

        Raises:
            MachineError: a run ended in another way than the reference.
        """
        for number, size in enumerate(sizes):
            yield self._batch(size, np.random.default_rng((self.seed, number)))
        if self.varied == "weights" and self.part.stored is not None:
            self.machine.write(self.part.stored.address, self.part.stored.values.tobytes())

    def _batch(self, size: int, rng: np.random.Generator) -> Batch:
        groups = rng.permutation(np.arange(size) % 2).astype(np.bool_)
        fed = tuple(self._fed(k, groups, rng) for k in range(len(self.part.fed)))
        weights = self._weights(groups, rng)
        writes = []
        if self.varied == "inputs":
            writes = [(f.address, _bytes(rows)) for f, rows in zip(self.part.fed, fed, strict=True)]
        elif self.part.stored is not None and weights is not None:
            writes = [(self.part.stored.address, _bytes(weights))]
        out = self.part.output
        campaign = self.machine.campaign(
            self._window, writes, take=(*self.leakage.columns, "pc"), points=np.arange(self._records),
            outputs=() if out is None else [(out[0], out[1].itemsize * out[2])], runs=size, instructions=REACH,
        )  # fmt: skip
        self._refuse(campaign)
        pcs = campaign.samples["pc"]
        signal = self.leakage.signal({name: campaign.samples[name] for name in self.leakage.columns})
        laid = self.path.lay(signal, pcs, campaign.lengths, cut=self.cut)
        return Batch(groups, laid, fed, weights, _first(campaign.outputs, size), campaign.lengths)

    def _fed(self, k: int, groups: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any]:
        fed = self.part.fed[k]
        rows = np.tile(self.feed.fixed_row(self.part, fed), (len(groups), 1))
        if self.varied == "inputs":
            rows[groups] = self.feed.random_rows(self.part, fed, int(groups.sum()), rng)
        return rows

    def _weights(self, groups: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any] | None:
        stored = self.part.stored
        if stored is None:
            return None
        rows = np.tile(stored.values, (len(groups), 1))
        if self.varied == "weights":
            rows[groups] = rng.choice(stored.every, (int(groups.sum()), len(stored.values)))
        return rows

    def _refuse(self, campaign: Campaign) -> None:
        wrong = ~np.isin(campaign.ends, (DONE, CUT))
        if wrong.any():
            end = list(RunEnd)[int(campaign.ends[wrong][0])]
            raise MachineError(f"a run of {self.part.window} did not end well", found=end.value)


def _first(outputs: tuple[NDArray[np.uint8], ...], size: int) -> NDArray[np.uint8]:
    return outputs[0] if outputs else np.zeros((size, 0), np.uint8)


def _bytes(rows: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rows).view(np.uint8)
