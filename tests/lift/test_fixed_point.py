"""Fixed-point functions against the real ones, and facts that any correct implementation has."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from tinymlsec.lift import fixed_point as fp  # noqa: E402

STEP = 2.0**-31


def grid(integer_bits: int, low: float, high: float) -> torch.Tensor:
    """Many fixed-point numbers of a range, its ends and zero included."""
    unit = 2.0 ** (31 - integer_bits)
    values = np.concatenate([np.linspace(low, high, 20_001), [low, 0.0, high]])
    return torch.from_numpy(np.round(values * unit).astype(np.int64))


@pytest.mark.parametrize("bits", [4, 5])
def test_exp_is_close_and_never_rises_above_one(bits: int) -> None:
    values = grid(bits, -(2.0**bits) + 1e-6, 0.0)
    result = fp.exp_on_negative(values, bits)
    expected = torch.exp(values.double() * 2.0 ** (bits - 31))
    assert (result.double() * STEP - expected).abs().max() < 2e-6
    assert int(result.max()) == fp.ONE
    assert int(result.min()) >= 0


def test_constants_are_the_nearest_fixed_point_numbers() -> None:
    """Compared with decimal expansions, not with the expression that makes them."""
    eighth = fp.EXP_OF_MINUS_EIGHTH / 2**31
    assert eighth == pytest.approx(0.88249690258459540, abs=STEP)
    assert [factor / 2**31 for _, factor in fp.FACTORS] == pytest.approx(
        [
            0.77880078307140487,
            0.60653065971263342,
            0.36787944117144233,
            0.13533528323661270,
            0.01831563888873418,
            0.00033546262790251,
            0.00000011253517472,
        ],
        abs=STEP,
    )


@pytest.mark.parametrize(("ours", "real"), [(fp.logistic, torch.sigmoid), (fp.tanh, torch.tanh)])
def test_curves(ours: object, real: object) -> None:
    values = grid(4, -15.9, 15.9)
    result = ours(values)  # type: ignore[operator]
    assert (result.double() * STEP - real(values.double() * 2.0**-27)).abs().max() < 1e-6  # type: ignore[operator]
    assert int(ours(torch.tensor([0]))[0]) == (1 << 30 if ours is fp.logistic else 0)  # type: ignore[operator]


def test_curves_are_symmetric() -> None:
    values = grid(4, 0.001, 15.9)
    values = values[values > 0]
    assert torch.equal(fp.tanh(-values), -fp.tanh(values))
    assert torch.equal(fp.logistic(-values), fp.ONE - fp.logistic(values))


def test_reciprocal_at_powers_of_two_and_between() -> None:
    sums = torch.cat(
        [2 ** torch.arange(12, 31), 2 ** torch.arange(12, 31) - 1, torch.randint(1 << 19, 1 << 31, (5000,))]
    )
    mantissa, bits = fp.reciprocal(sums, 12)
    real = 1 / (sums.double() * 2.0 ** (12 - 31))
    assert ((mantissa.double() * STEP * torch.exp2(-bits.double()) - real).abs() / real).max() < 1e-6
    assert bool((mantissa >= (1 << 30) - 1000).all())


def test_high_product_saturates_only_at_the_one_overflow() -> None:
    lowest = torch.tensor([-(2**31)])
    assert fp.times(lowest, lowest).item() == 2**31 - 1
    assert fp.times(lowest, torch.tensor([2**31 - 1])).item() == -(2**31) + 1


def test_one_over_one_plus_halves_at_one() -> None:
    ends = fp.one_over_one_plus(torch.tensor([0, fp.ONE]))
    assert ends.tolist() == pytest.approx([2**31, 2**30], abs=64)
    assert math.isclose(ends[0].item() / ends[1].item(), 2, rel_tol=1e-6)
