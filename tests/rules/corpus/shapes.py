"""SHAPE: one file for every rule, and more where operators differ."""

from __future__ import annotations

from functools import cache

import numpy as np

from rules.corpus.base import Case, constant_offset, graph, tensor_offset
from rules.corpus.one_op import (
    ADD,
    CONCAT,
    CONV,
    DENSE,
    GATHER,
    GATHER_ND,
    MAXIMUM,
    PAD,
    POOL,
    RESHAPE,
    SEGMENT_SUM,
    SPLIT,
    SPLIT_V,
    TRANSPOSE_CONV,
    Const,
    Feed,
    OneOp,
    out,
    weights,
)
from rules.corpus.options import of_constant, of_operator, of_tensor
from rules.corpus.sparse import sparse_dense
from tinymlsec.rules.runtime import DEFAULT_RUNTIME

SCATTER_ND = OneOp("SCATTER_ND", (Const([[0], [3]]), Feed((2, 4)), Const([5, 4])), (out((5, 4)),))
EMBEDDING = OneOp("EMBEDDING_LOOKUP", (Feed((3,), "int32"), Const(weights(5, 4))), (out((3, 4)),))
CONV_3D_TRANSPOSE = OneOp(
    "CONV_3D_TRANSPOSE",
    (Const([1, 4, 4, 4, 3]), Const(weights(2, 2, 2, 3, 3)), Feed((1, 4, 4, 4, 3)), Const(weights(3))),
    (out((1, 4, 4, 4, 3)),),
    {"stride_d": 1, "stride_h": 1, "stride_w": 1, "padding": "SAME", "dilation_d_factor": 1},
)
SPARSE_LOOKUP = OneOp(
    "EMBEDDING_LOOKUP_SPARSE",
    (Feed((3,), "int32"), Feed((3, 2), "int32"), Const([4, 5]), Feed((3,)), Const(weights(5, 4))),
    (out((4, 4)),),
    {},
)


def _short_constant() -> Case:
    bad = DENSE.but(1, Const(weights(8, 16)[:, :-1], shape=(8, 16))).file()
    return Case("SHAPE-06", "a column short", DENSE.file(), bad, constant_offset(bad, 1))


def _sparse() -> Case:
    bad = sparse_dense()
    return Case("SHAPE-15", "sparse weights", DENSE.file(), bad, tensor_offset(bad, 1), "CVE-2022-23561 CVE-2022-23560")


def _many_dimensions(rank: int = 7, runtime: str = DEFAULT_RUNTIME) -> Case:
    def file(rank: int) -> bytes:
        builder = graph()
        x = builder.input((1,) * rank, "float32")
        builder.output(
            builder.op("RELU", [x], shape=(1, 1)) if rank < 3 else builder.op("RELU", [x], shape=(1,) * rank)
        )
        return builder.tobytes()

    bad, cve = file(rank), "CVE-2021-29605 CVE-2022-23558"
    return Case("SHAPE-04", f"{rank} dimensions", file(2), bad, tensor_offset(bad, 0), cve, runtime=runtime, count=2)


@cache
def cases() -> list[Case]:
    """Good and bad files of the family."""
    scatter = SCATTER_ND.but(0, Const([[0], [5]]))
    concat_rank = CONCAT.but(1, Feed((2, 4)))
    empty = TRANSPOSE_CONV.but(1, Const(np.empty((4, 0, 2, 3), np.float32)))
    shape_16 = CONV_3D_TRANSPOSE.but(1, Const(weights(2, 2, 2, 3, 5))).but(2, Feed((1, 4, 4, 4, 5)))
    return [
        of_operator("SHAPE-01", "smaller output of a pooling", POOL, POOL.but(output=out((1, 2, 4, 4)))),
        of_operator("SHAPE-01", "larger output of a convolution", CONV, CONV.but(output=out((1, 9, 8, 4)))),
        of_operator("SHAPE-01", "part of a split", SPLIT, SPLIT.but(output=out((1, 3))), "CVE-2021-29599"),
        of_operator("SHAPE-02", "window of rank 3", POOL, POOL.but(0, Feed((8, 8, 4)))),
        of_operator("SHAPE-02", "paddings of another rank", PAD, PAD.but(1, Const([[1, 1]]))),
        of_tensor("SHAPE-03", "values of no elements", GATHER_ND, GATHER_ND.but(0, Feed((5, 0))), 0, "CVE-2021-29589"),
        of_tensor("SHAPE-03", "empty maximum", MAXIMUM, MAXIMUM.but(0, Feed((2, 0))), 0, "CVE-2021-29590"),
        of_tensor("SHAPE-03", "filter of no rows", TRANSPOSE_CONV, empty, 1, "CVE-2021-29588"),
        of_constant("SHAPE-03", "reshape to 0 and -1", RESHAPE, RESHAPE.but(1, Const([0, -1])), 1, 0, "CVE-2021-29592"),
        _many_dimensions(),
        of_tensor("SHAPE-05", "2^31 elements", ADD, ADD.but(0, Feed((32768, 65536))), 0),
        of_tensor(
            "SHAPE-05", "scatter into 2^40", SCATTER_ND, SCATTER_ND.but(2, Const([1 << 20, 1 << 20])), 2,
            "CVE-2022-35939",
        ),
        of_tensor(
            "SHAPE-05", "sparse look-up of 2^40", SPARSE_LOOKUP, SPARSE_LOOKUP.but(2, Const([1 << 30, 1024])), 2,
            "CVE-2022-23559",
        ),
        _short_constant(),
        of_operator("SHAPE-07", "3 and 2 columns", ADD, ADD.but(1, Feed((2, 2))), "CVE-2020-15208"),
        of_operator("SHAPE-07", "maximum of 3 and 2", MAXIMUM, MAXIMUM.but(1, Feed((2, 2))),
                    "CVE-2020-15208 CVE-2021-29590"),
        of_operator("SHAPE-08", "sum of 8 declared as 6", CONCAT, CONCAT.but(output=out((1, 6))), "CVE-2021-29601"),
        of_tensor("SHAPE-08", "another batch", CONCAT, concat_rank, 1, "CVE-2021-29601"),
        of_operator("SHAPE-09", "7 in 2 parts", SPLIT, SPLIT.but(1, Feed((1, 7))), "CVE-2021-29599"),
        of_tensor("SHAPE-09", "3 and 6 of 8", SPLIT_V, SPLIT_V.but(1, Const([3, 6])), 1, "CVE-2021-29606"),
        of_constant("SHAPE-10", "gather of row 5 of 5", GATHER, GATHER.but(1, Const([0, 5, 2])), 1, 1,
                    "CVE-2021-37687"),
        of_constant("SHAPE-10", "row of -1", GATHER_ND, GATHER_ND.but(1, Const([[0, 1], [-1, 3]])), 1, 2,
                    "CVE-2021-37687 CVE-2022-35937 CVE-2022-35938"),
        of_constant("SHAPE-10", "scatter to row 5 of 5", SCATTER_ND, scatter, 0, 1, "CVE-2022-35939"),
        of_constant("SHAPE-10", "look-up of row 9", EMBEDDING, EMBEDDING.but(0, Const([0, 9, 2])), 0, 1),
        of_constant("SHAPE-11", "negative", SEGMENT_SUM, SEGMENT_SUM.but(1, Const([-1, 0, 1, 2])), 1, 0,
                    "CVE-2020-15212"),
        of_constant("SHAPE-11", "unsorted", SEGMENT_SUM, SEGMENT_SUM.but(1, Const([0, 1, 0, 2])), 1, 2,
                    "CVE-2020-15214"),
        of_constant("SHAPE-11", "2^30", SEGMENT_SUM, SEGMENT_SUM.but(1, Const([0, 0, 1, 1 << 30])), 1, 3,
                    "CVE-2020-15213"),
        of_operator("SHAPE-12", "filter of 3 of 4 channels", CONV, CONV.but(1, Const(weights(4, 3, 3, 3))),
                    "CVE-2023-27579"),
        of_operator("SHAPE-12", "15 elements and 16 columns", DENSE, DENSE.but(0, Feed((1, 15))), "CVE-2021-37680"),
        of_tensor("SHAPE-13", "5 values for 4 channels", CONV, CONV.but(2, Const(weights(5))), 2, "CVE-2022-23557"),
        _sparse(),
        of_constant("SHAPE-17", "column 9 of 4", GATHER_ND, GATHER_ND.but(1, Const([[0, 9], [1, 1]])), 1, 1),
        _many_dimensions(9, "litert-2.3"),
        of_operator("SHAPE-16", "5 into 3 channels", CONV_3D_TRANSPOSE, shape_16, "CVE-2022-41894"),
    ]  # fmt: skip
