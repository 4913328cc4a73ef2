"""The profiles of LiteRT's runtimes, operator by operator, against LiteRT itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs tinymlsec[litert]")

from lift.conformance.drawing import Rng, near, pick, scale, zero_point  # noqa: E402
from lift.conformance.harness import Setting, on_lift  # noqa: E402
from lift.conformance.harness import setting as made  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402
from tinymlsec.target.tflite.writer import write_model  # noqa: E402

CODES = np.arange(-128, 128, dtype=np.int8)
PAIRS = [axis.reshape(1, -1) for axis in np.meshgrid(CODES, CODES, indexing="ij")]
SETTINGS = 12
Case = tuple[Setting, list[NDArray[np.int8]]]


def pairs(op: str, rng: Rng) -> Case:
    """All 65,536 pairs of codes."""
    s1 = scale(rng)
    s2 = near(rng, s1, 6.0)
    so = near(rng, s1 * s2 * 120 if op == "MUL" else s1 + s2)
    builder = GraphBuilder()
    inputs = [builder.input((1, CODES.size**2), "int8", s, zero_point(rng)) for s in (s1, s2)]
    options = {"fused_activation_function": pick(rng, ("NONE", "RELU"))}
    builder.output(builder.op(op, inputs, scale=so, zero_point=zero_point(rng), options=options))
    return made(builder, f"{op} {s1} {s2} {so}"), PAIRS


def codes(op: str, rng: Rng) -> Case:
    """All 256 codes."""
    si = scale(rng)
    so = {"LOGISTIC": 1 / 256, "TANH": 1 / 128, "SOFTMAX": 1 / 256}.get(op, near(rng, si, 8.0))
    zo = {"LOGISTIC": -128, "TANH": 0, "SOFTMAX": -128}.get(op, zero_point(rng))
    options = {"alpha": float(np.float32(pick(rng, (0.0, 0.01, 0.3, 1.7))))} if op == "LEAKY_RELU" else {}
    options |= {"beta": 1.0} if op == "SOFTMAX" else {}
    builder = GraphBuilder()
    x = builder.input((1, CODES.size), "int8", si, zero_point(rng))
    builder.output(builder.op(op, [x], scale=so, zero_point=zo, options=options))
    return made(builder, f"{op} {si} {so} {zo} {options}"), [rng.permutation(CODES)[None]]


def telling(op: str, rng: Rng) -> Case:
    """All codes at ratios of scales all but halfway between codes: their precision decides."""
    so = scale(rng, 0.05, 0.3)
    si = float(np.float32(so * (rng.integers(1, 100) + 0.5) / rng.integers(3, 120)))
    builder = GraphBuilder()
    x = builder.input((1, CODES.size), "int8", si, 0)
    builder.output(builder.op(op, [x], scale=so, options={"alpha": 0.7} if op == "LEAKY_RELU" else {}))
    return made(builder, f"{op} {si} {so}"), [CODES[None]]


def images(op: str, rng: Rng) -> Case:
    """Random images."""
    si, zi = scale(rng), zero_point(rng)
    builder = GraphBuilder()
    x = builder.input((1, 8, 8, 16), "int8", si, zi)
    if op == "MEAN":
        more: dict[str, Any] = {"options": {"keep_dims": True}, "scale": near(rng, si), "zero_point": zero_point(rng)}
        builder.output(builder.op(op, [x, builder.ints(1, 2)], **more))
    else:
        pool = {"padding": pick(rng, ("SAME", "VALID")), "filter_height": 3, "filter_width": 2}
        builder.output(builder.op(op, [x], options={**pool, "stride_h": 2, "stride_w": 1}))
    return made(builder, f"{op} {si} {zi}"), [rng.integers(-128, 128, (1, 8, 8, 16)).astype(np.int8)]


MAKERS = {
    **{f"{op} at ties": partial(telling, op) for op in ("RELU", "LEAKY_RELU")},
    **{op: partial(pairs, op) for op in ("ADD", "SUB", "MUL")},
    **{op: partial(codes, op) for op in ("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "SOFTMAX", "QUANTIZE")},
    **{op: partial(images, op) for op in ("MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D")},
}
NOT_IN_RUY = {
    "QUANTIZE": "LiteRT's vectorized int8 QUANTIZE rounds full vectors otherwise than the rest",
    "MEAN": "LiteRT's own MEAN rounds otherwise at some counts",
}


def litert(case: Setting, inputs: list[NDArray[np.int8]], profile: str) -> NDArray[Any]:
    kinds = interpreter.OpResolverType
    kind = kinds.BUILTIN if profile == "xnnpack" else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = interpreter.Interpreter(
        model_content=write_model(case.model), experimental_op_resolver_type=kind, num_threads=1
    )
    run.allocate_tensors()
    for index, value in zip(case.model.main.inputs, inputs, strict=True):
        run.set_tensor(index, value)
    run.invoke()
    result: NDArray[Any] = run.get_tensor(case.model.main.outputs[0])
    return result


@pytest.mark.parametrize("profile", ["ruy", "xnnpack"])
@pytest.mark.parametrize("op", MAKERS)
def test_operator_equals_litert(op: str, profile: str) -> None:
    if profile == "ruy" and op in NOT_IN_RUY:
        pytest.skip(NOT_IN_RUY[op])
    for number in range(SETTINGS):
        case, inputs = MAKERS[op](np.random.default_rng([17, number]))
        real = litert(case, inputs, profile)
        (ours,) = on_lift(case, [value[None] for value in inputs], profile)
        np.testing.assert_array_equal(ours.reshape(real.shape), real, err_msg=case.note)


@pytest.mark.parametrize("op", ["MUL", "QUANTIZE"])
def test_profiles_differ(op: str) -> None:
    """Inputs on which TensorFlow Lite Micro and XNNPACK do not agree exist: the profiles are worth having."""
    differ = 0
    for number in range(SETTINGS):
        case, inputs = MAKERS[op](np.random.default_rng([17, number]))
        ours, theirs = (on_lift(case, [value[None] for value in inputs], name)[0] for name in ("tflm", "xnnpack"))
        differ += int((ours != theirs).sum())
    assert differ > 0
