"""Options and shapes that operators do not cover are refused by name when they are built, with what still works."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from tinymlsec.errors import UnsupportedModelError  # noqa: E402
from tinymlsec.lift.op import Site  # noqa: E402
from tinymlsec.lift.ops import lookup  # noqa: E402
from tinymlsec.lift.profiles import profile_named  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402

Make = Callable[[GraphBuilder, int], int]


def unary(op: str, scale: float = 0.1, zero_point: int = 0, **options: float | str) -> Make:
    return lambda b, x: b.op(op, [x], scale=scale, zero_point=zero_point, options=options)


def pool(shape: tuple[int, ...], **changes: float | str) -> Make:
    options = {"padding": "VALID", "filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1} | changes

    def make(b: GraphBuilder, x: int) -> int:
        image = b.op("RESHAPE", [x, b.ints(1, 4, 4, 1)])
        return b.op("AVERAGE_POOL_2D", [image], shape, options=options)  # type: ignore[arg-type]

    return make


def mean_of_computed_axes(b: GraphBuilder, x: int) -> int:
    shape = b.op("SHAPE", [x], dtype="int32", options={"out_type": "int32"})
    return b.op("MEAN", [x, shape], (1,), scale=0.1)


def pad(pairs: list[list[int]], shape: tuple[int, ...], *filling: tuple[int, float]) -> Make:
    def make(b: GraphBuilder, x: int) -> int:
        values = [b.constant(value, scale, dtype="int8") for value, scale in filling]
        op = "PADV2" if filling else "PAD"
        return b.op(op, [x, b.constant(np.array(pairs, np.int32)), *values], shape)

    return make


CASES: dict[str, tuple[Make, str]] = {
    "sum of scales too far apart": (lambda b, x: b.op("ADD", [x, x], scale=1e-9), "brought to one"),
    "activation without codes": (
        lambda b, x: b.op("ADD", [x, x], scale=1e-9, options={"fused_activation_function": "RELU6"}),
        "not lifted",
    ),
    "sum of other shape": (
        lambda b, x: b.op("ADD", [x, b.constant(np.zeros((2, 1), np.int8), 0.1)], (1, 16), scale=0.1),
        "do not give",
    ),
    "logistic around zero": (unary("LOGISTIC", 1 / 256, 0), "zero point of its output is not -128"),
    "softmax of another scale": (unary("SOFTMAX", 1 / 255, -128, beta=1.0), "not 1/256 from -128"),
    "softmax without slope": (unary("SOFTMAX", 1 / 256, -128, beta=0.0), "cannot rescale"),
    "pool beyond the image": (pool((1, 4, 4, 1)), "do not lead from"),
    "pool without stride": (pool((1, 3, 3, 1), stride_h=0), "by steps"),
    "pool with same padding and fewer outputs": (pool((1, 3, 3, 1), padding="SAME"), "do not lead from"),
    "mean over computed axes": (mean_of_computed_axes, "axes is computed at run time"),
    "negative padding": (pad([[0, 0], [-1, 0]], (1, 15)), "paddings"),
    "padding to another shape": (pad([[0, 0], [1, 0]], (1, 18)), "do not give"),
    "filling of another scale": (pad([[0, 0], [1, 0]], (1, 17), (3, 0.7)), "differs from the output"),
    "types without a row": (lambda b, x: b.op("QUANTIZE", [x], dtype="int32", scale=0.1), "types int8"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name(case: str) -> None:
    make, words = CASES[case]
    builder = GraphBuilder()
    x = builder.input((1, 16), "int8", 0.1, 0)
    builder.output(make(builder, x))
    model = builder.build()
    operator = model.main.operators[-1]
    site = Site(model, model.main, operator, profile_named("tflm"))
    with pytest.raises(UnsupportedModelError) as caught:
        lookup(site).build(site)
    text = str(caught.value)
    assert operator.name in text
    assert words in text
    assert "still work" in text
