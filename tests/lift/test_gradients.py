"""Gradients compared: the staircase's own is zero, and what stands for it points the same way as measured slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the lift needs PyTorch")

from tinymlsec.lift.border import LogitsView  # noqa: E402
from tinymlsec.lift.gradients import backward, coordinate_differences, cosine, spsa  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.target.space import InputSpace, input_space  # noqa: E402
from tinymlsec.target.tflite.builder import GraphBuilder  # noqa: E402
from tinymlsec.target.tflite.classifiers import dense_int8  # noqa: E402
from tinymlsec.target.tflite.graph import Model  # noqa: E402
from tinymlsec.target.tflite.reader import read_model  # noqa: E402

SIDE = 24


def two_layers() -> Model:
    """24 inputs, 16 hidden units with RELU, one score fine enough to see single steps of the input."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder("two layers")
    x = builder.input((1, SIDE), "int8", 0.05, 0)
    first, second = rng.normal(0, 1, (16, SIDE)), rng.normal(0, 1, (2, 16))
    hidden = dense_int8(
        builder, x, first, [0.1] * 16, output_scale=0.1, output_zero_point=-128, activation="RELU", name="hidden"
    )
    builder.output(dense_int8(builder, hidden, second, [0.0, 0.0], output_scale=0.5, output_zero_point=0))
    return read_model(builder.tobytes())


@pytest.fixture(scope="module")
def values() -> Any:
    model = two_layers()
    view = LogitsView(LiftedGraph(model), input_space(model))

    def difference(codes: Any) -> Any:
        scores = view(codes)
        return scores[:, 0] - scores[:, 1]

    return difference


@pytest.fixture(scope="module")
def codes() -> Any:
    return torch.from_numpy(np.random.default_rng(1).integers(-60, 61, (6, SIDE)).astype(np.float32))


def test_the_staircases_own_derivative_is_zero(values: Any, codes: Any) -> None:
    rounded = coordinate_differences(lambda c: values(torch.round(c)), codes, step=0.4)
    assert bool((rounded == 0).all())
    assert bool((backward(values, codes) != 0).any())


@pytest.mark.parametrize("kind", ["straight_through", "smooth"])
def test_surrogates_point_where_measured_slopes_point(values: Any, codes: Any, kind: Any) -> None:
    measured = coordinate_differences(values, codes, step=8.0)
    assert float(cosine(backward(values, codes, kind), measured).min()) > 0.8


def test_simultaneous_perturbation_comes_closer_with_more_draws(values: Any, codes: Any) -> None:
    reference = backward(values, codes)
    few, many = (
        float(cosine(spsa(values, codes, np.random.default_rng(2), step=4.0, draws=d), reference).mean())
        for d in (8, 512)
    )
    assert few < many
    assert many > 0.8


def test_both_measures_are_exact_on_a_linear_function(codes: Any) -> None:
    weights = torch.arange(SIDE, dtype=torch.float32)
    linear = lambda c: c @ weights  # noqa: E731
    assert torch.allclose(coordinate_differences(linear, codes), weights.expand(6, SIDE), atol=1e-2)
    estimate = spsa(linear, codes[:1], np.random.default_rng(0), draws=4000)
    assert float(cosine(estimate, weights[None])) > 0.95


def test_smoothing_keeps_a_way_back_from_saturation() -> None:
    builder = GraphBuilder("saturated")
    x = builder.input((1, 4), "int8", 1.0, 0)
    builder.output(dense_int8(builder, x, [[1.0] * 4], [0.0], output_scale=1.0, output_zero_point=0))
    model = read_model(builder.tobytes())
    view = LogitsView(LiftedGraph(model), input_space(model))
    full = torch.full((1, 4), 33.0)  # the sum is 132, the score is clamped to 127
    assert bool((backward(lambda c: view(c)[:, 0], full) == 0).all())
    assert bool((backward(lambda c: view(c)[:, 0], full, "smooth") > 0).all())


@pytest.mark.parametrize("source", ["straight_through", "smooth", "spsa"])
def test_every_source_of_gradients_drives_an_attack(source: str) -> None:
    """Success within 12 steps, with gradients of each kind, on inputs that random signs of that size leave alone."""
    model = two_layers()
    space: InputSpace = input_space(model)
    view = LogitsView(LiftedGraph(model), space)
    rng = np.random.default_rng(4)
    x = torch.from_numpy(rng.integers(-30, 31, (40, SIDE)).astype(np.float32))
    own = torch.sign(view(x)[:, 0] - view(x)[:, 1]).detach()
    kept = own != 0
    x, own = x[kept], own[kept]

    def values_of(sign: Any) -> Any:
        return lambda c: (view(c)[:, 0] - view(c)[:, 1]) * sign

    change = torch.zeros_like(x)
    for _ in range(8):
        if source == "spsa":
            rows = [spsa(values_of(s), c[None], rng, step=2.0, draws=32) for c, s in zip(x + change, own, strict=True)]
            gradient = torch.cat(rows)
        else:
            gradient = backward(values_of(own), x + change, source)  # type: ignore[arg-type]
        change = (change - 3 * torch.sign(gradient)).clamp(-12, 12)
    flipped = float(((view(x + change)[:, 0] - view(x + change)[:, 1]) * own < 0).float().mean())
    noise = torch.from_numpy(rng.choice([-12.0, 12.0], tuple(x.shape)).astype(np.float32))
    at_random = float(((view(x + noise)[:, 0] - view(x + noise)[:, 1]) * own < 0).float().mean())
    assert flipped > 0.9 > 2 * at_random
