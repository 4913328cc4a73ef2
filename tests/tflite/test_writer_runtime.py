"""Written files on the real runtime: equal outputs after a rewrite, shapes and answers that NumPy confirms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.real_runtime import needs_runtime, run_models
from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.classifiers import linear_classifier
from tinymlsec.target.tflite.float_wrap import wrap_float
from tinymlsec.target.tflite.graph import Model, Tensor
from tinymlsec.target.tflite.reader import read_model_file
from tinymlsec.target.tflite.schema import element_dtype
from tinymlsec.target.tflite.writer import write_model

pytestmark = needs_runtime
REFUSED = {"kws_ref_model_float32.tflite"}
"""Hybrid: float values, int8 weights. The runtime has no kernels for it, so there is nothing to compare."""


def random_input(tensor: Tensor, rng: np.random.Generator) -> NDArray[Any]:
    element = element_dtype(tensor.dtype)
    assert element is not None
    if element.kind == "f":
        return rng.normal(size=tensor.shape).astype(element)
    limits = np.iinfo(element.str)
    return rng.integers(limits.min, limits.max, tensor.shape, element, endpoint=True)


def test_rewritten_real_models_give_equal_outputs(shared_data: Path, tmp_path: Path) -> None:
    rng, jobs, names = np.random.default_rng(0), [], []
    for path in sorted(shared_data.glob("*/*.tflite")):
        if path.name in REFUSED:
            continue
        model, original = read_model_file(path)
        inputs = [random_input(model.main.tensors[index], rng) for index in model.main.inputs]
        jobs += [(data, inputs, len(model.main.outputs)) for data in (original, write_model(model))]
        names.append(path.name)
    assert len(names) >= 10
    results = run_models(jobs, tmp_path, arena=4 << 20)
    for name, before, after in zip(names, results[::2], results[1::2], strict=True):
        for a, b in zip(before, after, strict=True):
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_linear_classifier_answers_as_its_weights_say(tmp_path: Path) -> None:
    """Plain, with SOFTMAX, and wrapped in float: the runtime decides as NumPy does, but where scores all but tie."""
    rng = np.random.default_rng(1)
    weights, bias = rng.normal(size=(5, 18)), rng.normal(size=5)
    models = [linear_classifier(weights, bias, 0.04, -7, (1, 3, 3, 2), softmax) for softmax in (False, True)]
    images = [rng.integers(-128, 128, (1, 3, 3, 2)).astype(np.int8) for _ in range(20)]
    jobs, expected = [], []
    for image in images:
        real = 0.04 * (image.astype(np.float64) + 7)
        scores = weights @ real.ravel() + bias
        if np.diff(np.sort(scores))[-1] < 0.5:
            continue
        expected.append(int(scores.argmax()))
        jobs += [(write_model(model), [image], 1) for model in models]
        jobs += [(write_model(wrap_float(model)), [real.astype(np.float32)], 1) for model in models]
    assert len(expected) >= 10
    assert len(set(expected)) >= 3
    answers = [int(outputs[0].argmax()) for outputs in run_models(jobs, tmp_path)]
    assert answers == [answer for answer in expected for _ in range(4)]


def test_wrapped_output_is_the_core_s_output_in_real_numbers(tmp_path: Path) -> None:
    model: Model = linear_classifier(np.eye(3), np.zeros(3), 0.1, 2, (1, 3), softmax=False)
    image = np.array([[-128, 5, 127]], np.int8)
    real = (0.1 * (image.astype(np.float32) - 2)).astype(np.float32)
    (core,), (wrapped,) = run_models(
        [(write_model(model), [image], 1), (write_model(wrap_float(model)), [real], 1)], tmp_path
    )
    quantization = model.main.tensors[model.main.outputs[0]].quantization
    assert quantization is not None
    np.testing.assert_allclose(wrapped, quantization.scale * (core - quantization.zero_point), rtol=1e-6)


X = np.arange(48, dtype=np.float32).reshape(2, 4, 6) - 20
IMAGE = np.arange(96, dtype=np.float32).reshape(1, 4, 6, 4)
PADS = np.array([[1, 0], [0, 2], [1, 1]], np.int32)
ZERO = np.float32(0)
VALUES: list[tuple[str, list[Any], dict[str, Any], list[Any]]] = [
    ("RESHAPE", [X, [6, -1]], {}, [X.reshape(6, -1)]),
    ("TRANSPOSE", [X, [2, 0, 1]], {}, [X.transpose(2, 0, 1)]),
    ("EXPAND_DIMS", [X, [1]], {}, [X[:, None]]),
    ("SQUEEZE", [X[:1]], {"squeeze_dims": (0,)}, [X[0]]),
    ("CONCATENATION", [X, X], {"axis": -1}, [np.concatenate([X, X], -1)]),
    ("PACK", [X, X], {"axis": 1, "values_count": 2}, [np.stack([X, X], 1)]),
    ("UNPACK", [X], {"axis": 0, "num": 2}, [X[0], X[1]]),
    ("SPLIT", [1, X], {"num_splits": 2}, np.split(X, 2, 1)),
    ("SPLIT_V", [X, [1, -1, 2], 2], {"num_splits": 3}, np.split(X, [1, 4], 2)),
    ("SLICE", [X, [0, 1, 2], [2, -1, 3]], {}, [X[:, 1:, 2:5]]),
    ("STRIDED_SLICE", [X, [0, 3, 5], [2, 0, 0], [1, -2, -2]], {"end_mask": 4}, [X[0:2, 3:0:-2, 5::-2]]),
    ("STRIDED_SLICE", [X, [1, 0, 0], [2, 4, 6], [1, 1, 2]], {"shrink_axis_mask": 1}, [X[1, 0:4, 0:6:2]]),
    ("PAD", [X, PADS], {}, [np.pad(X, PADS.tolist())]),
    ("PADV2", [X, PADS, np.float32(9)], {}, [np.pad(X, PADS.tolist(), constant_values=9)]),
    ("MIRROR_PAD", [X, PADS], {"mode": "REFLECT"}, [np.pad(X, PADS.tolist(), "reflect")]),
    ("MEAN", [X, [0, 2]], {"keep_dims": True}, [X.mean((0, 2), keepdims=True)]),
    ("SUM", [X, [1]], {}, [X.sum(1)]),
    ("REDUCE_MAX", [X, [2]], {}, [X.max(2)]),
    ("ARG_MAX", [X, 1], {"output_type": "int32"}, [X.argmax(1).astype(np.int32)]),
    ("GATHER", [X, [1, 3, 0]], {"axis": 1}, [X[:, [1, 3, 0]]]),
    ("GATHER_ND", [X, np.array([[1, 2], [0, 3]], np.int32)], {}, [X[[1, 0], [2, 3]]]),
    ("BROADCAST_TO", [X[:, :1], [2, 4, 6]], {}, [np.broadcast_to(X[:, :1], X.shape)]),
    ("SPACE_TO_DEPTH", [IMAGE], {"block_size": 2},
     [IMAGE.reshape(1, 2, 2, 3, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(1, 2, 3, 16)]),
    ("DEPTH_TO_SPACE", [IMAGE], {"block_size": 2},
     [IMAGE.reshape(1, 4, 6, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(1, 8, 12, 1)]),
    ("SPACE_TO_BATCH_ND", [IMAGE, [2, 2], [[0, 0], [0, 0]]], {},
     [IMAGE.reshape(1, 2, 2, 3, 2, 4).transpose(2, 4, 0, 1, 3, 5).reshape(4, 2, 3, 4)]),
    ("RESIZE_NEAREST_NEIGHBOR", [IMAGE, [8, 12]], {}, [IMAGE.repeat(2, 1).repeat(2, 2)]),
    ("MAX_POOL_2D", [IMAGE], {"filter_height": 2, "filter_width": 3, "stride_h": 2, "stride_w": 3, "padding": "VALID"},
     [IMAGE.reshape(1, 2, 2, 2, 3, 4).max((2, 4))]),
    ("BATCH_MATMUL", [X, X], {"adj_y": True}, [X @ X.transpose(0, 2, 1)]),
    ("CUMSUM", [X, 2], {}, [X.cumsum(2)]),
    ("SHAPE", [X], {"out_type": "int32"}, [np.array(X.shape, np.int32)]),
    ("FILL", [[2, 3], np.float32(7)], {}, [np.full((2, 3), 7, np.float32)]),
]  # fmt: skip


def value_model(
    operator: str, inputs: list[Any], options: dict[str, Any], results: list[Any]
) -> tuple[bytes, list[Any]]:
    """The operator with output shapes left to inference; float arrays of rank 1 or more become inputs."""
    builder = GraphBuilder()
    indices, fed = [], []
    for value in inputs:
        array = np.asarray(value, getattr(value, "dtype", np.int32))
        if array.dtype == np.float32 and array.ndim:
            indices.append(builder.input(array.shape, "float32"))
            fed.append(array)
        else:
            indices.append(builder.constant(array))
    specs = [TensorSpec(dtype=str(result.dtype)) for result in results]
    builder.output(*builder.op_many(operator, indices, specs, options))
    return builder.tobytes(), fed


def test_inferred_shapes_hold_the_values_that_numpy_computes(tmp_path: Path) -> None:
    jobs = [(*value_model(*case), len(case[3])) for case in VALUES]
    for case, outputs in zip(VALUES, run_models(jobs, tmp_path), strict=True):
        for output, expected in zip(outputs, case[3], strict=True):
            np.testing.assert_allclose(output, expected, rtol=1e-5, err_msg=case[0])


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolution_window_positions(padding: str, tmp_path: Path) -> None:
    """Every output element of the inferred shape is written, by comparison with a loop over positions."""
    rng = np.random.default_rng(3)
    image, kernel = rng.normal(size=(1, 9, 8, 2)).astype(np.float32), rng.normal(size=(3, 3, 2, 2)).astype(np.float32)
    builder = GraphBuilder()
    x = builder.input(image.shape, "float32")
    options = {"padding": padding, "stride_h": 2, "stride_w": 3, "dilation_h_factor": 2}
    inputs = [x, builder.constant(kernel), builder.constant(np.zeros(3, np.float32))]
    builder.output(builder.op("CONV_2D", inputs, options=options))
    ((output,),) = run_models([(builder.tobytes(), [image], 1)], tmp_path)
    windows = [(9, 5, 2), (8, 2, 3)]
    counts = [-(-size // step) if padding == "SAME" else (size - extent) // step + 1 for size, extent, step in windows]
    before = [max((n - 1) * step + extent - size, 0) // 2 if padding == "SAME" else 0
              for n, (size, extent, step) in zip(counts, windows, strict=True)]  # fmt: skip
    padded = np.pad(image, [(0, 0), (before[0], 9), (before[1], 9), (0, 0)])
    assert output.shape == (1, *counts, 3)
    for row, column in np.ndindex(*counts):
        patch = padded[0, 2 * row : 2 * row + 5 : 2, 3 * column : 3 * column + 2]
        np.testing.assert_allclose(output[0, row, column], (kernel * patch).sum((1, 2, 3)), rtol=1e-4, atol=1e-5)
