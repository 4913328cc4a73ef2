"""Files for the CVE rows that no family's own cases have: the same rules, other operators.

`by_cve` gives the cases of every row, whichever family they stand in.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rules.corpus.base import Case, constant_offset
from rules.corpus.one_op import (
    ADD,
    ARG_MAX,
    BATCH_TO_SPACE,
    CONV,
    DENSE,
    DEPTH_TO_SPACE,
    DEPTHWISE,
    EXPAND_DIMS,
    GATHER,
    GATHER_ND,
    MAXIMUM,
    MEAN,
    PAD,
    POOL,
    RESHAPE,
    SEGMENT_SUM,
    SPACE_TO_BATCH,
    SPACE_TO_DEPTH,
    SPLIT_V,
    STRIDED,
    SVDF,
    TRANSPOSE_CONV,
    Const,
    Feed,
    OneOp,
    out,
    weights,
)
from rules.corpus.options import of_constant, of_operator, of_tensor

MAX_POOL = OneOp("MAX_POOL_2D", POOL.inputs, POOL.outputs, POOL.options)
REDUCE_MAX = OneOp("REDUCE_MAX", MEAN.inputs, MEAN.outputs, {})
INT8_MEAN = OneOp("MEAN", (Feed((2, 5), "int8", 0.5, 3), Const([1])), (out((2,), "int8", 0.5, 3),), {})
ARG_MIN = OneOp("ARG_MIN", (Feed((2, 5)), Const([1])), (out((2,), "int32"),), {"output_type": "int32"})
MINIMUM = OneOp("MINIMUM", (Feed((2, 3)), Feed((2, 3))), (out((2, 3)),))
MUL = OneOp("MUL", (Feed((2, 3)), Feed((2, 3))), (out((2, 3)),), {})
LOOKUP = OneOp("EMBEDDING_LOOKUP", (Feed((3,), "int32"), Const(weights(5, 4))), (out((3, 4)),))
ONE_HOT = OneOp(
    "ONE_HOT", (Feed((2, 3), "int32"), Const(4), Const(np.float32(1)), Const(np.float32(0))), (out((2, 3, 4)),),
    {"axis": -1},
)  # fmt: skip
HASHTABLE = OneOp(
    "HASHTABLE_LOOKUP", (Feed((3,), "int32"), Const([1, 3, 7, 9]), Const(weights(4, 2))),
    (out((3, 2)), out((3,), "uint8")),
)  # fmt: skip
LSH = OneOp(
    "LSH_PROJECTION", (Const(weights(3, 4)), Feed((5, 2), "int32"), Feed((5,))), (out((3,), "int32"),), {"type": 1}
)
INT32_DIV = OneOp(
    "DIV", (Feed((2, 3), "int32"), Const([[1, 2, 3], [4, 5, 6]])), (out((2, 3), "int32"),), {}
)  # fmt: skip
INT8_DIV = OneOp(
    "DIV", (Feed((1, 4), "int8", 0.5, 7), Const(np.int8([[1, 2, 3, 4]]), scale=0.5, zero_point=9)),
    (out((1, 4), "int8", 0.5, 7),), {},
)  # fmt: skip
INT8_TRANSPOSE_CONV = OneOp(
    "TRANSPOSE_CONV",
    (
        Const([1, 8, 8, 4]),
        Const(weights(4, 2, 2, 3, dtype="int8"), scale=[0.1, 0.2, 0.3, 0.4]),
        Feed((1, 4, 4, 3), "int8", 0.5),
    ),
    (out((1, 8, 8, 4), "int8", 0.75),),
    {"stride_h": 2, "stride_w": 2, "padding": "VALID"},
)


def _empty(*shape: int) -> Const:
    return Const(np.empty(shape, np.float32))


def _options() -> list[Case]:
    conv_stride = TRANSPOSE_CONV.but(stride_h=0)
    return [
        of_operator("IDX-06", "CVE depthwise bias", DEPTHWISE, DEPTHWISE.but(2, None), "CVE-2020-15211"),
        of_operator("IDX-06", "CVE filter bias", SVDF, SVDF.but(3, None), "CVE-2020-15211"),
        of_operator("OPT-01", "CVE depthwise", DEPTHWISE, DEPTHWISE.but(stride_w=0), "CVE-2022-21741 CVE-2021-29585"),
        of_operator("OPT-01", "CVE transposed", TRANSPOSE_CONV, conv_stride, "CVE-2021-29588 CVE-2021-29585"),
        of_operator("OPT-01", "CVE max pooling", MAX_POOL, MAX_POOL.but(stride_h=0), "CVE-2021-29586 CVE-2021-37684"),
        of_operator("OPT-03", "CVE max pooling", MAX_POOL, MAX_POOL.but(filter_width=0), "CVE-2021-37684"),
        of_operator("OPT-05", "CVE channels", DEPTH_TO_SPACE, DEPTH_TO_SPACE.but(block_size=0), "CVE-2021-29595"),
        of_constant(
            "OPT-05", "CVE batches", SPACE_TO_BATCH, SPACE_TO_BATCH.but(1, Const([2, 0])), 1, 1, "CVE-2021-29597"
        ),
        of_constant("OPT-08", "CVE mean", MEAN, MEAN.but(1, Const([-3])), 1, 0, "CVE-2020-15207"),
        of_constant("OPT-08", "CVE int8 mean", INT8_MEAN, INT8_MEAN.but(1, Const([-3])), 1, 0, "CVE-2020-15207"),
        of_constant("OPT-08", "CVE maximum", REDUCE_MAX, REDUCE_MAX.but(1, Const([2])), 1, 0, "CVE-2020-15207"),
        of_constant("OPT-08", "CVE least", ARG_MIN, ARG_MIN.but(1, Const([-7])), 1, 0, "CVE-2021-29603"),
        of_constant("OPT-08", "CVE expand", EXPAND_DIMS, EXPAND_DIMS.but(1, Const([-9])), 1, 0, "CVE-2021-37685"),
        of_constant("OPT-08", "CVE sizes", SPLIT_V, SPLIT_V.but(2, Const(3)), 2, 0, "CVE-2021-29606"),
    ]


def _shapes() -> list[Case]:
    no_columns = DENSE.but(1, _empty(8, 0))
    no_input_channels = CONV.but(1, _empty(4, 3, 3, 0))
    return [
        of_tensor("SHAPE-03", "CVE minimum", MINIMUM, MINIMUM.but(1, Feed((0, 3))), 1, "CVE-2021-29590"),
        of_tensor("SHAPE-03", "CVE product", MUL, MUL.but(1, Feed((0, 3))), 1, "CVE-2021-37688"),
        of_tensor("SHAPE-03", "CVE sum", ADD, ADD.but(0, Feed((2, 0))), 0, "CVE-2021-37688"),
        of_tensor("SHAPE-03", "CVE look-up", LOOKUP, LOOKUP.but(1, _empty(0, 4)), 1, "CVE-2021-29596"),
        of_tensor("SHAPE-03", "CVE one hot", ONE_HOT, ONE_HOT.but(0, Feed((2, 0), "int32")), 0, "CVE-2021-29600"),
        of_tensor("SHAPE-03", "CVE hash table", HASHTABLE, HASHTABLE.but(2, _empty(0, 2)), 2, "CVE-2021-29604"),
        of_tensor("SHAPE-03", "CVE projection", LSH, LSH.but(1, Feed((0, 2), "int32")), 1, "CVE-2021-37691"),
        of_tensor("SHAPE-03", "CVE depthwise", DEPTHWISE, DEPTHWISE.but(0, Feed((1, 8, 8, 0))), 0, "CVE-2021-29602"),
        of_tensor("SHAPE-03", "CVE dense", DENSE, no_columns, 1, "CVE-2021-37680"),
        of_tensor(
            "SHAPE-03", "CVE channels", CONV, no_input_channels, 1, "CVE-2023-27579 CVE-2021-29594"
        ),
        of_tensor("SHAPE-03", "CVE filters", SVDF, SVDF.but(1, _empty(4, 0)), 1, "CVE-2021-29598"),
        of_tensor("SHAPE-03", "CVE pooling", POOL, POOL.but(0, Feed((1, 0, 8, 4))), 0, "CVE-2021-37684"),
        of_tensor("SHAPE-13", "CVE dense", DENSE, DENSE.but(2, Const(weights(7))), 2, "CVE-2022-23557"),
        of_tensor("SHAPE-13", "CVE depthwise", DEPTHWISE, DEPTHWISE.but(2, _empty(0)), 2, "CVE-2022-23557"),
        of_constant("SHAPE-10", "CVE element", GATHER_ND, GATHER_ND.but(1, Const([[4, 9], [1, 1]])), 1, 1,
                    "CVE-2022-35938"),
    ]  # fmt: skip


def _values() -> list[Case]:
    zero = INT32_DIV.but(1, Const([[1, 2, 0], [4, 5, 6]]))
    zero_point = INT8_DIV.but(1, Const(np.int8([[1, 9, 3, 4]]), scale=0.5, zero_point=9)).file()
    unscaled = INT8_TRANSPOSE_CONV.but(1, Const(weights(4, 2, 2, 3, dtype="int8")))
    return [
        of_constant("QUANT-09", "CVE int32", INT32_DIV, zero, 1, 2, "CVE-2021-37683"),
        Case("QUANT-09", "CVE int8", INT8_DIV.file(), zero_point, constant_offset(zero_point, 1) + 1, "CVE-2021-37683"),
        of_operator("QUANT-10", "CVE transposed", INT8_TRANSPOSE_CONV, unscaled, "CVE-2021-37682"),
    ]


def _declared() -> list[Case]:
    """A declared output that is an element short, for every operator with an advisory whose output can be inferred."""
    models = (
        ADD, ARG_MAX, ARG_MIN, BATCH_TO_SPACE, CONV, DENSE, DEPTH_TO_SPACE, DEPTHWISE, EXPAND_DIMS, GATHER, GATHER_ND,
        HASHTABLE, INT32_DIV, LOOKUP, LSH, MAX_POOL, MAXIMUM, MEAN, MINIMUM, MUL, ONE_HOT, PAD, REDUCE_MAX, RESHAPE,
        SEGMENT_SUM, SPACE_TO_BATCH, SPACE_TO_DEPTH, STRIDED, SVDF, TRANSPOSE_CONV,
    )  # fmt: skip
    made = []
    for model in models:
        *rest, last = model.outputs[0].shape or ()
        short = out((*rest, last - 1), model.outputs[0].dtype or "float32")
        made.append(of_operator("SHAPE-01", f"short {model.name}", model, model.but(output=short)))
    return made


@cache
def cases() -> list[Case]:
    """Good and bad files."""
    return [*_options(), *_shapes(), *_values(), *_declared()]


def by_cve(cases: list[Case]) -> dict[str, list[Case]]:
    """Cases by each CVE that their finding must name."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        for cve in case.cve.split():
            found.setdefault(cve, []).append(case)
    return found
