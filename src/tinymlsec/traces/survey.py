"""A look at traces before they are attacked: what is missing, constant, clipped, and whether they are those meant."""

from __future__ import annotations

import numpy as np

from tinymlsec.analysis.batches import Constants
from tinymlsec.records import Record
from tinymlsec.traces.traceset import TraceError, TraceSet

CLIPPED = 0.01
"""Share of all values at the largest or smallest one from which an oscilloscope is said to have been overdriven."""


class TraceSurvey(Record):
    """What one pass over a set of traces saw."""

    traces: int
    samples: int
    """Of each trace."""
    input_bytes: int
    """Of each trace; 0: inputs are not known."""
    distinct_inputs: bool
    """Whether inputs differ from trace to trace."""
    constant_samples: int
    """Samples that had one value only."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    at_low: float
    """Share of all values that are the smallest."""
    at_high: float
    """Share of all values that are the largest."""

    @property
    def clipped(self) -> bool:
        """Whether many values stand at an end of the range; simulated whole numbers do so without being clipped."""
        return max(self.at_low, self.at_high) >= CLIPPED


def require_model(traces: TraceSet, model_digest: str) -> None:
    """Refuses traces of another model than the one that is attacked.

    Args:
        traces: a set that may not know its model, which passes.
        model_digest: SHA-256 of the model at hand.

    Raises:
        TraceError: the set says it is of another model.
    """
    stated = traces.info.model_digest
    if stated and stated.lower() != model_digest.lower():
        raise TraceError(
            f"the traces are of another model: {traces.info.source}", found=f"model digest {stated[:200]}",
            expected=model_digest, next_step="give the traces of this model, or the model of these traces",
        )  # fmt: skip


def survey(traces: TraceSet, *, needs_inputs: bool = True) -> TraceSurvey:
    """Goes through a set once, in chunks.

    Args:
        traces: the set.
        needs_inputs: whether traces without inputs are of no use.

    Raises:
        TraceError: no traces, no inputs, the same input for all, or samples that never vary at all.
    """
    constants, inputs = Constants(), Constants()
    width, low, high, at_low, at_high = 0, np.inf, -np.inf, 0, 0
    for chunk in traces.chunks():
        constants.update(chunk.samples)
        width = chunk.inputs.shape[1]
        if width:
            inputs.update(chunk.inputs)
        least, most = float(chunk.samples.min()), float(chunk.samples.max())
        at_low = (at_low if least >= low else 0) + (int((chunk.samples == least).sum()) if least <= low else 0)
        at_high = (at_high if most <= high else 0) + (int((chunk.samples == most).sum()) if most >= high else 0)
        low, high = min(low, least), max(high, most)
    values = len(traces) * traces.samples
    made = TraceSurvey(
        traces=len(traces), samples=traces.samples, input_bytes=width,
        distinct_inputs=bool(width) and not inputs.mask.all(), constant_samples=int(constants.mask.sum()),
        low=float(low), high=float(high), at_low=at_low / values, at_high=at_high / values,
    )  # fmt: skip
    _usable(made, traces.info.source, needs_inputs)
    return made


def _usable(seen: TraceSurvey, source: str, needs_inputs: bool) -> None:
    if seen.constant_samples == seen.samples:
        raise TraceError(
            f"no sample of {source} varies", found=f"{seen.samples} constant samples in {seen.traces} traces",
            expected="samples that depend on the input", next_step="check probe, trigger and range of the oscilloscope",
        )  # fmt: skip
    if needs_inputs and not seen.input_bytes:
        raise TraceError(
            f"{source} has no inputs", found=f"{seen.traces} traces without", expected="the input of each trace",
            next_step="give them as a file, or say where they lie in the data of a trace",
        )  # fmt: skip
    if needs_inputs and seen.traces > 1 and not seen.distinct_inputs:
        raise TraceError(
            f"all traces of {source} have the same input", found=f"{seen.input_bytes} bytes, all constant",
            expected="inputs that differ", next_step="record traces with random inputs",
        )  # fmt: skip
