"""Random shift registers: models that join their input to what they remember, and remember the end of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lift.conformance.cases_shapes import finish, quantization, values_of
from lift.conformance.drawing import Rng, chance, pick, shape
from lift.conformance.harness import Setting
from tinymlsec.target.tflite.builder import GraphBuilder

TYPES = ("int8", "int16", "int32", "float32")


def register(kind: str, rng: Rng, initialized: bool | None = None) -> Setting:
    """Shift registers, one behind the other; with first values from CALL_ONCE, or as the runtime fills them.

    Args:
        kind: type of the values.
        rng: source of all that is drawn.
        initialized: by CALL_ONCE; None to draw it.
    """
    width, steps = int(rng.integers(1, 5)), int(rng.integers(4, 9))
    builder = GraphBuilder()
    x = builder.input((1, int(rng.integers(1, 4)), width), kind, **quantization(rng, kind))
    kept = shape(rng, int(rng.integers(1, 3)), 4)
    first_values = chance(rng, 0.5) if initialized is None else initialized
    if first_values:
        _initialize(rng, builder, x, [(1, k, width) for k in kept])
    entry = builder.snapshot().tensors[x]
    for number, count in enumerate(kept):
        x = _shift(builder, x, number, (1, count, width))
    return finish(builder, x, steps=steps, feed=partial(one_sequence, kind, entry.shape) if first_values else None)


def one_sequence(kind: str, shape: tuple[int, ...], rng: Rng, samples: int) -> list[np.ndarray[Any, Any]]:
    """As many steps as there would be samples. The runtime's reset fills variables with their zero points and does not
    run CALL_ONCE again, so only the first sequence after loading starts from the first values, as a device does."""
    return [values_of(rng, kind, (1, samples, *shape))]


def _initialize(rng: Rng, builder: GraphBuilder, like: int, shapes: list[tuple[int, ...]]) -> None:
    first = builder.subgraph("first values")
    builder.op_many("CALL_ONCE", [], [], {"init_subgraph_index": first.index})
    given = builder.snapshot().tensors[like]
    for number, size in enumerate(shapes):
        values, q = values_of(rng, given.dtype, size), given.quantization
        constant = first.constant(values) if q is None else first.constant(values, q.scale, q.zero_point)
        first.op_many("ASSIGN_VARIABLE", [first.variable_handle(f"register {number}"), constant], [])


def _shift(builder: GraphBuilder, x: int, number: int, kept: tuple[int, ...]) -> int:
    """Output: what was remembered and the input behind it; its end is remembered."""
    handle = builder.variable_handle(f"register {number}")
    like = builder.snapshot().tensors[x]
    q = like.quantization
    scale, zero_point = (q.scale, q.zero_point) if q is not None else (None, 0)
    old = builder.op("READ_VARIABLE", [handle], kept, like.dtype, scale, zero_point)
    joined = builder.op("CONCATENATION", [old, x], options={"axis": 1})
    ends = [builder.ints(0, bound, 0) for bound in (-kept[1], 0)]
    options = {"begin_mask": 0b101, "end_mask": 0b111}
    new = builder.op("STRIDED_SLICE", [joined, *ends, builder.ints(1, 1, 1)], options=options)
    builder.op_many("ASSIGN_VARIABLE", [handle, new], [])
    return joined


def any_type(rng: Rng, initialized: bool | None = None) -> Setting:
    return register(pick(rng, TYPES), rng, initialized)


CASES = {
    **{(name, kind): partial(register, kind) for name in ("READ_VARIABLE", "ASSIGN_VARIABLE") for kind in TYPES},
    ("VAR_HANDLE", "resource"): any_type,
    ("CALL_ONCE", "none"): partial(any_type, initialized=True),
}
