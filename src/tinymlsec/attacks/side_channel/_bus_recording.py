"""What crosses the bus to external memories in one inference: addresses, directions and, unless encrypted, data.

External are the arena of activations (a PSRAM) and the tables of weights, biases and scales (a flash). Code, stack and
parameters of layers are taken to lie inside the chip. There is no cache: every access of the core is one on the bus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_recording import PORTION, portions
from tinymlsec.attacks.side_channel._arch_truth import TrueLayer, facts_of
from tinymlsec.emulate.contract import READS, WRITES, Probe
from tinymlsec.emulate.twin import ARENA, Twin
from tinymlsec.errors import InputError

TABLES = ("tms_w_", "tms_b_", "tms_m_", "tms_s_")


@dataclass(frozen=True)
class BusTrace:
    """What a probe on the bus sees of one inference, in order.

    Raises:
        InputError: arrays that do not belong together.
    """

    addresses: NDArray[np.uint32]
    """(n,) of bytes, or of the first byte of a word"""
    writes: NDArray[np.bool_]
    """(n,)"""
    values: NDArray[np.uint32] | None = None
    """(n,) data; None where it is encrypted"""

    def __post_init__(self) -> None:
        lengths = [len(a) for a in (self.addresses, self.writes, self.values) if a is not None]
        if len(set(lengths)) != 1 or any(a.ndim != 1 for a in (self.addresses, self.writes)):
            raise InputError("a bus trace", found=f"arrays of {lengths}", expected="one direction for each address")
        if not lengths[0]:
            raise InputError("a bus trace without accesses", next_step="check which memories the probe is at")

    def encrypted(self) -> BusTrace:
        """The same with data that tells nothing."""
        return BusTrace(self.addresses, self.writes)


def record_bus(twin: Twin, inputs: Sequence[NDArray[np.generic]], most: int) -> tuple[BusTrace, list[TrueLayer]]:
    """One inference on the bus, and, for the evaluation, the accesses in which each layer runs.

    Raises:
        BudgetExceeded: more instructions than `most`.
        MachineError: the inference does not end well.
    """
    symbols = twin.image.symbols
    spans = [(s.address, s.address + s.size) for n, s in symbols.items() if n == ARENA or n.startswith(TABLES)]
    begins_at = {symbols[layer.symbol].address: layer.index for layer in twin.program.layers if layer.symbol in symbols}
    edges = np.array(sorted(spans), np.int64)
    parts: list[tuple[NDArray[np.uint32], NDArray[np.bool_], NDArray[np.uint32]]] = []
    begins: dict[int, int] = {}
    made = 0
    with twin.start() as started:
        for records in portions(started, inputs, Probe(addresses=True, values=True, limit=PORTION + 8), most):
            outside = _external(records, edges)
            before = np.cumsum(outside)
            for address, index in begins_at.items():
                if index not in begins and len(at := np.flatnonzero(records["pc"] == address)):
                    begins[index] = made + int(before[at[0]])
            seen = records[outside]
            parts.append((seen["address"].copy(), (seen["flags"] & WRITES) > 0, seen["bus"].copy()))
            made += len(seen)
    addresses, writes, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return BusTrace(addresses, writes, values), _layers(twin, begins, made)


def _external(records: NDArray[np.void], edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    address = records["address"].astype(np.int64)
    at = np.maximum(np.searchsorted(edges[:, 0], address, "right") - 1, 0)
    inside = (address >= edges[at, 0]) & (address < edges[at, 1])
    external: NDArray[np.bool_] = inside & ((records["flags"] & (READS | WRITES)) > 0)
    return external


def _layers(twin: Twin, begins: dict[int, int], made: int) -> list[TrueLayer]:
    ordered = sorted((begin, index) for index, begin in begins.items())
    ends = [begin for begin, _ in ordered[1:]] + [made]
    operators = twin.model.main.operators
    return [
        TrueLayer(index, operators[index].name, *facts_of(twin.model, operators[index]), begin, end)
        for (begin, index), end in zip(ordered, ends, strict=True)
    ]
