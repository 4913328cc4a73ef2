"""OPT: one file for every rule, and more where operators differ."""

from __future__ import annotations

from functools import cache

import numpy as np

from rules.corpus.base import Case, constant_offset, op_offset, patched_span, tensor_offset
from rules.corpus.one_op import (
    ARG_MAX,
    BATCH_TO_SPACE,
    CONCAT,
    CONV,
    DEPTH_TO_SPACE,
    DEPTHWISE,
    MEAN,
    PAD,
    POOL,
    SOFTMAX,
    SPACE_TO_BATCH,
    SPACE_TO_DEPTH,
    SPLIT,
    STRIDED,
    SVDF,
    Const,
    Feed,
    OneOp,
    State,
    out,
)


def of_operator(rule: str, name: str, good: OneOp, bad: OneOp, cve: str = "") -> Case:
    """A case whose finding stands at the operator."""
    return Case(rule, name, good.file(), bad.file(), op_offset(bad.file()), cve)


def of_constant(rule: str, name: str, good: OneOp, bad: OneOp, tensor: int, element: int = 0, cve: str = "") -> Case:
    """A case whose finding stands at a value of an int32 constant."""
    return Case(rule, name, good.file(), bad.file(), constant_offset(bad.file(), tensor) + 4 * element, cve)


def of_tensor(rule: str, name: str, good: OneOp, bad: OneOp, tensor: int, cve: str = "") -> Case:
    """A case whose finding stands at a tensor."""
    return Case(rule, name, good.file(), bad.file(), tensor_offset(bad.file(), tensor), cve)


def _without_options() -> Case:
    good = CONV.file()
    bad = patched_span(good, "Operator.builtin_options_type", "scalar", "B", 0)
    return Case("OPT-16", "no options table", good, bad, op_offset(bad), "CVE-2021-29594")


@cache
def cases() -> list[Case]:
    """Good and bad files of the family."""
    uneven = SPACE_TO_DEPTH.but(0, Feed((1, 5, 4, 3)))
    empty_axes = MEAN.but(1, Const(np.empty(0, np.int32)), output=out((2, 5)))
    return [
        of_operator("OPT-01", "stride of a convolution 0", CONV, CONV.but(stride_h=0), "CVE-2021-29594"),
        of_operator("OPT-01", "stride of a pooling -1", POOL, POOL.but(stride_w=-1), "CVE-2021-29586"),
        of_operator("OPT-02", "dilation 0", CONV, CONV.but(dilation_w_factor=0), "CVE-2021-29594"),
        of_operator("OPT-03", "window of no rows", POOL, POOL.but(filter_height=0), "CVE-2021-37684"),
        of_operator("OPT-04", "stride of 65536", CONV, CONV.but(stride_w=0x10000)),
        of_operator("OPT-05", "block 0", SPACE_TO_DEPTH, SPACE_TO_DEPTH.but(block_size=0), "CVE-2021-29587"),
        of_constant(
            "OPT-05", "constant block 0", BATCH_TO_SPACE, BATCH_TO_SPACE.but(1, Const([2, 0])), 1, 1, "CVE-2021-29593"
        ),
        of_operator("OPT-06", "height no multiple", SPACE_TO_DEPTH, uneven, "CVE-2021-29587"),
        of_operator(
            "OPT-06", "channels no multiple", DEPTH_TO_SPACE, DEPTH_TO_SPACE.but(0, Feed((1, 2, 2, 10))),
            "CVE-2021-29595",
        ),
        of_operator(
            "OPT-06", "batch no multiple", BATCH_TO_SPACE, BATCH_TO_SPACE.but(0, Feed((5, 2, 2, 3))), "CVE-2021-29593"
        ),
        of_operator(
            "OPT-06", "padded size no multiple", SPACE_TO_BATCH, SPACE_TO_BATCH.but(2, Const([[1, 0], [0, 0]])),
            "CVE-2021-29597",
        ),
        of_operator("OPT-07", "no splits", SPLIT, SPLIT.but(num_splits=0), "CVE-2021-29599"),
        of_operator("OPT-07", "more splits than outputs", SPLIT, SPLIT.but(num_splits=4), "CVE-2021-29599"),
        of_constant("OPT-08", "axis 2 of 2", ARG_MAX, ARG_MAX.but(1, Const([2])), 1, 0, "CVE-2021-29603"),
        of_operator("OPT-08", "axis of a concatenation", CONCAT, CONCAT.but(axis=-3)),
        of_operator("OPT-09", "activation 6", CONV, CONV.but(fused_activation_function=6)),
        of_operator("OPT-10", "padding 2", POOL, POOL.but(padding=2)),
        of_operator("OPT-11", "two ellipses", STRIDED, STRIDED.but(ellipsis_mask=3), "CVE-2021-37686"),
        of_operator("OPT-11", "mask of a third entry", STRIDED, STRIDED.but(begin_mask=4), "CVE-2021-37686"),
        of_constant("OPT-18", "step 0", STRIDED, STRIDED.but(3, Const([1, 0])), 3, 1),
        of_operator("OPT-12", "rank 0", SVDF, SVDF.but(rank=0), "CVE-2021-29598"),
        of_operator("OPT-12", "rank 3 of 4 filters", SVDF, SVDF.but(rank=3), "CVE-2021-29598"),
        of_operator("OPT-13", "multiplier 2", DEPTHWISE, DEPTHWISE.but(depth_multiplier=2), "CVE-2021-29602"),
        of_tensor("OPT-14", "no axis", MEAN, empty_axes, 1, "CVE-2021-37689"),
        of_constant("OPT-15", "padding -1", PAD, PAD.but(1, Const([[1, 1], [0, -1]]), output=out((4, 2))), 1, 3),
        _without_options(),
        of_operator("OPT-19", "beta that is no number", SOFTMAX, SOFTMAX.but(beta=float("nan"))),
        of_operator("OPT-19", "beta below 0", SOFTMAX, SOFTMAX.but(beta=-1.0)),
        of_operator("OPT-19", "beta of 1e-12", SOFTMAX, SOFTMAX.but(beta=1e-12)),
        of_tensor("OPT-17", "state that is an input", SVDF, SVDF.but(4, State((1, 24), variable=False)), 4,
                  "CVE-2021-37681"),
    ]  # fmt: skip
