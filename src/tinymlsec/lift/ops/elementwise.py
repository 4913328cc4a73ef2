"""ADD, SUB and MUL on int8: tables over both operands (see `tinymlsec.lift.code_tables`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.lift.code_tables import PairTable, all_pairs
from tinymlsec.lift.op import LiftedOp, Site, Support
from tinymlsec.lift.ops.common import activation_bounds, only
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier
from tinymlsec.target.tflite.requant_ops import add_constants, multiply_multiplier


def build_sum(site: Site) -> LiftedOp:
    """ADD and SUB: both operands are brought to a common scale, then their sum to the output's."""
    sign = -1 if site.op.name == "SUB" else 1
    (s1, z1), (s2, z2), (so, zo) = (site.scale(t) for t in (site.input(0), site.input(1), site.output()))
    rounding = site.profile.rounding
    try:
        c = add_constants(s1, s2, so, rounding=rounding)
    except ModelFileError as error:
        raise site.unsupported(str(error)) from None
    a, b = all_pairs()
    first = multiply_by_quantized_multiplier((a - z1) << c.left_shift, c.input1_multiplier, c.input1_shift, rounding)
    second = multiply_by_quantized_multiplier((b - z2) << c.left_shift, c.input2_multiplier, c.input2_shift, rounding)
    total = first + sign * second
    codes = multiply_by_quantized_multiplier(total, c.output_multiplier, c.output_shift, rounding) + zo
    return _table(site, codes, (s1 / so, sign * s2 / so))


def build_product(site: Site) -> LiftedOp:
    """MUL: the product of both operands, requantized once."""
    (s1, z1), (s2, z2), (so, zo) = (site.scale(t) for t in (site.input(0), site.input(1), site.output()))
    rounding = site.profile.rounding
    multiplier, shift = multiply_multiplier(s1, s2, so, rounding)
    a, b = all_pairs()
    codes = multiply_by_quantized_multiplier((a - z1) * (b - z2), multiplier, shift, rounding) + zo
    ratio = s1 * s2 / so
    return _table(site, codes, (ratio * (b - z2), ratio * (a - z1)))


def _table(
    site: Site, codes: NDArray[np.int64], derivatives: tuple[ArrayLike, ArrayLike]
) -> PairTable:
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
