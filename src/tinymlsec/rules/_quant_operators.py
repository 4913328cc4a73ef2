"""Quantization of operators: data, weights, bias and output together."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.rules._places import tensor_words
from tinymlsec.rules._quant_tables import COMPARISONS, QUANTIZED, SHIFTED, USES_SCALES, WEIGHTED
from tinymlsec.rules._quant_tensors import good_scales, has_scale
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._sites import Site, constant_values, sites
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Tensor

ABORTS = ("CVE-2022-29212",)
BIAS_TOLERANCE = 0.02
"""Relative difference of a bias scale from the product of scales; converters are within 1e-6 of it."""
MAX_WEIGHTS = 1 << 26
LARGEST_SUM = 2**31 - 1


def _scales(site: Site, tensor: Tensor | None) -> NDArray[np.float64] | None:
    """Scales of a quantized tensor if all of them are good."""
    if tensor is None or tensor.quantization is None or not site.work.take(4 * tensor.quantization.scale.size):
        return None
    if not good_scales(tensor.quantization):
        return None
    return tensor.quantization.scale.astype(np.float64)


def offset_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Zero points of int8 weights."""
    for site in sites(file, *WEIGHTED):
        weights = site.tensor(WEIGHTED[site.op.name][1])
        if weights is None or weights.dtype not in ("int8", "int4") or weights.quantization is None:
            continue
        zeros = weights.quantization.zero_point
        if not site.work.take(8 * zeros.size):
            return
        if zeros.size and zeros.any() and site.is_constant(WEIGHTED[site.op.name][1]):
            message = (
                f"{site.title} has weights with the zero point {int(zeros[np.flatnonzero(zeros)[0]])}; expected 0."
            )
            location = site.where(WEIGHTED[site.op.name][1])
            yield relative(file, message, location, rule=rule_id, op=site.op.name)


def bias_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Biases of another type, or of a scale that is not the product of data and weight scales."""
    for site in sites(file, *WEIGHTED):
        data, weights, bias = (site.tensor(place) for place in WEIGHTED[site.op.name])
        if bias is None or data is None or weights is None or data.dtype not in QUANTIZED:
            continue
        problem = _bias_problem(site, data, weights, bias)
        if problem:
            location = site.where(WEIGHTED[site.op.name][2])
            effect = Effect.WRONG if bias.dtype in ("int32", "int64") else Effect.READ
            yield relative(file, f"{site.title} {problem}.", location, rule=rule_id, op=site.op.name, effect=effect)


def _bias_problem(site: Site, data: Tensor, weights: Tensor, bias: Tensor) -> str:
    allowed = ("int32", "int64") if data.dtype == "int16" else ("int32",)
    if bias.dtype not in allowed:
        return f"has a bias of type {bias.dtype} beside {data.dtype} data; expected {' or '.join(allowed)}"
    found, x, w = (_scales(site, tensor) for tensor in (bias, data, weights))
    if found is None or x is None or w is None or x.size != 1 or found.size not in (1, w.size):
        return ""
    expected = x * w
    relative_error = np.abs(found - expected) / expected
    if relative_error.max() <= BIAS_TOLERANCE:
        return ""
    worst = int(np.argmax(relative_error))
    scale = found[min(worst, found.size - 1)]
    return f"has the bias scale {scale:.6g} (channel {worst}); expected {expected[worst]:.6g}, data times weights"


def multiplier_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Ratios of scales outside of what the kernel's integers express."""
    for site in sites(file, *WEIGHTED, *SHIFTED, *COMPARISONS):
        data = site.tensor(0)
        if data is None or data.dtype not in QUANTIZED:
            continue
        if site.op.name in WEIGHTED:
            problem, effect, cve = _weighted_ratio(site), Effect.WRONG, ()
        else:
            problem = _comparison_ratio(site) if site.op.name in COMPARISONS else _sum_ratio(site)
            effect, cve = Effect.ABORT, ABORTS  # type: ignore[assignment]
        if problem:
            message = f"{site.title} {problem}."
            yield relative(file, message, site.where(), rule=rule_id, op=site.op.name, cve=cve, effect=effect)


def _weighted_ratio(site: Site) -> str:
    place, weights, _ = WEIGHTED[site.op.name]
    x, w, y = (_scales(site, tensor) for tensor in (site.tensor(place), site.tensor(weights), site.output()))
    if x is None or w is None or y is None or x.size != 1 or y.size != 1:
        return ""
    ratio = x * w / y
    if float(ratio.max()) >= 2.0**31:
        return f"has the multiplier {float(ratio.max()):.6g}; expected below 2^31"
    if float(ratio.max()) < 2.0**-32:  # single channels so small are dead ones, which training makes
        return f"has the multiplier {float(ratio.max()):.6g}; expected at least 2^-32, below which outputs are constant"
    return ""


def _sum_ratio(site: Site) -> str:
    a, b, y = (_scales(site, tensor) for tensor in (site.tensor(0), site.tensor(1), site.output()))
    if a is None or b is None or y is None or a.size != 1 or b.size != 1 or y.size != 1:
        return ""
    shift = 15 if site.op.name != "SQUARED_DIFFERENCE" and site.tensor(0).dtype == "int16" else SHIFTED[site.op.name]  # type: ignore[union-attr]
    widest = 2 * max(a[0], b[0])
    ratio = float(widest / (2**shift * y[0]))
    if site.op.name == "SQUARED_DIFFERENCE":
        ratio = float(widest * widest / (2 ** (2 * shift) * y[0]))
    return f"has the output multiplier {ratio:.6g}; expected below 1" if ratio >= 1 else ""


def _comparison_ratio(site: Site) -> str:
    for place in (0, 1):
        scale = _scales(site, site.tensor(place))
        if scale is not None and float(scale.max()) >= 1:
            return f"compares quantized values of scale {float(scale.max()):.6g} (input {place}); expected below 1"
    return ""


def accumulator_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Sums of products that can leave 32 bits, by the weights and biases in the file."""
    for site in sites(file, *WEIGHTED):
        data, weights, bias = (site.tensor(place) for place in WEIGHTED[site.op.name])
        if data is None or weights is None or data.dtype not in ("int8", "uint8") or weights.dtype != "int8":
            continue
        largest = _largest_sum(site, data, weights, bias)
        if largest > LARGEST_SUM:
            message = f"{site.title} can reach a sum of {largest:,}; expected at most {LARGEST_SUM:,}."
            location = site.where(WEIGHTED[site.op.name][2 if bias is not None else 1])
            yield relative(file, message, location, rule=rule_id, op=site.op.name)


def _largest_sum(site: Site, data: Tensor, weights: Tensor, bias: Tensor | None) -> int:
    """Bound of the accumulator's magnitude over all inputs; 0 where it is not known."""
    elements = prod(weights.shape)
    channel_axis = 3 if site.op.name == "DEPTHWISE_CONV_2D" else 0
    if not weights.shape or len(weights.shape) <= channel_axis or elements < 1:
        return 0
    channels = weights.shape[channel_axis]
    added = _magnitudes(site, bias)
    step = 255  # |data - zero point| of an 8-bit type
    simple = elements // max(channels, 1) * 128 * step + int(added.max(initial=0))
    if simple <= LARGEST_SUM:
        return simple
    values = constant_values(site.model, weights, site.work, MAX_WEIGHTS)
    if values is None or values.size != elements:
        return 0
    axes = tuple(axis for axis in range(len(weights.shape)) if axis != channel_axis)
    sums = np.abs(values.reshape(weights.shape).astype(np.int64)).sum(axis=axes) * step
    return int((sums + added).max()) if added.size in (1, channels) else int(sums.max())


def _magnitudes(site: Site, bias: Tensor | None) -> NDArray[np.int64]:
    values = None if bias is None else constant_values(site.model, bias, site.work)
    if values is None or values.dtype.kind != "i":
        return np.zeros(1, np.int64)
    return np.abs(values.astype(np.int64))


def divisor_hits(file: ModelFile, rule_id: str, *, real: bool) -> Iterator[Hit]:
    """DIV by a constant with a zero in it: of floats (`real`), or of integers."""
    for site in sites(file, "DIV", "FLOOR_DIV", "FLOOR_MOD"):
        values, tensor = site.values(1, MAX_WEIGHTS), site.tensor(1)
        if values is None or tensor is None or (values.dtype.kind == "f") is not real:
            continue
        zero = 0
        if tensor.dtype in QUANTIZED and tensor.quantization is not None and tensor.quantization.zero_point.size:
            zero = int(tensor.quantization.zero_point[0])
        bad = np.flatnonzero(values == zero)
        if bad.size:
            message = f"{site.title} divides by a constant that is {zero} at element {int(bad[0])}, which stands for 0."
            effect = Effect.WRONG if real else Effect.DIVISION
            cve = ("CVE-2021-37683",) if site.op.name == "DIV" and not real else ()
            location = site.where(1, int(bad[0]))
            yield relative(file, message, location, rule=rule_id, op=site.op.name, cve=cve, effect=effect)


def missing_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Operators that compute with scales on tensors that have none."""
    for site in sites(file, *USES_SCALES):
        inputs = [site.tensor(place) for place in USES_SCALES[site.op.name]]
        output = site.output() if site.op.name not in (*COMPARISONS, "DEQUANTIZE") else None
        bad = next((tensor for tensor in (*inputs, output) if not has_scale(tensor)), None)
        if bad is not None:
            message = f"{site.title} computes with {tensor_words(bad)} of type {bad.dtype}, which has no scale."
            location = site.where().model_copy(update={"tensor": bad.index})
            yield relative(
                file, message, location, rule=rule_id, op=site.op.name, cve=("CVE-2021-37682",), effect=Effect.NULL
            )
