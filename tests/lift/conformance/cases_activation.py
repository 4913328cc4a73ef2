"""RELU, RELU6, LEAKY_RELU, LOGISTIC, TANH and SOFTMAX."""

from __future__ import annotations

from functools import partial

import numpy as np

from lift.conformance.drawing import Rng, chance, near, pick, scale, shape, zero_point
from lift.conformance.harness import Setting, setting
from tinymlsec.target.tflite.builder import GraphBuilder

ALL_CODES = 256


def size(rng: Rng) -> tuple[int, ...]:
    """Mostly all codes at once, so that a sample meets nearly every one of them."""
    return (1, ALL_CODES) if chance(rng, 0.6) else shape(rng, int(rng.integers(1, 6)))


def unary(op: str, rng: Rng) -> Setting:
    si, zi, full = scale(rng), zero_point(rng), size(rng)
    so, zo = near(rng, si, 8.0), zero_point(rng)
    options = {}
    if op == "LEAKY_RELU":
        options["alpha"] = float(
            np.float32(pick(rng, (0.0, 0.01, 0.1, 0.3, 0.5, 1.0, 1.7, -0.4, -1.0, float(rng.random()))))
        )
    if op == "RELU6" and chance(rng, 0.7):
        so, zo = si, zi
    builder = GraphBuilder()
    x = builder.input(full, "int8", si, zi)
    builder.output(builder.op(op, [x], scale=so, zero_point=zo, options=options))
    return setting(builder, f"{op} {full} {options} {(si, zi)} {(so, zo)}")


def curve(op: str, rng: Rng) -> Setting:
    si, zi, full = scale(rng, 0.001, 2.0), zero_point(rng), size(rng)
    so, zo = (1 / 256, -128) if op == "LOGISTIC" else (1 / 128, 0)
    builder = GraphBuilder()
    x = builder.input(full, "int8", si, zi)
    builder.output(builder.op(op, [x], scale=so, zero_point=zo))
    return setting(builder, f"{op} {full} {(si, zi)}")


def softmax(dtype: str, rng: Rng) -> Setting:
    si, zi = scale(rng, 0.002, 2.0), zero_point(rng)
    classes = int(pick(rng, (1, 2, 3, 10, 12, 40, 500)))
    full = (*shape(rng, int(rng.integers(0, 4)), 3), classes)
    so, zo = (1 / 256, -128) if dtype == "int8" else (1 / 65536, -32768)
    options = {"beta": float(np.float32(pick(rng, (1.0, 1.0, 0.5, 2.5))))}
    builder = GraphBuilder()
    x = builder.input(full, "int8", si, zi)
    builder.output(builder.op("SOFTMAX", [x], dtype=dtype, scale=so, zero_point=zo, options=options))
    return setting(builder, f"SOFTMAX {full} {options} {(si, zi)}")


CASES = {
    **{(op, "int8"): partial(unary, op) for op in ("RELU", "RELU6", "LEAKY_RELU")},
    **{(op, "int8"): partial(curve, op) for op in ("LOGISTIC", "TANH")},
    ("SOFTMAX", "int8"): partial(softmax, "int8"),
    ("SOFTMAX", "int8 -> int16"): partial(softmax, "int16"),
}
