"""One run of the attack on the bus: controls, the recorded inference, what was recovered, weights in the clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks.side_channel import _arch_report as report
from tinymlsec.attacks.side_channel._arch_models import control_model
from tinymlsec.attacks.side_channel._arch_recording import random_inputs
from tinymlsec.attacks.side_channel._arch_run import input_shape
from tinymlsec.attacks.side_channel._arch_truth import Row, compared
from tinymlsec.attacks.side_channel._bus_layers import recognize
from tinymlsec.attacks.side_channel._bus_recording import BusTrace, record_bus
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.records import Control, Metric
from tinymlsec.target.tflite.constant import constant

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel.architecture_from_bus_trace import ArchitectureFromBusTraceConfig
    from tinymlsec.context import Context
    from tinymlsec.figures import Series
    from tinymlsec.target.target import Target

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Done:
    """All that a report needs."""

    rows: list[Row]
    accesses: int
    metrics: tuple[Metric, ...]
    series: Series
    positive: Control
    negative: Control
    facts: dict[str, Any]


def run(target: Target, config: ArchitectureFromBusTraceConfig, context: Context) -> Done:
    """Runs the attack."""
    twin = target.twin("plain")
    context.progress(0, 3, "controls")
    positive, negative = controls(twin, context.rng)
    context.progress(1, 3, "recording one inference")
    trace, true = record_bus(twin, random_inputs(twin, context.rng), config.samples)
    context.progress(2, 3, "recognizing layers")
    guessed = recognize(trace.encrypted() if config.encrypted else trace, input_shape(twin))
    rows = compared(true, guessed)
    right, total = weights_in_the_clear(trace, twin)
    share = share_of(right, total)
    label = "weights that cross the bus" + (", were its data not encrypted" if config.encrypted else ", in the clear")
    step = max(len(trace.addresses) // 2400, 1)
    context.progress(3, 3, "done")
    return Done(
        rows=rows, accesses=len(trace.addresses), positive=positive, negative=negative,
        metrics=(Metric.of("weights_recovered", share.value, low=share.low, high=share.high, n=total, label=label),),
        series=report.series("Accesses to external memory and layers", "address", "address",
                             _ram(trace)[::step].astype(np.float64), step, rows, guessed),
        facts={
            "given": f"addresses and directions of one inference; input shape {list(input_shape(twin))}",
            "encrypted": config.encrypted, "accesses": len(trace.addresses), "writes": int(trace.writes.sum()),
            "weights_on_the_bus": right, "weights": total, "layers": report.table(rows),
        },
    )  # fmt: skip


def _ram(trace: BusTrace) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Addresses within the memory of activations; elsewhere that of the access before."""
    low = int(trace.addresses[trace.writes].min()) if trace.writes.any() else 0
    inside = trace.addresses >= low
    last = np.maximum.accumulate(np.where(inside, np.arange(len(inside)), 0))
    return np.where(inside[last], trace.addresses[last] - low, 0).astype(np.uint32)


def weights_in_the_clear(trace: BusTrace, twin: Twin) -> tuple[int, int]:
    """Weights whose value crossed the bus at their address, and all weights of the model."""
    if trace.values is None:
        return 0, 0
    reads = ~trace.writes
    right = total = 0
    addresses, first = np.unique(trace.addresses[reads], return_index=True)
    values = trace.values[reads][first].astype(np.uint8)
    for op in twin.model.main.operators:
        symbol = twin.image.symbols.get(f"tms_w_{op.index:03d}")
        if op.name not in WEIGHTED or symbol is None:
            continue
        weights = constant(twin.model, twin.model.main.tensors[op.inputs[1]])
        if weights is None or weights.dtype != np.int8:
            continue
        true = weights.ravel().view(np.uint8)
        at = np.searchsorted(addresses, symbol.address + np.arange(len(true)))
        at = np.minimum(at, len(addresses) - 1)
        known = addresses[at] == symbol.address + np.arange(len(true))
        right += int((known & (values[at] == true)).sum())
        total += len(true)
    return right, total


def controls(like: Twin, rng: np.random.Generator) -> tuple[Control, Control]:
    """A small network, and its accesses with shuffled addresses."""
    twin = build_twin(control_model(rng), like.core)
    trace, true = record_bus(twin, random_inputs(twin, rng), 10_000_000)
    rows = compared(true, recognize(trace.encrypted(), input_shape(twin)))
    right, n = sum(row.shape for row in rows), len(rows)
    shuffled = compared(true, recognize(scrambled(trace, rng), input_shape(twin)))
    wrong = sum(row.shape for row in shuffled)
    return (
        Control(
            kind="positive", twin=f"network of {n} known layers", succeeded=right == n,
            detail=f"kind and shape of {right} of {n} layers", metrics=(Metric.of("layers_recovered", right / n, n=n),),
        ),
        Control(
            kind="negative", twin="the same accesses at shuffled addresses", succeeded=wrong == 0,
            detail=f"kind and shape of {wrong} of {n} layers",
            metrics=(Metric.of("layers_recovered", wrong / n, n=n),),
        ),
    )  # fmt: skip


def scrambled(trace: BusTrace, rng: np.random.Generator) -> BusTrace:
    """Every address replaced by another one of the same trace, the same one always by the same."""
    addresses, number = np.unique(trace.addresses, return_inverse=True)
    return BusTrace(rng.permutation(addresses)[number], trace.writes)
