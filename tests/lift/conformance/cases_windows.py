"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, PAD and PADV2."""

from __future__ import annotations

from functools import partial

from lift.conformance.drawing import ACTIVATIONS, Rng, chance, near, pick, scale, shape, zero_point
from lift.conformance.harness import Setting, setting
from tinymlsec.target.tflite.builder import GraphBuilder


def pool(op: str, rng: Rng) -> Setting:
    full = (int(rng.integers(1, 3)), *shape(rng, 2, 12), int(rng.integers(1, 6)))
    padding = pick(rng, ("SAME", "VALID"))
    reach = [int(rng.integers(1, (n if padding == "VALID" else n + 3) + 1)) for n in full[1:3]]
    strides = shape(rng, 2, 4)
    options = {
        "padding": padding,
        "filter_height": reach[0],
        "filter_width": reach[1],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "fused_activation_function": pick(rng, ACTIVATIONS),
    }
    si, zi = scale(rng), zero_point(rng)
    builder = GraphBuilder()
    x = builder.input(full, "int8", si, zi)
    builder.output(builder.op(op, [x], options=options))
    return setting(builder, f"{op} {full} {options} {(si, zi)}")


def mean(rng: Rng) -> Setting:
    full = shape(rng, int(rng.integers(1, 5)), 9)
    rank = len(full)
    axes = [axis for axis in range(rank) if chance(rng, 0.5)] or [rank - 1]
    if rank == 4 and chance(rng, 0.5):
        axes = [1, 2]
    named = [axis - rank if chance(rng, 0.3) else axis for axis in rng.permutation(axes).tolist()]
    keep = chance(rng, 0.5)
    si, zi = scale(rng), zero_point(rng)
    so, zo = near(rng, si, 8.0), zero_point(rng)
    builder = GraphBuilder()
    x = builder.input(full, "int8", si, zi)
    y = builder.op("MEAN", [x, builder.ints(*named)], scale=so, zero_point=zo, options={"keep_dims": keep})
    builder.output(y)
    return setting(builder, f"MEAN {full} {named} keep {keep} {(si, zi)} {(so, zo)}")


def pad(op: str, rng: Rng) -> Setting:
    full = shape(rng, int(rng.integers(1, 6)), 4)
    pairs = rng.integers(0, 3, (len(full), 2)).astype("int32")
    si, zi = scale(rng), zero_point(rng)
    builder = GraphBuilder()
    inputs = [builder.input(full, "int8", si, zi), builder.constant(pairs)]
    value = int(rng.integers(-128, 128))
    if op == "PADV2":
        inputs.append(builder.constant([value] if chance(rng, 0.5) else value, si, zi, dtype="int8"))
    builder.output(builder.op(op, inputs))
    return setting(builder, f"{op} {full} {pairs.tolist()} {value} {(si, zi)}")


CASES = {
    **{(op, "int8"): partial(pool, op) for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D")},
    ("MEAN", "int8"): mean,
    **{(op, "int8"): partial(pad, op) for op in ("PAD", "PADV2")},
}
