"""Requantization, bounds of sums and padding, against definitions that are computed another way."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from tinymlsec.lift.arithmetic import wrap  # noqa: E402
from tinymlsec.lift.ops.convolution import padding  # noqa: E402
from tinymlsec.lift.profiles import SumRounding  # noqa: E402
from tinymlsec.lift.rescale import Rescale, thresholds  # noqa: E402
from tinymlsec.lift.surrogate import surrogate  # noqa: E402
from tinymlsec.lift.weighted import straight_through_round, sum_bounds  # noqa: E402
from tinymlsec.target.tflite.requant import (  # noqa: E402
    Rounding,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)

ROUNDINGS: tuple[Rounding, ...] = ("double", "double_up", "single")
OUTPUTS = [(-128, (-128, 127)), (3, (-128, 127)), (127, (-128, 127)), (-20, (-20, 40)), (0, (0, 255))]
LARGEST = 2**24 - 1


def ratios(rng: np.random.Generator) -> np.ndarray:
    """Powers of two and their neighbors, where ties are exact; random ones down to dead channels."""
    powers = 2.0 ** -rng.integers(0, 16, 12)
    return np.concatenate([powers, powers * (1 + 2.0**-30), powers * (1 - 2.0**-30), 2.0 ** rng.uniform(-31, 3, 40)])


def edge_sums(rng: np.random.Generator, real: np.ndarray, count: int = 200) -> np.ndarray:
    """(count, channels): random sums, extremes, and sums within three of a place where the code changes."""
    near = (rng.integers(-300, 300, (count, real.size)) + 0.5) / real + rng.integers(-3, 4, (count, real.size))
    anywhere = rng.integers(-LARGEST, LARGEST + 1, (count, real.size))
    ends = np.array([-LARGEST, -LARGEST + 1, -1, 0, 1, LARGEST - 1, LARGEST])[:, None] + np.zeros_like(real)
    return np.concatenate([near.clip(-LARGEST, LARGEST), anywhere, ends]).astype(np.int64)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("zero_point", "bounds"), OUTPUTS)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_codes_equal_the_reference(
    rounding: Rounding, zero_point: int, bounds: tuple[int, int], kind: torch.dtype
) -> None:
    rng = np.random.default_rng(7)
    for _ in range(2):
        real = ratios(rng)
        multiplier, shift = quantize_multiplier(real, rounding)
        rescale = Rescale(multiplier, shift, real, zero_point, bounds, rounding)
        rescale.prepare(LARGEST)
        assert rescale.fast
        sums = edge_sums(rng, real)
        exact = multiply_by_quantized_multiplier(sums, multiplier, shift, rounding) + zero_point
        codes = rescale(torch.from_numpy(sums).to(kind)).numpy()
        np.testing.assert_array_equal(codes, exact.clip(*bounds))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_thresholds_are_where_the_reference_rises(rounding: Rounding) -> None:
    real = ratios(np.random.default_rng(1))
    real = real[(real < 1) & (real > 2.0**-12)]
    multiplier, shift = (a.astype(np.int64) for a in quantize_multiplier(real, rounding))
    levels = np.arange(-300, 300)
    rise = thresholds(multiplier, shift, rounding, levels)
    assert (multiply_by_quantized_multiplier(rise, multiplier, shift, rounding) >= levels[:, None]).all()
    assert (multiply_by_quantized_multiplier(rise - 1, multiplier, shift, rounding) < levels[:, None]).all()


def test_a_staircase_that_differs_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    real = np.array([0.0123, 0.0101])
    multiplier, shift = quantize_multiplier(real)
    right = Rescale(multiplier, shift, real, 0, (-128, 127), "double")
    staircase = Rescale.staircase
    monkeypatch.setattr(Rescale, "staircase", lambda self, sums: staircase(self, sums + 1))
    wrong = Rescale(multiplier, shift, real, 0, (-128, 127), "double")
    assert right.proven
    assert not wrong.proven
    sums = torch.arange(-9000.0, 9000.0)[:, None] * torch.ones(2)
    exact = multiply_by_quantized_multiplier(sums.numpy().astype(np.int64), multiplier, shift).clip(-128, 127)
    np.testing.assert_array_equal(wrong(sums).numpy(), exact)  # in the runtime's own arithmetic


def test_left_shifts_that_wrap_and_negative_multipliers_use_the_runtimes_arithmetic() -> None:
    real = np.array([37.5])
    multiplier, shift = quantize_multiplier(real)
    rescale = Rescale(multiplier, shift, real, 0, (-128, 127), "double")
    rescale.prepare(2.0**20)
    assert rescale.fast
    rescale.prepare(2.0**27)
    assert not rescale.fast
    sums = np.array([[2**26], [-(2**26)], [2**25 + 12345], [3]])
    exact = multiply_by_quantized_multiplier(sums, multiplier, shift).clip(-128, 127)
    np.testing.assert_array_equal(rescale(torch.from_numpy(sums).double()).numpy(), exact)
    negative, shift = quantize_multiplier(np.array([-0.25]))
    falling = Rescale(negative, shift, [-0.25], 1, (-128, 127), "double")
    assert not falling.fast
    assert falling(torch.tensor([[100.0]])).item() == -24


def test_float32_rounding_is_to_the_nearest_even_code() -> None:
    rescale = Rescale([2**30], [0], [0.5], 0, (-128, 127), "float32")
    assert rescale(torch.tensor([1.0, 3.0, 5.0, -1.0, -3.0, 900.0])).tolist() == [0, 2, 2, 0, -2, 127]


@pytest.mark.parametrize("rounding", [*ROUNDINGS, "float32"])
def test_gradient_passes_where_nothing_was_clamped(rounding: SumRounding) -> None:
    real = np.array([0.01, 0.02])
    multiplier, shift = quantize_multiplier(real)
    rescale = Rescale(multiplier, shift, real, -128, (-128, 127), rounding)
    sums = torch.tensor(
        [[-10000.0, -10000.0], [10.0, 10.0], [25500.0, 12750.0], [90000.0, 90000.0]], requires_grad=True
    )
    codes = rescale(sums)
    assert codes.tolist() == [[-128, -128], [-128, -128], [127, 127], [127, 127]]
    (gradient,) = torch.autograd.grad(codes.sum(), sums)
    torch.testing.assert_close(gradient, torch.tensor([[0, 0], [0.01, 0.02], [0.01, 0.02], [0, 0]]))
    with surrogate("smooth"):
        (smooth,) = torch.autograd.grad(rescale(sums).sum(), sums)
    assert (smooth[0] > 0).all()
    assert (smooth[0] < smooth[1]).all()
    torch.testing.assert_close(smooth[1:3], gradient[1:3])


def test_sums_wrap_as_32_bits_do() -> None:
    values = torch.tensor([2.0**31, 2.0**31 - 1, -(2.0**31) - 1, 5.0], dtype=torch.float64, requires_grad=True)
    wrapped = wrap(values)
    assert wrapped.tolist() == [-(2.0**31), 2.0**31 - 1, 2.0**31 - 1, 5.0]
    assert torch.autograd.grad(wrapped.sum(), values)[0].tolist() == [1.0] * 4


def test_bounds_hold_every_partial_sum() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        weights, bias = rng.integers(-9, 10, (2, 4)).astype(float), rng.integers(-30, 31, 2).astype(float)
        low, high = -3.0, 7.0
        bounds = sum_bounds(weights, bias, low, high)
        partial, total = 0.0, 0.0
        for inputs in product((low, 0.0, high), repeat=4):  # a term of zero is a term that is not there yet
            sums = weights @ np.array(inputs)
            partial = max(partial, np.abs(sums).max())
            total = max(total, np.abs(sums).max(), np.abs(sums + bias).max())
        assert bounds.products == partial
        assert bounds.total >= total


def test_latent_weights_are_rounded_and_held_in_range_with_gradients() -> None:
    latent = torch.tensor([0.4, 1.6, -200.0, 126.9], requires_grad=True)
    rounded = straight_through_round(latent, -128, 127)
    assert rounded.tolist() == [0, 2, -128, 127]
    assert torch.autograd.grad(rounded.sum(), latent)[0].tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation", "same", "expected"),
    [
        (32, 3, 1, 1, True, (1, 1)),
        (32, 3, 2, 1, True, (0, 1)),
        (49, 10, 2, 1, True, (4, 5)),
        (5, 1, 3, 1, True, (0, 0)),
        (7, 3, 1, 3, True, (3, 3)),
        (4, 2, 4, 1, True, (0, 0)),
        (9, 3, 2, 1, False, (0, 0)),
    ],
)
def test_padding(size: int, window: int, stride: int, dilation: int, same: bool, expected: tuple[int, int]) -> None:
    assert padding(size, window, stride, dilation, same) == expected
