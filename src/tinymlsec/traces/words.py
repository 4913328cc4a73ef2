"""What a set of traces is and is worth, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.traces.look import Looked
from tinymlsec.traces.survey import CLIPPED
from tinymlsec.traces.traceset import Noise, TraceSet


def lines_of(traces: TraceSet, looked: Looked) -> Iterator[tuple[str, str]]:
    """Name and value of each fact; what nobody said is left out.

    Args:
        traces: the set.
        looked: what one pass over it saw.
    """
    info, seen = traces.info, looked.survey
    yield "source", info.source
    yield "basis", info.basis.value
    yield "traces", f"{seen.traces:,} of {seen.samples:,} samples"
    yield "inputs", _inputs(seen.input_bytes, differ=seen.distinct_inputs)
    for name in ("window", "core", "leakage"):
        if value := getattr(info, name):
            yield name, value
    if info.leakage:
        yield "noise", noise_words(info.noise)
    if info.seed is not None:
        yield "seed", str(info.seed)
    if info.sampling_hz:
        yield "sampling", f"{info.sampling_hz:,.7g} Hz"
    yield "addresses", "known" if len(traces.pc) else "not known"
    yield "range", f"{seen.low:.6g} to {seen.high:.6g}; {seen.at_low:.2%} and {seen.at_high:.2%} of values at the ends"
    if seen.clipped and not info.leakage:
        yield "clipping", f"likely: {CLIPPED:.0%} or more of all values stand at an end of the range"
    yield "constant samples", f"{seen.constant_samples:,} of {seen.samples:,}"
    for name, value in (("model", info.model_digest), ("firmware", info.firmware_digest), ("digest", looked.digest)):
        yield name, f"SHA-256 {value}" if value else "not stated"


def _inputs(width: int, *, differ: bool) -> str:
    if not width:
        return "not known: attacks need them"
    return f"{width:,} bytes each, {'they differ' if differ else 'all the same'}"


def noise_words(noise: Noise) -> str:
    """What was added to a simulated signal."""
    words = [f"sigma {noise.sigma:.6g}" if noise.sigma else "none"]
    if noise.snr is not None:
        words.append(f"a ratio of {noise.snr:g} at sample {noise.snr_at}")
    if noise.low_pass > 1:
        words.append(f"moving average of {noise.low_pass} samples")
    if noise.jitter:
        words.append(f"shifts of up to {noise.jitter} samples")
    return ", ".join(words)
