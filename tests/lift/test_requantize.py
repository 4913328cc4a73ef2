"""Re-quantization: valid files with new weights and scales, kernels' constraints kept, accuracy kept."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tinymlsec import examples
from tinymlsec.errors import UnsupportedModelError, UsageError
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.reader import read_model

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift import training_data  # noqa: E402 - after the check for PyTorch
from tinymlsec.lift.calibrate import activation_ranges, real_from_codes  # noqa: E402
from tinymlsec.lift.equalize import equalize, layer_pairs  # noqa: E402
from tinymlsec.lift.float_twin import FloatTwin  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.layers import layers, own_weights, weights_from  # noqa: E402
from tinymlsec.lift.requantize import RequantizeConfig, requantize  # noqa: E402
from tinymlsec.lift.rewrite import change_between, replace_tensors  # noqa: E402
from tinymlsec.lift.sharing import sharing_groups  # noqa: E402

needs_runtime = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="no tflite-micro for this platform")
RNG = np.random.default_rng(5)


def many_operators() -> bytes:
    """A graph with every kind of constraint: pooling, padding, joining, a constant addend, a mean, SOFTMAX."""
    b = GraphBuilder("many operators")
    x = b.input((1, 8, 8, 2), "int8", 0.1, 3)
    conv = _layer(b, "CONV_2D", x, (4, 3, 3, 2), 0, 0.1, activation="RELU", padding="SAME", stride_h=1, stride_w=1)
    pooled = b.op("MAX_POOL_2D", [conv], options=_window(2))
    padded = b.op("PAD", [pooled, b.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))])
    deep = _layer(b, "DEPTHWISE_CONV_2D", padded, (1, 3, 3, 4), 3, 0.05, activation="RELU6", padding="VALID",
                  stride_h=1, stride_w=1, depth_multiplier=1)  # fmt: skip
    shifted = b.op("ADD", [deep, b.constant(RNG.integers(-90, 90, (1, 4, 4, 4)).astype(np.int8), 0.02)], scale=0.06,
                   options={})  # fmt: skip
    joined = b.op("CONCATENATION", [shifted, shifted], options={"axis": 3})
    mean = b.op("MEAN", [joined, b.ints(1, 2)], options={"keep_dims": False}, scale=0.03)
    scores = _layer(b, "FULLY_CONNECTED", mean, (5, 8), None, 0.1)
    b.output(b.op("SOFTMAX", [scores], scale=1 / 256, zero_point=-128, options={"beta": 1.0}))
    return b.tobytes()


def _layer(b: GraphBuilder, name, at, shape, axis, scale, activation="NONE", **options):
    channels = shape[axis or 0]
    scales = RNG.uniform(0.01, 0.02, channels if axis is not None else 1)
    weight = b.constant(RNG.integers(-127, 128, shape).astype(np.int8), scales, dimension=axis or 0)
    entry = b.snapshot().tensors[at].quantization.scale[0]
    bias = b.constant(RNG.integers(-900, 900, channels).astype(np.int32), scales * entry)
    return b.op(name, [at, weight, bias], scale=scale, options={"fused_activation_function": activation, **options})


def _window(size: int) -> dict:
    sizes = dict.fromkeys(("filter_height", "filter_width", "stride_h", "stride_w"), size)
    return {"padding": "VALID", **sizes}


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return RNG.integers(-128, 128, (64, 8, 8, 2)).astype(np.int8)


@pytest.mark.parametrize("grid", ["full", "power_of_two"])
@pytest.mark.parametrize("coverage", [1.0, 0.999])
def test_new_scales_keep_the_constraints(codes, grid, coverage):
    old = read_model(many_operators())
    new = read_model(requantize(old, own_weights(old), codes, RequantizeConfig(coverage, grid)))
    tensors = new.main.tensors
    for group in sharing_groups(new):
        assert (
            len({(float(tensors[t].quantization.scale[0]), int(tensors[t].quantization.zero_point[0])) for t in group})
            == 1
        )
    assert tensors[new.main.inputs[0]].quantization.scale[0] == np.float32(0.1)
    assert tensors[new.main.outputs[0]].quantization.scale[0] == np.float32(1 / 256)
    for layer in layers(new):
        weight, bias = tensors[layer.weight].quantization, tensors[layer.bias].quantization
        assert weight.scale.size == old.main.tensors[layer.weight].quantization.scale.size
        assert weight.dimension == old.main.tensors[layer.weight].quantization.dimension
        entry = tensors[layer.op.inputs[0]].quantization.scale[0]
        np.testing.assert_allclose(bias.scale, weight.scale * entry, rtol=1e-6)
        if grid == "power_of_two":
            assert np.all(np.frexp(weight.scale)[0] == 0.5)


def test_sharing_groups_are_those_of_the_kernels():
    model = read_model(many_operators())
    names = {op.name: op for op in model.main.operators}
    groups = {frozenset(group) for group in sharing_groups(model)}
    pool, pad, join = (names[name] for name in ("MAX_POOL_2D", "PAD", "CONCATENATION"))
    assert frozenset({pool.inputs[0], pool.outputs[0], pad.outputs[0]}) in groups
    assert frozenset({join.inputs[0], join.outputs[0]}) in groups
    assert frozenset({names["MEAN"].outputs[0]}) in groups


@needs_runtime
@pytest.mark.parametrize("grid", ["full", "power_of_two"])
def test_the_runtime_takes_it_and_stays_near_the_float_twin(codes, grid):
    old = read_model(many_operators())
    made = requantize(old, own_weights(old), codes, RequantizeConfig(weight_grid=grid))
    twin = FloatTwin(old).eval()
    with torch.no_grad():
        expected = torch.softmax(twin(real_from_codes(twin, codes)), 1).numpy()
    outputs = training_data.runtime_outputs(made, codes)
    np.testing.assert_array_equal(outputs, training_data.lifted_outputs(made, codes))
    assert np.abs((outputs + 128.0) / 256 - expected).mean() < 0.02


def test_equalization_changes_weights_and_not_the_function(codes):
    model = read_model(examples.digits_model())
    weights = own_weights(model)
    moved = equalize(model, weights)
    x = torch.randn(16, 8, 8, 1, generator=torch.Generator().manual_seed(1)) * 5 + 8
    with torch.no_grad():
        before, after = (FloatTwin(model, w).eval()(x) for w in (weights, moved))
    np.testing.assert_allclose(after.numpy(), before.numpy(), rtol=1e-4, atol=1e-4)
    assert [(a.op.index, b.op.index) for a, b in layer_pairs(model)] == [(0, 1), (1, 2)]
    assert np.mean(np.abs(moved[layers(model)[1].weight] - weights[layers(model)[1].weight]) > 1e-6) > 0.9


def test_branches_and_bounded_activations_stop_equalization():
    pairs = layer_pairs(read_model(many_operators()))
    assert [(a.op.name, b.op.name) for a, b in pairs] == [("CONV_2D", "DEPTHWISE_CONV_2D")]


def test_coverage_cuts_tails():
    model = read_model(examples.digits_model())
    twin = FloatTwin(model).eval()
    x = training_data.digits()["x_train"][:300]
    whole, part = activation_ranges(twin, x), activation_ranges(twin, x, 0.98)
    first = model.main.operators[0].outputs[0]
    seen = []
    with torch.no_grad():
        twin.visit(real_from_codes(twin, x), lambda t, v: seen.append(v.numpy()) if t == first else None)
    assert whole[first] == (seen[0].min(), seen[0].max())
    low, high = part[first]
    assert np.mean((seen[0] >= low) & (seen[0] <= high)) == pytest.approx(0.98, abs=0.011)
    assert np.mean(seen[0] > high) == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize(("count", "coverage"), [(0, 1.0), (4, 0.3), (4, 1.5)])
def test_calibration_without_sense_is_refused(count, coverage):
    model = read_model(examples.digits_model())
    with pytest.raises(UsageError, match="calibration"):
        activation_ranges(FloatTwin(model).eval(), np.zeros((count, 8, 8, 1), np.int8), coverage)


def test_dead_channel_keeps_its_bias():
    """A channel without weights has no scale of its own, and its bias must not overflow for that."""
    model = read_model(examples.digits_model())
    weights = own_weights(model)
    layer = layers(model)[0]
    weights[layer.weight][3], weights[layer.bias][3] = 0.0, 2.0
    new = read_model(requantize(model, weights, training_data.digits()["x_train"][:50]))
    assert own_weights(new)[layer.bias][3] == pytest.approx(2.0, rel=1e-5)


def test_weights_that_are_no_int8_are_refused():
    b = GraphBuilder()
    x = b.input((1, 4), "uint8", 0.1, 128)
    weight = b.constant(np.full((2, 4), 130, np.uint8), 0.1, 128)
    b.output(b.op("FULLY_CONNECTED", [x, weight, b.constant(np.zeros(2, np.int32), 0.01)], scale=0.1, options={}))
    model = b.build()
    with pytest.raises(UnsupportedModelError, match="cannot be quantized again"):
        requantize(model, own_weights(model), np.zeros((4, 4), np.uint8))


def test_float_border_stays_and_the_grid_behind_it_too():
    """Codes mean the same before and after: the output of the first QUANTIZE keeps its scale."""
    plain, data = read_model(examples.digits_model()), training_data.digits()
    wrapped = wrap_float(plain)
    inner, outer = (requantize(m, own_weights(m), data["x_train"][:200]) for m in (plain, wrapped))
    real = (data["x"][:50].astype(np.float32) + 128) * np.float32(16 / 255)
    codes = LiftedGraph(read_model(inner)).predict(data["x"][:50])
    values = LiftedGraph(read_model(outer)).predict(real)
    np.testing.assert_array_equal(values, (codes.astype(np.float32) + 128) / 256)


def test_other_topology_is_refused():
    with pytest.raises(UsageError, match="differ in their operators"):
        weights_from(read_model(examples.digits_model()), read_model(many_operators()))


def test_shared_buffers_are_parted():
    b = GraphBuilder()
    x = b.input((1, 2), "int8", 0.1)
    one = b.constant(np.array([[1, 2]], np.int8), 0.1)
    two = b.tensor((1, 2), "int8", scale=0.1, buffer=b.snapshot().tensors[one].buffer)
    b.output(b.op("ADD", [b.op("ADD", [x, one], scale=0.2, options={}), two], scale=0.2, options={}))
    new = replace_tensors(b.build(), {one: np.array([[7, 8]], np.int8)})
    held = [bytes(new.buffers[new.main.tensors[t].buffer].data) for t in (one, two)]
    assert held == [b"\x07\x08", b"\x01\x02"]
    with pytest.raises(UsageError, match="do not fit"):
        replace_tensors(new, {one: np.array([7, 8], np.int8)})


@needs_runtime
def test_keyword_spotting_from_its_own_weights(shared_data: Path):
    """n 1,000; shipped 90.1 %."""
    folder = shared_data / "mlperf_tiny_kws"
    old = read_model((folder / "kws_ref_model.tflite").read_bytes())
    with np.load(folder / "kws01.npz") as data:
        x, y = data["x"], data["y"]
    made = requantize(old, equalize(old, own_weights(old)), x[:200], RequantizeConfig(weight_grid="power_of_two"))
    change = change_between(old, read_model(made))
    outputs = training_data.runtime_outputs(made, x)
    assert change.weight_share >= 0.9
    assert change.scale_share >= 0.9
    assert abs(training_data.accuracy(outputs, y) - 0.901) <= 0.01
    np.testing.assert_array_equal(outputs, training_data.lifted_outputs(made, x))


@needs_runtime
@pytest.mark.slow
def test_image_classification_from_its_float_file(shared_data: Path):
    """n 2,000 JPEG images; calibrated on 200 training images."""
    pytest.importorskip("PIL", reason="needs Pillow")
    folder = shared_data / "mlperf_tiny_ic"
    shipped = (folder / "pretrainedResnet_quant.tflite").read_bytes()
    old, real = read_model(shipped), read_model((folder / "pretrainedResnet.tflite").read_bytes())
    x, y = training_data.images(shared_data / "cifar10_jpeg" / "cifar10_jpeg_test2000.zip")
    calibration, _ = training_data.images(shared_data / "cifar10_jpeg" / "cifar10_jpeg_train3000.zip")
    config = RequantizeConfig(weight_grid="power_of_two")
    made = requantize(old, weights_from(old, real), calibration[:200], config)
    change = change_between(old, read_model(made))
    outputs = training_data.runtime_outputs(made, x)
    before = training_data.accuracy(training_data.lifted_outputs(shipped, x), y)
    assert change.weight_share >= 0.9
    assert change.scale_share >= 0.9
    assert abs(training_data.accuracy(outputs, y) - before) <= 0.01
    np.testing.assert_array_equal(outputs, training_data.lifted_outputs(made, x))
