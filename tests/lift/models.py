"""Real models with inputs, and a small one made here, for tests of whole models."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model_file

Array = NDArray[Any]

FILES = {
    "kws": "mlperf_tiny_kws/kws_ref_model.tflite",
    "ic": "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "vww": "mlperf_tiny_vww/vww_96_int8.tflite",
    "ad": "mlperf_tiny_ad/ad01_int8.tflite",
    "micro_speech": "tflm_micro_speech/micro_speech_quantized.tflite",
    "hello_world": "tflm_hello_world/hello_world_int8.tflite",
}


def load(data: Path, name: str, count: int) -> tuple[Model, bytes, Array]:
    """A real model, its file and inputs: real ones for kws and ic, random ones otherwise."""
    model, content = read_model_file(data / FILES[name])
    if name == "kws":
        with np.load(data / "mlperf_tiny_kws" / "kws01.npz", allow_pickle=False) as file:
            return model, content, file["x"][:count]
    if name == "ic":
        return model, content, images(data / "cifar10_jpeg" / "cifar10_jpeg_test2000.zip", count)
    return model, content, random_codes(model, count)


def images(archive: Path, count: int) -> Array:
    """(count, 32, 32, 3) int8: pixels minus 128, drawn over all classes."""
    image = pytest.importorskip("PIL.Image", reason="JPEG files need Pillow")
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
        chosen = np.random.default_rng(0).permutation(len(names))[:count]
        pixels = [np.asarray(image.open(io.BytesIO(file.read(names[i]))).convert("RGB")) for i in chosen]
    return (np.stack(pixels).astype(np.int16) - 128).astype(np.int8)


def random_codes(model: Model, count: int, seed: int = 0) -> Array:
    """Random int8 inputs, the first two at the smallest and the largest code."""
    shape = model.main.tensors[model.main.inputs[0]].shape[1:]
    codes = np.random.default_rng(seed).integers(-128, 128, (count, *shape)).astype(np.int8)
    codes[0], codes[1] = -128, 127
    return codes


def streams(shape: tuple[int, ...], steps: int) -> NDArray[np.int8]:
    """Noise, the ends of the type, a ramp, bursts after silence, and slow waves: (6, steps, *shape)."""
    rng = np.random.default_rng(5)
    size = (steps, *shape)
    time = np.arange(steps).reshape(-1, *([1] * len(shape)))
    noise = rng.integers(-128, 128, size)
    ends = rng.choice([-128, 127], size)
    ramp = np.broadcast_to(time % 256 - 128, size)
    bursts = np.where((time // 20) % 3 == 2, noise, -128)
    waves = np.rint(100 * np.sin(time / 7 + rng.uniform(0, 6, shape)))
    sparse = np.where(rng.random(size) < 0.05, noise, -128)
    return np.stack([noise, ends, ramp, bursts, waves, sparse]).astype(np.int8)


def small_network(seed: int = 0) -> GraphBuilder:
    """Convolution, depthwise convolution, addition and a dense layer on 8 x 8 x 2 inputs, with random weights."""
    rng, builder = np.random.default_rng(seed), GraphBuilder("a small network")

    def layer(
        name: str, x: int, shape: tuple[int, ...], axis: int, scale: float, zero_point: int, **options: Any
    ) -> int:
        scales = rng.uniform(0.01, 0.03, shape[axis])
        weights = builder.constant(rng.integers(-127, 128, shape).astype(np.int8), scales, dimension=axis)
        source = builder.build().main.tensors[x].quantization
        assert source is not None
        bias = builder.constant(rng.integers(-900, 900, shape[axis]).astype(np.int32), source.scale[0] * scales)
        return builder.op(name, [x, weights, bias], scale=scale, zero_point=zero_point, options=options)

    same: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    x = builder.input((1, 8, 8, 2), "int8", 0.05, 3)
    relu = {**same, "fused_activation_function": "RELU"}
    first = layer("CONV_2D", x, (6, 3, 3, 2), 0, 0.12, -128, **relu)
    second = layer("DEPTHWISE_CONV_2D", first, (1, 3, 3, 6), 3, 0.6, 5, **same, depth_multiplier=1)
    both = builder.op("ADD", [first, second], scale=0.7, zero_point=-4, options={})
    flat = builder.op("RESHAPE", [both, builder.ints(1, 384)], options={"new_shape": (1, 384)})
    builder.output(layer("FULLY_CONNECTED", flat, (4, 384), 0, 10.0, 1))
    return builder
