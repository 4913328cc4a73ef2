"""Encoding of the user's data, and the input space of each kind of model."""

from __future__ import annotations

import numpy as np
import pytest

from tinymlsec.errors import DataError, DeploymentError
from tinymlsec.target.space import InputSpace


def grid(dtype: str = "int8", **changes: object) -> InputSpace:
    info = np.iinfo(dtype)
    values: dict[str, object] = {
        "shape": (1, 2, 2), "device_dtype": dtype, "code_dtype": dtype, "scale": 0.5, "zero_point": 3,
        "low": float(info.min), "high": float(info.max), "wrapped": False, "bounds_source": "test",
    }  # fmt: skip
    return InputSpace(**{**values, **changes})  # type: ignore[arg-type]


REAL = InputSpace((1, 4), "float32", "float32", 0.0, 0, 0.0, 1.0, False, "test")


def test_int8_is_the_device_input_as_it_is() -> None:
    x = np.array([[-128, 0, 5, 127]], np.int8)
    assert grid().encode(x).dtype == np.int8
    assert np.array_equal(grid().encode(x), x)


def test_float_is_quantized_with_scale_and_zero_point() -> None:
    x = np.array([[0.0, 0.5, -1.0, 1000.0]], np.float32)
    assert grid().encode(x).tolist() == [[3, 4, 1, 127]]


def test_wrapped_codes_come_back_from_the_device_values() -> None:
    space = grid(device_dtype="float32", wrapped=True)
    codes = np.arange(-128, 128, dtype=np.int8)
    device = space.to_device(codes)
    assert device.dtype == np.float32
    assert np.array_equal(space.encode(device), codes)


def test_uint8_needs_the_hint() -> None:
    x = np.array([[0, 128, 255, 7]], np.uint8)
    with pytest.raises(DataError, match="--input-encoding uint8"):
        grid().encode(x)
    assert grid().encode(x, "uint8").tolist() == [[-128, 0, 127, -121]]
    assert grid("uint8").encode(x).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("x", "encoding", "words"),
    [
        (np.zeros((1, 4), np.float32), "uint8", "not what --input-encoding says"),
        (np.array([[np.nan, 0, 0, 0]], np.float32), None, "NaN or infinity"),
        (np.array([[300, 0, 0, 0]], np.int32), None, "does not fit"),
        (np.array([["a", "b"]]), None, "no numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused(x: np.ndarray, encoding: str | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        grid().encode(x, encoding)


def test_real_data_without_a_scale_is_refused() -> None:
    with pytest.raises(DataError, match="no scale"):
        grid(scale=0.0).encode(np.zeros((1, 4), np.float32))


def test_float_space_keeps_values_and_has_a_declared_step() -> None:
    assert REAL.encode(np.array([[0.25]], np.float64)).dtype == np.float32
    assert REAL.step == pytest.approx(1 / 255)
    assert "1/255" in REAL.describe_steps(1)


def test_sensor_bounds_only_narrow_the_grid() -> None:
    space = grid().with_sensor(-10.0, 1e6)
    assert (space.low, space.high) == (-17.0, 127.0)
    assert space.clip(np.array([-100.0, 3.4])).tolist() == [-17, 3]


@pytest.mark.parametrize("ends", [(1e4, 2e4), (-1e308, -1e307)])
def test_a_sensor_that_no_code_can_hold_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(DeploymentError, match="outside of what the model's input can hold"):
        grid().with_sensor(*ends)
