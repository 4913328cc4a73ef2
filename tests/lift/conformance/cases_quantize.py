"""QUANTIZE and DEQUANTIZE between all types that the runtime knows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lift.conformance.drawing import Rng, near, scale, shape, zero_point
from lift.conformance.harness import Setting, setting
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES


def rescale(source: str, target: str, rng: Rng) -> Setting:
    si, zi = scale(rng), zero_point(rng, source)
    widths = [high - low for low, high in (INTEGER_RANGES[source], INTEGER_RANGES[target])]
    so, zo = near(rng, si * widths[0] / widths[1], 8.0), zero_point(rng, target)
    full = shape(rng, int(rng.integers(1, 5)), 8)
    builder = GraphBuilder()
    x = builder.input(full, source, si, zi)
    builder.output(builder.op("QUANTIZE", [x], dtype=target, scale=so, zero_point=zo))
    return setting(builder, f"QUANTIZE {source} -> {target} {full} {(si, zi)} {(so, zo)}")


def from_real(target: str, rng: Rng) -> Setting:
    so, zo = scale(rng), zero_point(rng, target)
    full = shape(rng, int(rng.integers(1, 5)), 8)
    low, high = INTEGER_RANGES[target]

    def feed(rng: Rng, samples: int) -> list[NDArray[Any]]:
        """Values over twice the range, many halfway between codes, some a single step of float32 off it."""
        steps = rng.uniform(low - zo - 200, high - zo + 200, (samples + 2, *full))
        steps[::2] = np.floor(steps[::2]) + 0.5
        values = (steps * so).astype(np.float32)
        values[::4] = np.nextafter(values[::4], np.float32(0))
        values[-2], values[-1] = np.float32(so * (low - zo - 200)), np.float32(so * (high - zo + 200))
        return [values]

    builder = GraphBuilder()
    x = builder.input(full, "float32")
    builder.output(builder.op("QUANTIZE", [x], dtype=target, scale=so, zero_point=zo))
    return setting(builder, f"QUANTIZE float32 -> {target} {full} {(so, zo)}", feed=feed)


def to_real(source: str, rng: Rng) -> Setting:
    si, zi = scale(rng), zero_point(rng, source)
    full = shape(rng, int(rng.integers(1, 5)), 8)
    builder = GraphBuilder()
    x = builder.input(full, source, si, zi)
    builder.output(builder.op("DEQUANTIZE", [x], dtype="float32"))
    return setting(builder, f"DEQUANTIZE {source} {full} {(si, zi)}")


PAIRS = (
    ("int8", "int8"),
    ("int8", "uint8"),
    ("uint8", "int8"),
    ("int8", "int16"),
    ("int16", "int8"),
    ("int16", "int16"),
)
CASES = {
    **{("QUANTIZE", a if a == b else f"{a} -> {b}"): partial(rescale, a, b) for a, b in PAIRS},
    **{("QUANTIZE", f"float32 -> {t}"): partial(from_real, t) for t in ("int8", "int16")},
    **{("DEQUANTIZE", f"{t} -> float32"): partial(to_real, t) for t in ("int8", "uint8", "int16")},
}
