"""Values that the designer knows and a trace may show: bytes of the input, weights, sums on the way, outputs.

Each is put into classes by the number of bits that are set in it, sign-extended to 32 bits as a register holds it: a
byte's own bits and its sign tell the class, which is what buses and registers of a microcontroller leak first. The
classes are few, so that few traces tell much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._assess_windows import Part

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_traces import Batch
    from tinymlsec.emulate.codegen.style import Style

CLASSES = 33
"""Bits of a word that can be set."""
EACH = 4
"""Values of each kind, spread over what there is."""
KINDS = ("input", "weight", "accumulator", "output")


@dataclass(frozen=True)
class Value:
    """One value."""

    kind: str
    """One of `KINDS`."""
    name: str
    column: int
    """Of the part of a tensor, of the weights, of the sums, or of the outputs."""
    tensor: int = 0
    """Number of the part of a tensor."""


class Values:
    """Values of one window.

    Args:
        part: the window.
        style: of its inner loops.
        weights: weights differ from trace to trace.
        cut: only the beginning of the layer is run.
    """

    def __init__(self, part: Part, style: Style, *, weights: bool, cut: bool) -> None:
        self.part = part
        fed = bool(part.fed) and part.macs is not None and part.fed[0].tensor == part.macs.input_tensor
        self._steps = part.macs.groups(style) if part.macs is not None and part.stored is not None and fed else ()
        self.values = [*([] if weights else self._inputs(cut)), *(self._weights() if weights else [])]
        self.values += [*self._sums(), *self._outputs(cut)]

    def _inputs(self, cut: bool) -> list[Value]:
        made = []
        for k, fed in enumerate(self.part.fed):
            places = np.arange(min(fed.count, 16) if cut else fed.count)
            if k == 0 and self.part.macs is not None:
                places = self.part.macs.inputs[self.part.channels[0]] - fed.first
            words = f"tensor {fed.tensor}, element"
            made += [Value("input", f"{words} {fed.first + column}", column, k) for column in _spread(places)]
        return made

    def _weights(self) -> list[Value]:
        stored, macs = self.part.stored, self.part.macs
        if stored is None:
            return []
        first = self.part.channels[0]
        places = np.arange(len(stored.values)) if macs is None else macs.weights[first] - stored.first
        return [Value("weight", f"weight {stored.first + column}", column) for column in _spread(places)]

    def _sums(self) -> list[Value]:
        channel = self.part.channels[0]
        return [
            Value("accumulator", f"sum of channel {channel} after addition {k + 1} of {len(self._steps)}", k)
            for k in _spread(np.arange(len(self._steps)))
        ]

    def _outputs(self, cut: bool) -> list[Value]:
        if self.part.output is None:
            return []
        count, first = self.part.output[2], self.part.channels[0]
        columns = _spread(np.arange(min(count, 8) if cut else count))
        return [Value("output", f"output {first + column}", column) for column in columns]

    def labels(self, batch: Batch, which: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """(b, v) classes of some traces."""
        columns = {kind: self._columns(kind, batch, which) for kind in {value.kind for value in self.values}}
        made = [columns[value.kind][value.tensor][:, value.column] for value in self.values]
        return np.stack([_bits(column) for column in made], axis=1)

    def _columns(self, kind: str, batch: Batch, which: NDArray[np.bool_]) -> list[NDArray[Any]]:
        if kind == "input":
            return [rows[which] for rows in batch.fed]
        if kind == "weight":
            assert batch.weights is not None
            return [batch.weights[which]]
        if kind == "output":
            assert self.part.output is not None
            return [np.ascontiguousarray(batch.outputs[which]).view(self.part.output[1])]
        return [self.sums(batch, which)]

    def sums(self, batch: Batch, which: NDArray[np.bool_]) -> NDArray[np.int32]:
        """(b, steps) of the window's first channel, after each addition, without bias."""
        macs, stored = self.part.macs, self.part.stored
        assert macs is not None
        assert stored is not None
        channel = self.part.channels[0]
        codes = batch.fed[0][which][:, macs.inputs[channel] - self.part.fed[0].first].astype(np.int32)
        assert batch.weights is not None
        products = (codes + np.int32(macs.offset)) * batch.weights[which][:, macs.weights[channel] - stored.first]
        order = [k for step in self._steps for k in step]
        starts = np.cumsum([0, *map(len, self._steps[:-1])])
        added = np.add.reduceat(products[:, order], starts, axis=1)
        made: NDArray[np.int32] = np.cumsum(added, axis=1, dtype=np.int32)
        return made


def _spread(places: NDArray[np.integer[Any]]) -> list[int]:
    """At most `EACH` of them, the first and the last among them."""
    if not len(places):
        return []
    chosen = np.unique(np.linspace(0, len(places) - 1, min(EACH, len(places))).round().astype(np.int64))
    return [int(place) for place in places[chosen]]


def _bits(column: NDArray[Any]) -> NDArray[np.uint8]:
    """Set bits of each value as a register of 32 bits holds it, at most 32."""
    wide = column.astype(np.int32) if column.dtype.kind in "bi" and column.dtype.itemsize < 4 else column
    raw = np.ascontiguousarray(wide)
    unsigned = raw.view(np.dtype(f"u{raw.dtype.itemsize}"))
    made: NDArray[np.uint8] = np.minimum(np.bitwise_count(unsigned), np.uint8(CLASSES - 1))
    return made
