"""Quantization parameters of single tensors: all of a model at once, and one by one only where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinymlsec.rules._places import tensor_words
from tinymlsec.rules._quant_tables import QUANTIZED, RANGES
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._sites import tensor_location
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Quantization, Subgraph, Tensor

Row = tuple[Subgraph, Tensor, Quantization]
MAX_SCALES = 1 << 22
"""Scales and zero points of all tensors together that are looked at; tensors of a hostile file can share them."""


def quantized(file: ModelFile) -> list[Row]:
    """Tensors of integer type with quantization parameters, in file order."""
    if "quant.tensors" not in file.memo:
        left, found = MAX_SCALES, []
        for graph in file.model.subgraphs if file.model is not None else ():
            for tensor in graph.tensors:
                if tensor.quantization is not None and tensor.dtype in RANGES:
                    left -= tensor.quantization.scale.size + tensor.quantization.zero_point.size
                    if left < 0:
                        break
                    found.append((graph, tensor, tensor.quantization))
        file.memo["quant.tensors"] = found
    rows: list[Row] = file.memo["quant.tensors"]
    return rows


def good_scales(quantization: Quantization) -> bool:
    """Whether every scale is finite and greater than zero, and there is one."""
    scale = quantization.scale
    return scale.size > 0 and bool((np.isfinite(scale) & (scale > 0)).all())


def _hit(file: ModelFile, rule_id: str, row: Row, message: str, effect: Effect, *, cve: tuple[str, ...] = ()) -> Hit:
    assert file.model is not None
    graph, tensor, _ = row
    location = tensor_location(file.model, graph, tensor)
    text = f"{tensor_words(tensor)} {message}."
    return relative(file, text[:1].upper() + text[1:], location, rule=rule_id, cve=cve, effect=effect)


def scale_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Scales that are zero, negative, infinite or no number."""
    rows = quantized(file)
    scales = [row[2].scale for row in rows if row[2].scale.size]
    if not scales or bool(((joined := np.concatenate(scales)) > 0).all() and np.isfinite(joined).all()):
        return
    for row in rows:
        if row[2].scale.size and not good_scales(row[2]):
            scale = row[2].scale
            bad = scale[~(np.isfinite(scale) & (scale > 0))]
            words = f"has the scale {float(bad[0])} ({bad.size} of {scale.size} are wrong)"
            yield _hit(file, rule_id, row, f"{words}; expected finite numbers above 0", Effect.WRONG)


def zero_point_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Zero points that are no values of the tensor's type."""
    for row in quantized(file):
        zeros, (low, high) = row[2].zero_point, RANGES[row[1].dtype]
        if zeros.size and row[2].scale.size and (int(zeros.min()) < low or int(zeros.max()) > high):
            bad = zeros[(zeros < low) | (zeros > high)]
            message = f"of type {row[1].dtype} has the zero point {int(bad[0])}; expected {low} to {high}"
            yield _hit(file, rule_id, row, message, Effect.WRONG)


def length_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Vectors of scales and zero points of different lengths, or not as long as their dimension."""
    for row in quantized(file):
        _, tensor, quantization = row
        scales, zeros = quantization.scale.size, quantization.zero_point.size
        if scales == 0 or (scales == zeros == 1):
            continue
        size = _channels(tensor, quantization)
        if scales != zeros:
            message = f"has {scales} scales and {zeros} zero points; expected as many of both"
        elif size is not None and scales != size:
            along = f"dimension {quantization.dimension} of {list(tensor.shape)}"
            message = f"has {scales} scales along {along}; expected {size}"
        else:
            continue
        yield _hit(file, rule_id, row, message, Effect.READ, cve=("CVE-2021-37682",))


def _channels(tensor: Tensor, quantization: Quantization) -> int | None:
    """Size of the quantized dimension; None where there is no such dimension (which QUANT-05 says)."""
    axis = quantization.dimension
    return tensor.shape[axis] if 0 <= axis < len(tensor.shape) else None


def dimension_hits(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    """Per-channel scales along a dimension that the tensor does not have."""
    for row in quantized(file):
        _, tensor, quantization = row
        if quantization.scale.size > 1 and _channels(tensor, quantization) is None:
            rank = len(tensor.shape)
            message = f"has scales along dimension {quantization.dimension}; expected 0 to {rank - 1}"
            yield _hit(file, rule_id, row, message, Effect.READ, cve=("CVE-2021-37682",))


def has_scale(tensor: Tensor | None) -> bool:
    """Whether a tensor needs no scale or has one."""
    if tensor is None or tensor.dtype not in QUANTIZED:
        return True
    return tensor.quantization is not None and tensor.quantization.scale.size > 0
