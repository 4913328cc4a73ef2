"""ADD, SUB and MUL on int8: tables over both operands (see `tinymlsec.lift.code_tables`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tinymlsec.errors import ModelFileError
from tinymlsec.lift.code_tables import PairTable, all_pairs
from tinymlsec.lift.op import LiftedOp, Site, Support
from tinymlsec.lift.ops.common import activation_bounds, only
from tinymlsec.lift.other_runtimes import Codes, is_xnnpack, own_multiplier, product_codes, sum_codes
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier
from tinymlsec.target.tflite.requant_ops import add_constants


def build_sum(site: Site) -> LiftedOp:
    """ADD and SUB: both operands are brought to a common scale, then their sum to the output's."""
    sign = -1 if site.op.name == "SUB" else 1
    (s1, z1), (s2, z2), (so, zo) = _quantizations(site)
    a, b = all_pairs()
    codes = sum_codes(a - z1, b - z2, (s1, s2, so), sign) if is_xnnpack(site) else None
    if codes is None:
        codes = _sums(site, a - z1, b - z2, sign)
    return _table(site, codes + zo, (s1 / so, sign * s2 / so))


def _sums(site: Site, a: Codes, b: Codes, sign: int) -> Codes:
    """TensorFlow Lite Micro's sums, and those of LiteRT's own kernel."""
    scales = [scale for scale, _ in _quantizations(site)]
    try:
        c = add_constants(scales[0], scales[1], scales[2])
    except ModelFileError as error:
        raise site.unsupported(str(error)) from None
    first = multiply_by_quantized_multiplier(a << c.left_shift, c.input1_multiplier, c.input1_shift)
    second = multiply_by_quantized_multiplier(b << c.left_shift, c.input2_multiplier, c.input2_shift)
    return multiply_by_quantized_multiplier(first + sign * second, c.output_multiplier, c.output_shift)


def build_product(site: Site) -> LiftedOp:
    """MUL: the product of both operands, requantized once."""
    (s1, z1), (s2, z2), (so, zo) = _quantizations(site)
    a, b = all_pairs()
    codes = product_codes(a - z1, b - z2, (s1, s2, so)) if is_xnnpack(site) else None
    if codes is None:
        codes = multiply_by_quantized_multiplier((a - z1) * (b - z2), *own_multiplier(site, (s1, s2), so))
    ratio = s1 * s2 / so
    return _table(site, codes + zo, (ratio * (b - z2), ratio * (a - z1)))


def _quantizations(site: Site) -> tuple[tuple[float, int], tuple[float, int], tuple[float, int]]:
    return site.scale(site.input(0)), site.scale(site.input(1)), site.scale(site.output())


def _table(site: Site, codes: Codes, derivatives: tuple[ArrayLike, ArrayLike]) -> PairTable:
    shapes = [site.input(0).shape, site.input(1).shape]
    if np.broadcast_shapes(*shapes) != site.output().shape:
        raise site.unsupported(f"shapes {shapes[0]} and {shapes[1]} do not give {site.output().shape}")
    return PairTable(codes, activation_bounds(site), derivatives, len(site.output().shape))


_OPTIONS = "any scales, zero points and fused activation; broadcasting, constant operands"
_INT8 = only(("int8", "int8"), "int8")
SUPPORT: tuple[Support, ...] = (
    Support("ADD", "int8", build_sum, _INT8, _OPTIONS),
    Support("SUB", "int8", build_sum, _INT8, _OPTIONS),
    Support("MUL", "int8", build_product, _INT8, _OPTIONS),
)
