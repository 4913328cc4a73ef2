"""Values of constant tensors: every type, every way in which bytes and shape can disagree."""

from __future__ import annotations

import numpy as np
import pytest

from models.handmade import build, tensor
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model


def model_with(shape: tuple[int, ...], type_: str, data: bytes, **fields: object) -> Model:
    buffers = [("Buffer", {}), ("Buffer", {"Data": data} if data else {})]
    graph = ("SubGraph", {"Tensors": [tensor("t", shape, type_, 1, **fields)]})
    return read_model(build({"Subgraphs": [graph], "Buffers": buffers}))


NUMBERS = {
    "INT8": np.array([[-128, 127, 0]], np.int8),
    "UINT8": np.array([[0, 255, 7]], np.uint8),
    "INT16": np.array([[-32768, 5, 1]], np.int16),
    "UINT16": np.array([[65535, 5, 1]], np.uint16),
    "INT32": np.array([[-(2**31), 5, 1]], np.int32),
    "UINT32": np.array([[2**32 - 1, 5, 1]], np.uint32),
    "INT64": np.array([[-(2**63), 5, 1]], np.int64),
    "UINT64": np.array([[2**64 - 1, 5, 1]], np.uint64),
    "FLOAT16": np.array([[0.5, -2.0, np.inf]], np.float16),
    "FLOAT32": np.array([[0.1, -2.0, np.inf]], np.float32),
    "FLOAT64": np.array([[0.1, -2.0, np.inf]], np.float64),
    "COMPLEX64": np.array([[1 + 2j, 0, -1j]], np.complex64),
    "COMPLEX128": np.array([[1 + 2j, 0, -1j]], np.complex128),
}


@pytest.mark.parametrize("type_", NUMBERS)
def test_every_number_type(type_: str) -> None:
    values = NUMBERS[type_]
    model = model_with(values.shape, type_, values.tobytes())
    array = constant(model, model.main.tensors[0])
    assert array is not None
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)
    assert not array.flags.writeable


def test_any_byte_that_is_not_zero_is_true() -> None:
    model = model_with((4,), "BOOL", bytes((0, 1, 2, 255)))
    assert constant(model, model.main.tensors[0]).tolist() == [False, True, True, True]


def test_int4_is_unpacked_low_half_first() -> None:
    model = model_with((5,), "INT4", bytes((0x81, 0x7F, 0x0E)))
    array = constant(model, model.main.tensors[0])
    assert array.dtype == np.int8
    assert array.tolist() == [1, -8, -1, 7, -2]


def test_bfloat16_comes_out_as_float32() -> None:
    model = model_with((2,), "BFLOAT16", bytes((0x80, 0x3F, 0x00, 0xC0)))
    assert constant(model, model.main.tensors[0]).tolist() == [1.0, -2.0]


def test_views_are_not_copied_and_odd_places_are_aligned() -> None:
    data = build_of(np.arange(4, dtype=np.float32))
    straight = read_model(data)
    array = constant(straight, straight.main.tensors[0])
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    for shift in range(4):
        moved = read_model(memoryview(bytes(shift) + data)[shift:])
        values = constant(moved, moved.main.tensors[0])
        assert values.flags.aligned
        np.testing.assert_array_equal(values, array)


def build_of(floats: np.ndarray) -> bytes:
    graph = ("SubGraph", {"Tensors": [tensor("t", floats.shape, "FLOAT32", 1)]})
    return build({"Subgraphs": [graph], "Buffers": [("Buffer", {}), ("Buffer", {"Data": floats.tobytes()})]})


@pytest.mark.parametrize(
    ("shape", "type_", "data"),
    [
        ((4,), "INT8", bytes(3)),
        ((4,), "INT8", bytes(5)),
        ((3,), "INT4", bytes(1)),
        ((2, 2), "FLOAT32", bytes(15)),
        ((1 << 30, 1 << 30), "FLOAT32", bytes(16)),
        ((0,), "INT32", bytes(4)),
        ((), "INT32", bytes(8)),
    ],
)
def test_wrong_number_of_bytes(shape: tuple[int, ...], type_: str, data: bytes) -> None:
    model = model_with(shape, type_, data)
    with pytest.raises(ModelFileError, match="wrong number of bytes") as caught:
        constant(model, model.main.tensors[0])
    assert caught.value.offset == model.buffers[1].offset


@pytest.mark.parametrize(
    ("shape", "type_", "data", "fields"),
    [
        ((4,), "INT8", b"", {}),
        ((4,), "STRING", b"abcd", {}),
        ((), "RESOURCE", b"abcd", {}),
        ((4,), "INT8", b"abcd", {"IsVariable": True}),
        ((4,), "INT8", b"abcd", {"Sparsity": ("SparsityParameters", {})}),
        ((4,), "INT8", b"abcd", {"Type": 77}),
    ],
)
def test_no_constant(shape: tuple[int, ...], type_: str, data: bytes, fields: dict[str, object]) -> None:
    model = model_with(shape, type_, data, **fields)
    assert constant(model, model.main.tensors[0]) is None


def test_no_elements_is_a_constant_without_bytes() -> None:
    model = model_with((0,), "INT32", b"")
    array = constant(model, model.main.tensors[0])
    assert array.shape == (0,)
    assert array.dtype == np.int32
    assert constant(model_with((), "INT32", bytes(4)), model_with((), "INT32", bytes(4)).main.tensors[0]).shape == ()


def test_dimensions_that_no_array_can_have() -> None:
    model = model_with((0, 2**31 - 1, 2**31 - 1), "INT8", b"")
    with pytest.raises(ModelFileError, match="impossible dimensions") as caught:
        constant(model, model.main.tensors[0])
    assert caught.value.offset == model.main.tensors[0].offset
