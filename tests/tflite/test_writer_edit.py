"""Edits in place: weights and bits change, nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.edit import flip_bits, patch_tensor, tensor_bytes
from tinymlsec.target.tflite.reader import read_model

WEIGHTS = np.arange(12, dtype=np.int8).reshape(3, 4)


def small() -> tuple[bytes, int, int]:
    """A file, the index of its weights and of a computed tensor."""
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 0.5)
    weights = builder.constant(WEIGHTS, 0.1)
    y = builder.op("FULLY_CONNECTED", [x, weights, builder.constant(np.arange(3, dtype=np.int32), 0.05)], scale=1.0)
    builder.output(y)
    return builder.tobytes(), weights, y


def test_patch_changes_the_tensor_and_nothing_else() -> None:
    data, weights, _ = small()
    model = read_model(data)
    changed = patch_tensor(data, model, 0, weights, -WEIGHTS)
    start, length = tensor_bytes(model, 0, weights)
    assert (changed[:start], changed[start + length :]) == (data[:start], data[start + length :])
    after = read_model(changed)
    np.testing.assert_array_equal(constant(after, after.main.tensors[weights]), -WEIGHTS)
    assert patch_tensor(changed, after, 0, weights, WEIGHTS) == data


def test_patch_takes_any_memory_layout() -> None:
    data, weights, _ = small()
    changed = patch_tensor(data, read_model(data), 0, weights, np.asfortranarray(WEIGHTS))
    assert changed == data


@pytest.mark.parametrize("values", [WEIGHTS.T, WEIGHTS.astype(np.int16), WEIGHTS.reshape(-1)])
def test_patch_refuses_other_shapes_and_types(values: np.ndarray) -> None:
    data, weights, _ = small()
    with pytest.raises(UsageError, match="do not fit"):
        patch_tensor(data, read_model(data), 0, weights, values)


def test_patch_refuses_what_has_no_bytes_and_files_that_changed() -> None:
    data, weights, computed = small()
    model = read_model(data)
    with pytest.raises(UsageError, match="no bytes"):
        patch_tensor(data, model, 0, computed, np.zeros((1, 3), np.int8))
    with pytest.raises(UsageError, match="not read from these bytes"):
        patch_tensor(patch_tensor(data, model, 0, weights, -WEIGHTS), model, 0, weights, WEIGHTS)
    with pytest.raises(UsageError, match="not read from these bytes"):
        patch_tensor(data + b"\0", model, 0, weights, WEIGHTS)


def test_patch_refuses_built_models() -> None:
    builder = GraphBuilder()
    weights = builder.constant(WEIGHTS)
    with pytest.raises(UsageError, match="built, not read"):
        patch_tensor(builder.tobytes(), builder.build(), 0, weights, WEIGHTS)


def test_shared_bytes_need_consent() -> None:
    builder = GraphBuilder()
    first = builder.constant(WEIGHTS, name="first")
    twin = builder.tensor((3, 4), "int8", buffer=builder.build().main.tensors[first].buffer, name="twin")
    builder.metadata("note", b"x")
    data = builder.tobytes()
    model = read_model(data)
    with pytest.raises(UsageError, match=r"more than one tensor[\s\S]*twin"):
        patch_tensor(data, model, 0, first, -WEIGHTS)
    after = read_model(patch_tensor(data, model, 0, first, -WEIGHTS, allow_shared=True))
    np.testing.assert_array_equal(constant(after, after.main.tensors[twin]), -WEIGHTS)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_flips_equal_integer_xor(content: bytes, data: st.DataObject) -> None:
    offsets = data.draw(st.lists(st.integers(0, 8 * len(content) - 1), max_size=30))
    expected = int.from_bytes(content, "little")
    for offset in offsets:
        expected ^= 1 << offset
    flipped = flip_bits(content, np.array(offsets, np.int64))
    assert int.from_bytes(flipped, "little") == expected
    assert flip_bits(flipped, np.array(offsets[::-1], np.int64)) == content


def test_flip_of_a_sign_bit_reaches_the_weight() -> None:
    data, weights, _ = small()
    start, _ = tensor_bytes(read_model(data), 0, weights)
    after = read_model(flip_bits(data, np.array([8 * (start + 5) + 7])))
    values = constant(after, after.main.tensors[weights])
    assert values is not None
    assert values[1, 1] == 5 - 128
    assert np.count_nonzero(values != WEIGHTS) == 1


@pytest.mark.parametrize("offset", [-1, 16])
def test_flips_outside_of_the_file_are_refused(offset: int) -> None:
    with pytest.raises(UsageError, match="outside of the file"):
        flip_bits(b"ab", np.array([offset]))
