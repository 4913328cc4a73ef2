"""Which bits of a file are weights."""

from __future__ import annotations

import numpy as np
import pytest

from attacks.attack_targets import float_linear, regression
from tinymlsec.attacks._twins import linear_twin
from tinymlsec.attacks.fault._weight_bits import weight_bits
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.edit import flip_bits
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model


def read(builder: GraphBuilder) -> Model:
    return read_model(builder.tobytes())


def kernel(model: Model, position: int = 1) -> np.ndarray:
    op = next(op for op in model.main.operators if op.name in ("FULLY_CONNECTED", "TRANSPOSE_CONV"))
    values = constant(model, model.main.tensors[op.inputs[position]])
    assert values is not None
    return values


def test_all_bits_of_int8_weights_and_nothing_else() -> None:
    data = linear_twin(8)
    bits = weight_bits(read_model(data))
    assert bits.total == 2 * 64 * 8
    flipped = read_model(flip_bits(data, bits.positions(np.arange(bits.total))))
    assert (kernel(flipped) == ~kernel(read_model(data))).all()
    assert (kernel(flipped, 2) == kernel(read_model(data), 2)).all()


def test_biases_on_request() -> None:
    model = read_model(linear_twin(8))
    assert weight_bits(model, biases=True).total == 2 * 64 * 8 + 2 * 32


def test_a_draw_of_all_bits_is_each_bit_once_in_random_order() -> None:
    bits = weight_bits(read_model(linear_twin(8)))
    drawn = bits.draw(np.random.default_rng(0), bits.total)
    assert sorted(drawn) == sorted(bits.positions(np.arange(bits.total)))
    assert (drawn != np.sort(drawn)).any()


def test_draws_are_uniform_over_bits_of_tensors_of_different_sizes() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 1.0, 0)
    small = builder.constant(np.ones((12, 4), np.int8), scale=1.0)
    large = builder.constant(np.ones((3, 12), np.int8), scale=1.0)
    hidden = builder.op("FULLY_CONNECTED", [x, small, -1], scale=1.0, options={})
    builder.output(builder.op("FULLY_CONNECTED", [hidden, large, -1], scale=1.0, options={}))
    bits = weight_bits(read(builder))
    rng = np.random.default_rng(1)
    counts = np.zeros(bits.total)
    for _ in range(400):
        counts += np.isin(bits.positions(np.arange(bits.total)), bits.draw(rng, 100))
    expected = 400 * 100 / bits.total
    chi2 = ((counts - expected) ** 2 / (expected * (1 - 100 / bits.total))).sum()
    assert abs(chi2 - bits.total) < 5 * np.sqrt(2 * bits.total)


@pytest.mark.parametrize("make", [lambda: linear_twin(8), float_linear, lambda: regression([1.0, -2.0, 3.0])])
def test_most_significant_bits_turn_the_sign(make) -> None:  # type: ignore[no-untyped-def]
    data = make()
    before = kernel(read_model(data))
    after = kernel(read_model(flip_bits(data, weight_bits(read_model(data)).most_significant())))
    if before.dtype == np.float32:
        assert (after == -before).all()
    else:
        assert (after.astype(int) - before.astype(int) == np.where(before < 0, 128, -128)).all()


def test_int4_weights_have_four_bits_each() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 3), "int8", 1.0, 0)
    packed = builder._file.buffer(bytes([0x21, 0x03]))
    weights = builder.tensor((1, 3), "int4", scale=1.0, buffer=packed)
    builder.output(builder.op("FULLY_CONNECTED", [x, weights, -1], scale=1.0, options={}))
    data = builder.tobytes()
    bits = weight_bits(read_model(data))
    assert bits.total == 12  # the empty half of the last byte is no weight
    flipped = read_model(flip_bits(data, bits.most_significant()))
    assert kernel(flipped).tolist() == [[1 - 8, 2 - 8, 3 - 8]]


def test_the_output_shape_of_a_transposed_convolution_is_never_touched() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 2, 2, 1), "int8", 1.0, 0)
    weights = builder.constant(np.ones((1, 2, 2, 1), np.int8), scale=1.0)
    options = {"padding": 1, "stride_w": 1, "stride_h": 1}
    shape = builder.ints(1, 3, 3, 1)
    builder.output(builder.op("TRANSPOSE_CONV", [shape, weights, x], shape=(1, 3, 3, 1), scale=1.0, options=options))
    assert weight_bits(read(builder), biases=True).total == 4 * 8


def test_shared_weights_count_once_and_a_model_without_weights_has_none() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), "int8", 1.0, 0)
    shared = builder.constant(np.ones((4, 4), np.int8), scale=1.0)
    first = builder.op("FULLY_CONNECTED", [x, shared, -1], scale=1.0, options={})
    builder.output(builder.op("FULLY_CONNECTED", [first, shared, -1], scale=1.0, options={}))
    assert weight_bits(read(builder)).total == 16 * 8
    adder = GraphBuilder()
    y = adder.input((1, 4), "int8", 1.0, 0)
    adder.output(adder.op("ADD", [y, y], scale=1.0, options={}))
    assert weight_bits(read(adder)).total == 0
