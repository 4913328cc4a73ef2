"""RUN: operators, versions and types that a runtime or a firmware does not have."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from rules.corpus.base import Case, op_offset
from rules.corpus.one_op import CONV, GATHER, Const, Feed, OneOp, out, weights
from rules.corpus.options import of_operator

RELU = OneOp("RELU", (Feed((2, 3)),), (out((2, 3)),))
COS = OneOp("COS", (Feed((2, 3)),), (out((2, 3)),))
ATAN2 = OneOp("ATAN2", (Feed((2, 3)), Feed((2, 3))), (out((2, 3)),))
CUSTOM = OneOp("VendorMagic", (Feed((2, 3)),), (out((2, 3)),), custom=b"\x01\x02")
DIV = OneOp("DIV", (Feed((2, 3), "int32"), Const(np.int32([[1, 2, 3], [4, 5, 6]]))), (out((2, 3), "int32"),), {})


@cache
def cases() -> list[Case]:
    """Good and bad files of the family."""
    hybrid = CONV.but(1, Const(weights(4, 3, 3, 4, dtype="int8"), scale=0.1)).file()
    unlinked = COS.file()
    int8_cosine = OneOp("COS", (Feed((2, 3), "int8", 0.5),), (out((2, 3), "int8", 0.5),))
    window = OneOp("SignalWindow", (Feed((2, 3)),), (out((2, 3)),), custom=b"")
    return [
        of_operator("RUN-01", "arc tangent", RELU, ATAN2),
        of_operator("RUN-02", "of a vendor", RELU, CUSTOM),
        Case("RUN-03", "cosine", RELU.file(), unlinked, op_offset(unlinked), linked=frozenset({"RELU", "ADD"})),
        of_operator("RUN-04", "version 99", RELU, replace(RELU, version=99)),
        Case("RUN-05", "float data, int8 weights", CONV.file(), hybrid, op_offset(hybrid)),
        of_operator("RUN-05", "cosine of int8", COS, int8_cosine),
        replace(of_operator("RUN-02", "signal operator on a host", RELU, window), runtime="litert-2.3"),
        of_operator("RUN-06", "computed indices", GATHER, GATHER.but(1, Feed((3,), "int32")), "CVE-2021-37687"),
        of_operator("RUN-06", "computed divisor", DIV, DIV.but(1, Feed((2, 3), "int32")), "CVE-2021-37683"),
    ]
