"""QUANT: one file for every rule, and more where kernels differ."""

from __future__ import annotations

from functools import cache

import numpy as np

from rules.corpus.base import Case, constant_offset, patched_span, tensor_offset
from rules.corpus.one_op import DIV, INT8_CONV, INT8_DENSE, POOL, Const, Feed, OneOp, out, weights
from rules.corpus.options import of_operator, of_tensor

RELU = OneOp("RELU", (Feed((1, 8), "int8", 0.5, 1),), (out((1, 8), "int8", 0.5, 1),))
EQUAL = OneOp("EQUAL", (Feed((1, 8), "int8", 0.5, 1), Feed((1, 8), "int8", 0.5, 1)), (out((1, 8), "bool"),), {})
INT8_ADD = OneOp(
    "ADD", (Feed((1, 8), "int8", 0.5, 1), Feed((1, 8), "int8", 0.25, 1)), (out((1, 8), "int8", 0.75, 1),), {}
)
INT8_DIV = OneOp(
    "DIV", (Feed((1, 4), "uint8", 0.5, 7), Const(np.uint8([[1, 2, 3, 4]]), scale=0.5, zero_point=9)),
    (out((1, 4), "uint8", 0.5, 7),), {},
)  # fmt: skip
SOFTMAX = OneOp("SOFTMAX", (Feed((1, 8), "int8", 0.5, 1),), (out((1, 8), "int8", 2**-8, -128),), {"beta": 1.0})
TANH = OneOp("TANH", (Feed((1, 8), "int8", 0.5, 1),), (out((1, 8), "int8", 2**-7),))
INT8_POOL = OneOp(
    "AVERAGE_POOL_2D", (Feed((1, 8, 8, 4), "int8", 0.5, 1),), (out((1, 4, 4, 4), "int8", 0.5, 1),), POOL.options
)
INT8_CONCAT = OneOp(
    "CONCATENATION", (Feed((1, 4), "int8", 0.5, 1), Feed((1, 4), "int8", 0.5, 1)), (out((1, 8), "int8", 0.5, 1),),
    {"axis": 1},
)  # fmt: skip
INT8_RESHAPE = OneOp(
    "RESHAPE", (Feed((2, 6), "int8", 0.5, 1), Const([3, 4])), (out((3, 4), "int8", 0.5, 1),)
)  # fmt: skip
DEQUANTIZE = OneOp("DEQUANTIZE", (Feed((1, 8), "int8", 0.5, 1),), (out((1, 8)),))


def _bias(values: object, dtype: str = "int32", scale: object = 0.125) -> OneOp:
    return INT8_DENSE.but(2, Const(values, dtype, scale))


def _dense_weights(scale: object = 0.25, zero_point: object = 0, dimension: int = 0) -> OneOp:
    return INT8_DENSE.but(1, Const(weights(8, 16, dtype="int8"), None, scale, zero_point, dimension))


def _fewer_zero_points() -> Case:
    good = INT8_CONV.file()
    # The filter's zero points are the only vector of four of them.
    from rules.corpus.base import spans

    places = spans(good)["QuantizationParameters.zero_point", "vector"]
    which = next(i for i, span in enumerate(places) if good[span.start] == 4)
    bad = patched_span(good, "QuantizationParameters.zero_point", "vector", "I", 3, which=which)
    return Case("QUANT-04", "three zero points for four scales", good, bad, tensor_offset(bad, 1), "CVE-2021-37682")


@cache
def cases() -> list[Case]:
    """Good and bad files of the family."""
    conv_scales = Const(weights(4, 3, 3, 4, dtype="int8"), scale=[0.1, 0.2, 0.3])
    three = INT8_CONV.but(1, conv_scales)
    huge = np.arange(8) + 2**31 - 9
    zero = DIV.but(1, Const(np.float32([[1, 2, 0], [4, 5, 6]]))).file()
    same_as_zero_point = INT8_DIV.but(1, Const(np.uint8([[1, 9, 3, 4]]), scale=0.5, zero_point=9)).file()
    return [
        of_tensor("QUANT-01", "scale 0", RELU, RELU.but(0, Feed((1, 8), "int8", 0.0, 1)), 0),
        of_tensor("QUANT-01", "scale that is no number", RELU, RELU.but(0, Feed((1, 8), "int8", np.nan, 1)), 0),
        of_tensor("QUANT-01", "infinite scale of a channel", INT8_CONV, INT8_CONV.but(
            1, Const(weights(4, 3, 3, 4, dtype="int8"), scale=[0.1, 0.2, np.inf, 0.4])), 1),
        of_tensor("QUANT-02", "zero point 200 of int8", RELU, RELU.but(0, Feed((1, 8), "int8", 0.5, 200)), 0),
        of_tensor("QUANT-03", "weights around 5", INT8_DENSE, _dense_weights(zero_point=5), 1),
        of_tensor("QUANT-04", "three scales for four channels", INT8_CONV, three, 1, "CVE-2021-37682"),
        _fewer_zero_points(),
        of_tensor("QUANT-05", "dimension 4 of 4", INT8_CONV, INT8_CONV.but(1, Const(
            weights(4, 3, 3, 4, dtype="int8"), scale=[0.1, 0.2, 0.3, 0.4], dimension=4)), 1, "CVE-2021-37682"),
        of_tensor("QUANT-06", "bias of int16", INT8_DENSE, _bias(np.arange(8), "int16"), 2),
        of_tensor("QUANT-06", "bias of twice the scale", INT8_DENSE, _bias(np.arange(8), scale=0.25), 2),
        of_operator("QUANT-07", "comparison of scale 1.5", EQUAL, EQUAL.but(1, Feed((1, 8), "int8", 1.5, 1)),
                    "CVE-2022-29212"),
        of_operator("QUANT-07", "sum of a far smaller scale", INT8_ADD, INT8_ADD.but(
            output=out((1, 8), "int8", 1e-7, 1)), "CVE-2022-29212"),
        of_operator("QUANT-07", "multiplier of nothing", INT8_DENSE, INT8_DENSE.but(output=out((1, 8), "int8", 1e12))),
        of_tensor("QUANT-08", "bias next to 2^31", INT8_DENSE, _bias(huge), 2),
        Case("QUANT-11", "one of six", DIV.file(), zero, constant_offset(zero, 1) + 8),
        Case("QUANT-09", "divisor at its zero point", INT8_DIV.file(), same_as_zero_point,
             constant_offset(same_as_zero_point, 1) + 1, "CVE-2021-37683"),
        of_operator("QUANT-12", "average of another scale", INT8_POOL, INT8_POOL.but(
            output=out((1, 4, 4, 4), "int8", 0.25, 1))),
        of_operator("QUANT-12", "parts of two scales", INT8_CONCAT, INT8_CONCAT.but(1, Feed((1, 4), "int8", 0.25, 1))),
        of_operator("QUANT-12", "rows of another zero point", INT8_RESHAPE, INT8_RESHAPE.but(
            output=out((3, 4), "int8", 0.5, 2))),
        of_operator("QUANT-13", "softmax of scale 1/2", SOFTMAX, SOFTMAX.but(output=out((1, 8), "int8", 0.5, 1))),
        of_operator("QUANT-13", "tangent around 3", TANH, TANH.but(output=out((1, 8), "int8", 2**-7, 3))),
        of_operator("QUANT-10", "int8 without scale", DEQUANTIZE, DEQUANTIZE.but(0, Feed((1, 8), "int8")),
                    "CVE-2021-37682"),
    ]  # fmt: skip
