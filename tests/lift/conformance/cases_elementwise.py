"""ADD, SUB and MUL: two inputs, the same input twice, constant operands, broadcasting."""

from __future__ import annotations

from functools import partial

from lift.conformance.drawing import ACTIVATIONS, Rng, chance, codes, near, pick, scale, shape, zero_point
from lift.conformance.harness import Setting, setting
from tinymlsec.target.tflite.builder import GraphBuilder

KINDS = ("inputs", "inputs", "inputs", "constant second", "constant first", "one twice")


def partner(rng: Rng, of: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts against another one."""
    if chance(rng, 0.4):
        return of
    sizes = tuple(1 if chance(rng, 0.5) else size for size in of)
    return sizes[int(rng.integers(0, len(sizes))) :] if chance(rng, 0.5) else sizes


def binary(op: str, rng: Rng) -> Setting:
    first = shape(rng, int(rng.integers(1, 6)))
    second = partner(rng, first)
    s1 = scale(rng)
    s2 = near(rng, s1, 4.0)
    z1, z2, kind = zero_point(rng), zero_point(rng), pick(rng, KINDS)
    natural = s1 * s2 * 120 if op == "MUL" else s1 + s2
    so, zo, activation = near(rng, natural), zero_point(rng), pick(rng, ACTIVATIONS)
    builder = GraphBuilder()
    if kind == "constant first":
        a, b = builder.constant(codes(rng, second), s2, z2), builder.input(first, "int8", s1, z1)
    elif kind == "constant second":
        a, b = builder.input(first, "int8", s1, z1), builder.constant(codes(rng, second), s2, z2)
    elif kind == "one twice":
        a = b = builder.input(first, "int8", s1, z1)
    else:
        a, b = builder.input(first, "int8", s1, z1), builder.input(second, "int8", s2, z2)
        a, b = (b, a) if chance(rng, 0.5) else (a, b)
    options = {"fused_activation_function": activation}
    builder.output(builder.op(op, [a, b], scale=so, zero_point=zo, options=options))
    return setting(builder, f"{op} {kind} {first} {second} {activation} {(s1, z1)} {(s2, z2)} {(so, zo)}")


CASES = {(op, "int8"): partial(binary, op) for op in ("ADD", "SUB", "MUL")}
