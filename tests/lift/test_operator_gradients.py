"""Gradients of single operators against finite differences of the real-valued functions that they quantize."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.surrogate import surrogate  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402

SI, ZI, SO, ZO = 0.05, 3, 0.04, -9
STEP = 1e-4
CONSTANT = np.array([[11, -40, 90, -3]], np.int8)
SC, ZC = 0.03, 7
REAL_CONSTANT = torch.from_numpy(SC * (CONSTANT.astype(np.float64) - ZC))
POOL = {"filter_height": 2, "filter_width": 3, "stride_h": 1, "stride_w": 2, "padding": "SAME"}
Real = Callable[[Tensor], Tensor]


def average(x: Tensor) -> Tensor:
    images = functional.pad(x.permute(0, 3, 1, 2), (1, 1, 0, 1))
    ones = functional.pad(torch.ones(1, 1, *x.shape[1:3], dtype=x.dtype), (1, 1, 0, 1))
    sums = (functional.avg_pool2d(t, (2, 3), (1, 2), divisor_override=1) for t in (images, ones))
    total, count = sums
    return (total / count).permute(0, 2, 3, 1)


def largest(x: Tensor) -> Tensor:
    images = functional.pad(x.permute(0, 3, 1, 2), (1, 1, 0, 1), value=-1e9)
    return functional.max_pool2d(images, (2, 3), (1, 2)).permute(0, 2, 3, 1)


IMAGE, ROW = (1, 4, 5, 2), (1, 4)
OPERATORS: dict[str, tuple[tuple[int, ...], Real, dict[str, object], tuple[float, int]]] = {
    "RELU": ((1, 24), torch.relu, {}, (SO, ZO)),
    "RELU6": ((1, 24), lambda x: x.clamp(0, 6), {}, (SI, ZI)),
    "LEAKY_RELU": ((1, 24), lambda x: torch.where(x > 0, x, 0.3 * x), {"alpha": 0.3}, (SO, ZO)),
    "LOGISTIC": ((1, 24), torch.sigmoid, {}, (1 / 256, -128)),
    "TANH": ((1, 24), torch.tanh, {}, (1 / 128, 0)),
    "SOFTMAX": ((2, 6), lambda x: torch.softmax(0.7 * x, -1), {"beta": 0.7}, (1 / 256, -128)),
    "QUANTIZE": ((1, 24), lambda x: x, {}, (SO, ZO)),
    "DEQUANTIZE": ((1, 24), lambda x: x, {}, (1.0, 0)),
    "AVERAGE_POOL_2D": (IMAGE, average, POOL, (SI, ZI)),
    "MAX_POOL_2D": (IMAGE, largest, POOL, (SI, ZI)),
    "MEAN": (IMAGE, lambda x: x.mean((1, 2)), {}, (SO, ZO)),
    "PAD": (ROW, lambda x: functional.pad(x, (2, 1)), {}, (SI, ZI)),
    "PADV2": (ROW, lambda x: functional.pad(x, (2, 1), value=SI * (5 - ZI)), {}, (SI, ZI)),
    "ADD": (ROW, lambda x: x + REAL_CONSTANT, {}, (SO, ZO)),
    "SUB": (ROW, lambda x: x - REAL_CONSTANT, {}, (SO, ZO)),
    "MUL": (ROW, lambda x: x * REAL_CONSTANT, {}, (SO, ZO)),
    "SUB constant first": (ROW, lambda x: REAL_CONSTANT - x, {}, (SO, ZO)),
    "MUL itself": (ROW, lambda x: x * x, {}, (0.2, ZO)),
}


def lifted(name: str) -> LiftedGraph:
    op, _, kind = name.partition(" ")
    shape, _, options, (scale, zero_point) = OPERATORS[name]
    builder = GraphBuilder()
    x = builder.input(shape, "int8", SI, ZI)
    inputs = [x]
    if op in ("ADD", "SUB", "MUL"):
        other = x if kind == "itself" else builder.constant(CONSTANT, SC, ZC)
        inputs = [other, x] if kind == "constant first" else [x, other]
    elif op == "MEAN":
        inputs.append(builder.ints(1, 2))
    elif op.startswith("PAD"):
        inputs.append(builder.constant(np.array([[0, 0], [2, 1]], np.int32)))
        if op == "PADV2":
            inputs.append(builder.constant(5, SI, ZI, dtype="int8"))
    real = {"dtype": "float32"} if op == "DEQUANTIZE" else {"scale": scale, "zero_point": zero_point}
    builder.output(builder.op(op, inputs, options=options, **real))  # type: ignore[arg-type]
    return LiftedGraph(builder.build())


def sample(name: str, rng: np.random.Generator) -> Tensor:
    """Distinct codes that are not the zero point: there neither a maximum nor a kink is ambiguous."""
    shape = OPERATORS[name][0]
    codes = np.setdiff1d(np.arange(-128, 128), [ZI])
    chosen = rng.choice(codes, int(np.prod(shape)), replace=False).reshape(shape)
    return torch.from_numpy(chosen[None].astype(np.float32))


def differences(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Central differences of a function of codes, element by element."""
    flat = at.reshape(-1)
    result = torch.zeros_like(flat)
    for k in range(len(flat)):
        step = torch.zeros_like(flat)
        step[k] = STEP
        high, low = (function((flat + sign * step).reshape(at.shape)) for sign in (1, -1))
        result[k] = (high - low) / (2 * STEP)
    return result.reshape(at.shape)


@pytest.mark.parametrize("name", OPERATORS)
def test_gradient_is_that_of_the_real_function(name: str) -> None:
    _, function, _, (scale, zero_point) = OPERATORS[name]
    graph, rng = lifted(name), np.random.default_rng(4)
    agree = moving = total = 0
    for _ in range(6):
        x = sample(name, rng).requires_grad_()
        y = graph(x)
        weights = torch.from_numpy(rng.normal(size=tuple(y.shape)))
        (gradient,) = torch.autograd.grad((y.double() * weights).sum(), x)

        def real(codes: Tensor, weights: Tensor = weights) -> Tensor:
            result = function(SI * (codes - ZI)) / scale + zero_point
            unbounded = name in ("SOFTMAX", "LOGISTIC", "TANH", "DEQUANTIZE")
            return ((result if unbounded else result.clamp(-128, 127)) * weights[0]).sum()

        expected = differences(real, x.detach()[0].double())
        close = (gradient[0] - expected).abs() <= 1e-3 * expected.abs().max() + 1e-6
        agree, total = agree + int(close.sum()), total + close.numel()
        moving += int((expected != 0).sum())
    assert moving >= total / 4
    assert agree >= 0.97 * total, f"{agree} of {total} agree"  # one code beside the clamp may fall on either side


@pytest.mark.parametrize("name", ["ADD", "MUL", "QUANTIZE", "RELU", "MEAN"])
def test_smooth_surrogate_lets_saturated_outputs_move(name: str) -> None:
    graph = lifted(name)
    x = torch.full((1, *OPERATORS[name][0]), 127.0 if name != "RELU" else -2.0, requires_grad=True)
    if name in ("ADD", "QUANTIZE", "MEAN"):
        graph = saturating(name)
    with surrogate("straight_through"):
        (hard,) = torch.autograd.grad(graph(x).sum(), x)
    with surrogate("smooth"):
        (soft,) = torch.autograd.grad(graph(x).sum(), x)
    assert int((soft != 0).sum()) > int((hard != 0).sum())


def saturating(name: str) -> LiftedGraph:
    """The operator with an output scale so small that the largest input saturates."""
    builder = GraphBuilder()
    x = builder.input(OPERATORS[name][0], "int8", SI, ZI)
    inputs = {"ADD": [x, x], "QUANTIZE": [x], "MEAN": [x, builder.ints(1, 2)] if name == "MEAN" else []}[name]
    builder.output(builder.op(name, inputs, scale=SI / 1.1, zero_point=60))
    return LiftedGraph(builder.build())
