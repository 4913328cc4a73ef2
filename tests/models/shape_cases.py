"""Operators with the shapes that their outputs must have, by the operators' definitions.

An input is a tuple (the shape of a computed tensor), a list or array (a constant; lists are int32) or None (absent).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinymlsec.target.tflite.builder import GraphBuilder, TensorSpec
from tinymlsec.target.tflite.graph import Model

Input = tuple[int, ...] | list[int] | np.ndarray[Any, Any] | np.generic | int | None


@dataclass(frozen=True)
class ShapeCase:
    """One operator: inputs, options, and the shapes (or the reasons why there is none) that are expected."""

    op: str
    inputs: list[Input]
    expected: list[tuple[int, ...] | str]
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    output_dtype: str = "float32"

    def model(self, outputs: int | None = None) -> Model:
        """A model of this operator alone, with outputs declared as scalars."""
        return one_op_model(self, len(self.expected) if outputs is None else outputs)


def one_op_model(case: ShapeCase, outputs: int) -> Model:
    """The operator of a case with that many outputs. Control flow finds subgraphs 1 and 2 in the model."""
    builder = GraphBuilder()
    inputs = [_input(builder, value, case.dtype) for value in case.inputs]
    specs = [TensorSpec((), case.output_dtype)] * outputs
    builder.output(*builder.op_many(case.op, inputs, specs, case.options))
    for shapes in SUBGRAPHS:
        other = builder.subgraph("branch")
        other.output(*(other.input(shape, "float32") for shape in shapes))
    return builder.build()


SUBGRAPHS = (((2, 3), (4,)), ((2, 3), (5,)), ((),))
"""Output shapes of subgraphs 1, 2 and 3: two branches that agree in the first output, and a condition."""


def _input(builder: GraphBuilder, value: Input, dtype: str) -> int:
    if value is None:
        return -1
    if isinstance(value, tuple):
        return builder.input(value, dtype)
    return builder.constant(np.asarray(value, None if isinstance(value, np.ndarray | np.generic) else np.int32))


UNARY = (
    "ABS BUCKETIZE CAST CEIL COMPLEX_ABS COS DENSIFY DEQUANTIZE ELU EXP FAKE_QUANT FLOOR GELU HARD_SWISH IMAG "
    "LEAKY_RELU LOG LOGICAL_NOT LOGISTIC NEG QUANTIZE REAL RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN "
    "SQRT SQUARE TANH ZEROS_LIKE L2_NORMALIZATION LOG_SOFTMAX SOFTMAX"
)
BINARY = (
    "ADD ATAN2 BITWISE_XOR DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR "
    "MAXIMUM MINIMUM MUL NOT_EQUAL POW RIGHT_SHIFT SQUARED_DIFFERENCE SUB"
)
SEGMENTS = [f"UNSORTED_SEGMENT_{kind}" for kind in ("MAX", "MIN", "PROD", "SUM")]
REDUCERS = ["MEAN", "SUM", *(f"REDUCE_{kind}" for kind in ("ALL", "ANY", "MAX", "MIN", "PROD"))]
STRIDES = {"stride_h": 2, "stride_w": 1}
STRIDES_3D = {"stride_d": 1, "stride_h": 2, "stride_w": 2}
POOL = {**STRIDES, "filter_height": 3, "filter_width": 2}
LSTM_WEIGHTS: list[Input] = [(7, 5)] * 4 + [(7, 6)] * 4 + [None] * 3 + [(7,)] * 4 + [(6, 7), None, (2, 6), (2, 7)]
C = ShapeCase

CASES: list[ShapeCase] = [
    *(C(op, [(2, 3, 4)], [(2, 3, 4)]) for op in UNARY.split()),
    *(C(op, [(2, 1, 4), (3, 1)], [(2, 3, 4)]) for op in BINARY.split()),
    C("ADD", [(0, 3), (1, 3)], [(0, 3)]),
    C("LOCAL_RESPONSE_NORMALIZATION", [(1, 2, 3, 4)], [(1, 2, 3, 4)]),
    C("PRELU", [(1, 4, 4, 3), (1, 1, 3)], [(1, 4, 4, 3)]),
    C("ADD_N", [(2, 3), (2, 3), (2, 3)], [(2, 3)]),
    C("SELECT", [(2,), (2, 3), (2, 3)], [(2, 3)]),
    C("SELECT_V2", [(2, 1), (3,), (1, 1, 1)], [(1, 2, 3)]),
    C("BITCAST", [(2, 3)], [(2, 3, 4)], output_dtype="int8"),
    C("BITCAST", [(2, 4)], [(2,)], dtype="int8"),
    C("BITCAST", [(2, 4)], [(2, 4)], output_dtype="int32"),
    C("CUMSUM", [(2, 3), -1], [(2, 3)]),
    C("CUMSUM", [(2, 3), ()], [(2, 3)]),
    C("DYNAMIC_UPDATE_SLICE", [(4, 5), (2, 5), [1, 0]], [(4, 5)]),
    C("REVERSE_V2", [(2, 3), [0]], [(2, 3)]),
    C("REVERSE_SEQUENCE", [(2, 3), (3,)], [(2, 3)], {"seq_dim": 0, "batch_dim": 1}),
    C("CONV_2D", [(1, 49, 10, 1), (64, 10, 4, 1), (64,)], [(1, 25, 5, 64)], {"stride_h": 2, "stride_w": 2}),
    C("CONV_2D", [(2, 9, 9, 3), (8, 3, 3, 3), (8,)], [(2, 4, 7, 8)], {"padding": "VALID", **STRIDES}),
    C("CONV_2D", [(1, 8, 8, 4), (6, 3, 3, 2)], [(1, 4, 8, 6)], STRIDES),
    C("CONV_2D", [(1, 9, 9, 1), (1, 3, 3, 1)], [(1, 5, 5, 1)],
      {"padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 2, "dilation_w_factor": 2}),
    C("DEPTHWISE_CONV_2D", [(1, 8, 8, 3), (1, 3, 3, 6), (6,)], [(1, 4, 8, 6)], {**STRIDES, "depth_multiplier": 2}),
    C("CONV_3D", [(1, 5, 8, 8, 2), (2, 3, 3, 2, 4)], [(1, 4, 3, 3, 4)], {"padding": "VALID", **STRIDES_3D}),
    C("TRANSPOSE_CONV", [[1, 8, 8, 3], (3, 2, 2, 5), (1, 4, 4, 5), (3,)], [(1, 8, 8, 3)], STRIDES),
    C("TRANSPOSE_CONV", [(4,), (3, 2, 2, 5), (1, 4, 4, 5)], ["run-time values of tensor 0"], STRIDES),
    C("CONV_3D_TRANSPOSE", [[1, 4, 8, 8, 3], (2, 2, 2, 3, 5), (1, 2, 4, 4, 5)], [(1, 4, 8, 8, 3)], STRIDES_3D),
    C("AVERAGE_POOL_2D", [(1, 7, 7, 3)], [(1, 3, 6, 3)], {"padding": "VALID", **POOL}),
    C("MAX_POOL_2D", [(1, 7, 7, 3)], [(1, 4, 7, 3)], POOL),
    C("L2_POOL_2D", [(1, 7, 7, 3)], [(1, 4, 7, 3)], POOL),
    C("FULLY_CONNECTED", [(2, 3, 4), (5, 12), (5,)], [(2, 5)]),
    C("FULLY_CONNECTED", [(2, 3, 4), (5, 4), None], [(2, 3, 5)], {"keep_num_dims": True}),
    C("BATCH_MATMUL", [(3, 1, 2, 4), (5, 4, 6)], [(3, 5, 2, 6)]),
    C("BATCH_MATMUL", [(4, 2), (6, 4)], [(2, 6)], {"adj_x": True, "adj_y": True}),
    *(C(op, [(2, 3, 4), [-1, 0]], [(3,)]) for op in REDUCERS),
    *(C(op, [(2, 3, 4), [1, 1]], [(2, 1, 4)], {"keep_dims": True}) for op in REDUCERS),
    C("SUM", [(2, 3), (1,)], ["run-time values of tensor 1"]),
    C("ARG_MAX", [(2, 3, 4), 1], [(2, 4)], output_dtype="int32"),
    C("ARG_MIN", [(2, 3, 4), [-1]], [(2, 3)], output_dtype="int32"),
    C("TOPK_V2", [(2, 9), 3], [(2, 3), (2, 3)]),
    C("SEGMENT_SUM", [(4, 2), [0, 0, 1, 3]], [(4, 2)]),
    *(C(op, [(2, 3, 4), (2, 3), 7], [(7, 4)]) for op in SEGMENTS),
    C("NON_MAX_SUPPRESSION_V4", [(9, 4), (9,), 5, (), ()], [(5,), ()]),
    C("NON_MAX_SUPPRESSION_V5", [(9, 4), (9,), 5, (), (), ()], [(5,), (5,), ()]),
    C("UNIQUE", [(7,)], ["run-time values of tensor 0", (7,)]),
    C("RESHAPE", [(2, 3, 4), [4, -1]], [(4, 6)]),
    C("RESHAPE", [(2, 3, 4)], [(24,)], {"new_shape": (24,)}),
    C("RESHAPE", [(1, 1), [0]], [()]),
    C("RESHAPE", [(2, 3)], ["the file gives no shape"]),
    C("SQUEEZE", [(1, 2, 1, 3)], [(2, 3)]),
    C("SQUEEZE", [(1, 2, 1, 3)], [(1, 2, 3)], {"squeeze_dims": (-2,)}),
    C("EXPAND_DIMS", [(2, 3), -1], [(2, 3, 1)]),
    C("TRANSPOSE", [(2, 3, 4), [2, 0, 1]], [(4, 2, 3)]),
    C("SPACE_TO_DEPTH", [(1, 4, 6, 3)], [(1, 2, 3, 12)], {"block_size": 2}),
    C("DEPTH_TO_SPACE", [(1, 2, 3, 12)], [(1, 4, 6, 3)], {"block_size": 2}),
    C("SPACE_TO_BATCH_ND", [(1, 4, 5, 3), [2, 3], np.array([[0, 0], [1, 0]], np.int32)], [(6, 2, 2, 3)]),
    C("BATCH_TO_SPACE_ND", [(6, 2, 2, 3), [2, 3], np.array([[0, 0], [1, 0]], np.int32)], [(1, 4, 5, 3)]),
    C("CONCATENATION", [(2, 3), (2, 1), (2, 5)], [(2, 9)], {"axis": -1}),
    C("PACK", [(2, 3), (2, 3)], [(2, 2, 3)], {"values_count": 2, "axis": 1}),
    C("UNPACK", [(2, 3)], [(2,), (2,), (2,)], {"num": 3, "axis": 1}),
    C("SPLIT", [1, (2, 6)], [(2, 2)] * 3, {"num_splits": 3}),
    C("SPLIT_V", [(2, 9), [2, -1, 3], 1], [(2, 2), (2, 4), (2, 3)], {"num_splits": 3}),
    C("SLICE", [(4, 5), [1, 2], [2, -1]], [(2, 3)]),
    C("STRIDED_SLICE", [(9, 4), [1, 0], [8, 4], [3, 1]], [(3, 4)]),
    C("STRIDED_SLICE", [(9, 4), [8, 0], [-10, 0], [-2, 1]], [(5, 4)], {"end_mask": 2}),
    C("STRIDED_SLICE", [(9, 4), [3], [0], [1]], [(4,)], {"shrink_axis_mask": 1}),
    C("STRIDED_SLICE", [(2, 3, 4), [0, 1], [0, 3], [1, 1]], [(2, 3, 2)], {"ellipsis_mask": 1}),
    C("STRIDED_SLICE", [(2, 3), [0, 0], [0, 1], [1, 1]], [(1, 1, 3)], {"new_axis_mask": 1}),
    C("STRIDED_SLICE", [(9,), [2], [4], [1]], [(4,)], {"offset": True}),
    C("STRIDED_SLICE", [(9,), [5], [2], [1]], [(0,)]),
    C("GATHER", [(2, 5, 3), (4, 6)], [(2, 4, 6, 3)], {"axis": 1}),
    C("GATHER", [(2, 5, 3), (2, 6)], [(2, 6, 3)], {"axis": 1, "batch_dims": -1}),
    C("GATHER_ND", [(4, 5, 6), (7, 2)], [(7, 6)]),
    C("SCATTER_ND", [(7, 1), (7, 5), [9, 5]], [(9, 5)]),
    C("EMBEDDING_LOOKUP", [(3,), (10, 4, 2)], [(3, 4, 2)]),
    C("EMBEDDING_LOOKUP_SPARSE", [(3,), (3, 2), [5, 6], (3,), (10, 4)], [(5, 4)]),
    C("HASHTABLE_LOOKUP", [(3,), (8,), (8, 4)], [(3, 4), (3,)]),
    C("PAD", [(2, 3), np.array([[1, 1], [0, 2]], np.int32)], [(4, 5)]),
    C("PADV2", [(2, 3), np.array([[1, 1], [0, 2]], np.int64), ()], [(4, 5)]),
    C("MIRROR_PAD", [(2, 3), np.array([[1, 1], [0, 2]], np.int32)], [(4, 5)], {"mode": "REFLECT"}),
    C("MIRROR_PAD", [(2, 3), np.array([[2, 2], [0, 3]], np.int32)], [(6, 6)], {"mode": "SYMMETRIC"}),
    C("TILE", [(2, 3), [2, 4]], [(4, 12)]),
    C("BROADCAST_TO", [(3, 1), [2, 3, 4]], [(2, 3, 4)]),
    C("BROADCAST_ARGS", [(2,), (3,)], [(3,)]),
    C("RESIZE_BILINEAR", [(1, 4, 5, 3), [8, 9]], [(1, 8, 9, 3)]),
    C("RESIZE_NEAREST_NEIGHBOR", [(1, 4, 5, 3), [8, 9]], [(1, 8, 9, 3)]),
    C("DILATE", [(3, 4), [2, 1], ()], [(5, 4)]),
    C("MATRIX_DIAG", [(2, 3)], [(2, 3, 3)]),
    C("MATRIX_SET_DIAG", [(2, 3, 4), (2, 3)], [(2, 3, 4)]),
    C("RFFT2D", [(2, 5, 7), [4, 8]], [(2, 4, 5)], output_dtype="complex64"),
    C("SHAPE", [(2, 3, 4)], [(3,)], output_dtype="int32"),
    C("RANK", [(2, 3, 4)], [()], output_dtype="int32"),
    C("FILL", [[2, 5], ()], [(2, 5)]),
    C("RANDOM_STANDARD_NORMAL", [[2, 5]], [(2, 5)]),
    C("RANDOM_UNIFORM", [[2, 5]], [(2, 5)]),
    C("SPARSE_TO_DENSE", [(3, 2), [4, 5], (3,), ()], [(4, 5)]),
    C("MULTINOMIAL", [(2, 5), 9], [(2, 9)], output_dtype="int32"),
    C("ONE_HOT", [(2, 3), 7, (), ()], [(2, 3, 7)], {"axis": -1}),
    C("ONE_HOT", [(2, 3), 7, (), ()], [(7, 2, 3)], {"axis": 0}),
    C("RANGE", [2, 9, 3], [(3,)], output_dtype="int32"),
    C("RANGE", [9, 2, -3], [(3,)], output_dtype="int32"),
    C("RANGE", [np.float32(0), np.float32(1), np.float32(0.25)], [(4,)]),
    C("WHERE", [(2, 3)], ["run-time values of tensor 0"], output_dtype="int64"),
    C("LSH_PROJECTION", [(3, 4), (5,)], [(12,)], {"type": "DENSE"}, output_dtype="int32"),
    C("LSH_PROJECTION", [(3, 4), (5,)], [(3,)], {"type": "SPARSE"}, output_dtype="int32"),
    C("SVDF", [(2, 8), (12, 8), (12, 5), (6,), (2, 60)], [(2, 6)], {"rank": 2}),
    C("RNN", [(2, 8), (5, 8), (5, 5), (5,), (2, 5)], [(2, 5)]),
    C("UNIDIRECTIONAL_SEQUENCE_RNN", [(2, 3, 8), (5, 8), (5, 5), (5,), (2, 5)], [(2, 3, 5)]),
    C("BIDIRECTIONAL_SEQUENCE_RNN",
      [(2, 3, 8), (5, 8), (5, 5), (5,), (2, 5), (4, 8), (4, 4), (4,), (2, 4)], [(2, 3, 5), (2, 3, 4)]),
    C("LSTM", [(2, 5), *LSTM_WEIGHTS], [(2, 6)]),
    C("LSTM", [(2, 5), (2, 6), (24, 11), (24,), (2, 6)], [(2, 6), (2, 6), (2, 11), (2, 24)], {"kernel_type": "BASIC"}),
    C("UNIDIRECTIONAL_SEQUENCE_LSTM", [(9, 2, 5), *LSTM_WEIGHTS], [(9, 2, 6)], {"time_major": True}),
    C("BIDIRECTIONAL_SEQUENCE_LSTM", [(9, 2, 5), *LSTM_WEIGHTS[:17], *LSTM_WEIGHTS[:17]], [(9, 2, 12)],
      {"merge_outputs": True}),
    C("CALL", [()], [(2, 3), (4,)], {"subgraph": 1}),
    C("STABLEHLO_COMPOSITE", [()], [(2, 3), (4,)], {"decomposition_subgraph_index": 1}),
    C("IF", [()], [(2, 3), "branches give (4,) and (5,)"], {"then_subgraph_index": 1, "else_subgraph_index": 2}),
    C("WHILE", [(2, 3), (5,)], [(2, 3), "turns (5,) into (4,)"], {"cond_subgraph_index": 3, "body_subgraph_index": 1}),
    C("ASSIGN_VARIABLE", [(), (2, 3)], []),
    C("HASHTABLE_IMPORT", [(), (3,), (3,)], []),
    C("VAR_HANDLE", [], [()], output_dtype="resource"),
    C("READ_VARIABLE", [()], ["variable handle in tensor 0"]),
    C("HASHTABLE", [], [(1,)], output_dtype="resource"),
    C("HASHTABLE_SIZE", [()], [(1,)], output_dtype="int64"),
    C("HASHTABLE_FIND", [(), (3, 2), ()], [(3, 2)]),
]  # fmt: skip

MALFORMED: list[ShapeCase] = [
    C("ADD", [(2, 3), (4,)], [()]),
    C("ADD", [(2, 3)], [()]),
    C("ADD", [(2, 3), None], [()]),
    C("RELU", [(2, 3)], [(), ()]),
    C("SOFTMAX", [()], [()]),
    C("LOCAL_RESPONSE_NORMALIZATION", [(2, 3)], [()]),
    C("PRELU", [(1, 3), (4, 3)], [()]),
    C("ADD_N", [(2,), (3,)], [()]),
    C("SELECT", [(3,), (2, 3), (2, 3)], [()]),
    C("BITCAST", [(2, 3)], [()], dtype="int8"),
    C("CUMSUM", [(2, 3), 2], [()]),
    C("DYNAMIC_UPDATE_SLICE", [(2, 2), (3, 2), [0, 0]], [()]),
    C("REVERSE_V2", [(2,), [-2]], [()]),
    C("REVERSE_SEQUENCE", [(2, 3), (4,)], [()], {"seq_dim": 0, "batch_dim": 1}),
    C("CONV_2D", [(1, 8, 8, 3), (4, 3, 3, 3)], [()]),  # strides default to 0: CVE-2021-29585, -29594
    C("CONV_2D", [(1, 8, 8, 3), (4, 3, 3, 3)], [()], {**STRIDES, "dilation_h_factor": 0}),
    C("CONV_2D", [(1, 8, 8, 3), (4, 3, 3, 0)], [()], STRIDES),  # CVE-2023-27579
    C("CONV_2D", [(1, 8, 8, 3), (4, 3, 3, 2)], [()], STRIDES),
    C("CONV_2D", [(1, 8, 8, 4), (5, 3, 3, 2)], [()], STRIDES),
    C("CONV_2D", [(1, 8, 8, 3), (0, 3, 3, 3)], [()], STRIDES),
    C("CONV_2D", [(1, 2, 8, 3), (4, 3, 3, 3)], [()], {**STRIDES, "padding": "VALID"}),
    C("CONV_2D", [(1, 8, 8, 3), (4, 3, 3, 3)], [()], {**STRIDES, "padding": 7}),
    C("CONV_2D", [(1, 8, 8, 3), (4, 3, 3, 3), (0,)], [()], STRIDES),  # CVE-2022-23557
    C("CONV_2D", [(8, 8, 3), (4, 3, 3, 3)], [()], STRIDES),
    C("DEPTHWISE_CONV_2D", [(1, 8, 8, 0), (1, 3, 3, 4)], [()], STRIDES),  # CVE-2021-29602
    C("DEPTHWISE_CONV_2D", [(1, 8, 8, 3), (1, 3, 3, 4)], [()], STRIDES),
    C("DEPTHWISE_CONV_2D", [(1, 8, 8, 3), (2, 3, 3, 3)], [()], STRIDES),
    C("CONV_3D", [(1, 5, 8, 8, 2), (2, 3, 3, 3, 4)], [()], STRIDES_3D),
    C("TRANSPOSE_CONV", [[1, 8, 8, 3], (3, 2, 2, 5), (1, 4, 4, 5)], [()]),  # CVE-2021-29588
    C("TRANSPOSE_CONV", [[1, 8, 3], (3, 2, 2, 5), (1, 4, 4, 5)], [()], STRIDES),
    C("CONV_3D_TRANSPOSE", [[1, 4, 8, 8, 5], (2, 2, 2, 3, 5), (1, 2, 4, 4, 5)], [()], STRIDES_3D),  # CVE-2022-41894
    C("AVERAGE_POOL_2D", [(1, 7, 7, 3)], [()], {"filter_height": 1, "filter_width": 1}),  # CVE-2021-29586
    C("MAX_POOL_2D", [(1, 7, 7, 3)], [()], STRIDES),  # CVE-2021-37684
    C("MAX_POOL_2D", [(1, 0, 7, 3)], [()], POOL),
    C("FULLY_CONNECTED", [(2, 3), (5, 0)], [()]),  # CVE-2021-37680
    C("FULLY_CONNECTED", [(2, 3), (5, 4)], [()]),
    C("FULLY_CONNECTED", [(2, 3), (5, 4, 1)], [()]),
    C("BATCH_MATMUL", [(2, 3), (4, 5)], [()]),
    C("MEAN", [(2, 3), [2]], [()]),  # CVE-2020-15207
    C("MEAN", [(2, 3), np.array([0.5], np.float32)], [()]),
    C("ARG_MAX", [(2, 3), -3], [()]),  # CVE-2021-29603
    C("ARG_MAX", [(2, 0), 1], [()]),
    C("TOPK_V2", [(2, 3), 4], [(), ()]),
    C("SEGMENT_SUM", [(3, 2), [0, -1, 1]], [()]),  # CVE-2020-15212
    C("SEGMENT_SUM", [(3, 2), [0, 2, 1]], [()]),  # CVE-2020-15214
    C("SEGMENT_SUM", [(2, 99), [0, 2**31 - 1]], [()]),  # CVE-2020-15213
    C("UNSORTED_SEGMENT_SUM", [(2, 3), (3,), 4], [()]),
    C("NON_MAX_SUPPRESSION_V4", [(9, 4), (8,), 5], [(), ()]),
    C("RESHAPE", [(2, 0), [0, -1]], [()]),  # CVE-2021-29592
    C("RESHAPE", [(2, 3), [-1, -1]], [()]),
    C("RESHAPE", [(2, 3), [4, -1]], [()]),
    C("RESHAPE", [(2, 3), [-2, -3]], [()]),
    C("RESHAPE", [(2, 3), [5]], [()]),
    C("SQUEEZE", [(1, 2)], [()], {"squeeze_dims": (1,)}),
    C("EXPAND_DIMS", [(2, 3), -4], [()]),  # CVE-2021-37685
    C("TRANSPOSE", [(2, 3), [0, 0]], [()]),
    C("TRANSPOSE", [(2, 3), [0]], [()]),
    C("SPACE_TO_DEPTH", [(1, 4, 4, 1)], [()]),  # CVE-2021-29587
    C("DEPTH_TO_SPACE", [(1, 4, 4, 4)], [()]),  # CVE-2021-29595
    C("DEPTH_TO_SPACE", [(1, 4, 4, 3)], [()], {"block_size": 2}),
    C("SPACE_TO_BATCH_ND", [(1, 4, 4, 1), [0, 1], [0, 0, 0, 0]], [()]),  # CVE-2021-29597
    C("BATCH_TO_SPACE_ND", [(4, 4, 4, 1), [0, 1], [0, 0, 0, 0]], [()]),  # CVE-2021-29593
    C("BATCH_TO_SPACE_ND", [(1, 4), [2], [0, 0]], [()]),
    C("BATCH_TO_SPACE_ND", [(2, 4), [2], [9, 0]], [()]),
    C("SPACE_TO_BATCH_ND", [(4, 4), [1, 1, 1], [0] * 6], [()]),
    C("CONCATENATION", [(2, 3), (3, 3)], [()], {"axis": 1}),
    C("CONCATENATION", [(2, 3), (2,)], [()], {"axis": 1}),
    C("CONCATENATION", [(2**30, 1), (2**30, 1)], [()]),  # CVE-2021-29601
    C("CONCATENATION", [], [()]),
    C("PACK", [(2,), (3,)], [()], {"values_count": 2}),
    C("PACK", [(2,), (2,)], [()], {"values_count": 3}),
    C("UNPACK", [(2, 3)], [()] * 2, {"num": 2, "axis": 1}),
    C("UNPACK", [(2, 3)], [()], {"num": -1, "axis": 1}),
    C("SPLIT", [0, (4,)], [()] * 2),  # CVE-2021-29599
    C("SPLIT", [0, (5,)], [()] * 2, {"num_splits": 2}),
    C("SPLIT", [0, (2**30,)], [()], {"num_splits": 2**30}),
    C("SPLIT_V", [(4,), [2, 2], 1], [()] * 2, {"num_splits": 2}),  # CVE-2021-29606
    C("SPLIT_V", [(4,), [2, 3], 0], [()] * 2, {"num_splits": 2}),
    C("SPLIT_V", [(4,), [9, -1], 0], [()] * 2, {"num_splits": 2}),
    C("SLICE", [(4,), [2], [3]], [()]),
    C("SLICE", [(4,), [5], [-1]], [()]),
    C("STRIDED_SLICE", [(4, 4), [0, 0], [1, 1], [1, 1]], [()], {"ellipsis_mask": 3}),  # CVE-2021-37686
    C("STRIDED_SLICE", [(4,), [0], [1], [0]], [()]),
    C("STRIDED_SLICE", [(4,), [0, 0], [1, 1], [1, 1]], [()]),
    C("STRIDED_SLICE", [(4,), [4], [5], [1]], [()], {"shrink_axis_mask": 1}),
    C("STRIDED_SLICE", [(4,), [0], [1], [1]], [()], {"ellipsis_mask": -1}),
    C("GATHER", [(2, 3), (4,)], [()], {"axis": 2}),
    C("GATHER", [(2, 3), (4,)], [()], {"axis": 0, "batch_dims": 1}),
    C("GATHER_ND", [(2, 3), (4, 3)], [()]),
    C("SCATTER_ND", [(7, 1), (7, 4), [9, 5]], [()]),
    C("EMBEDDING_LOOKUP", [(3,), (0, 4)], [()]),  # CVE-2021-29596
    C("EMBEDDING_LOOKUP_SPARSE", [(3,), (3, 2), [2**31 - 1, 6], (3,), (10, 4)], [()]),  # CVE-2022-23559
    C("HASHTABLE_LOOKUP", [(3,), (0,), (0, 4)], [(), ()]),  # CVE-2021-29604
    C("PAD", [(2, 3), [1, 1, -1, 0]], [()]),
    C("PAD", [(2, 3), [1, 1]], [()]),
    C("MIRROR_PAD", [(2, 3), [2, 0, 0, 0]], [()], {"mode": "REFLECT"}),
    C("TILE", [(2, 3), [1, -1]], [()]),
    C("TILE", [(2, 3), [2**31 - 1, 2**31 - 1]], [()]),
    C("BROADCAST_TO", [(3,), [2]], [()]),
    C("RESIZE_BILINEAR", [(1, 4, 4, 1), [0, 4]], [()]),
    C("DILATE", [(3,), [0], ()], [()]),
    C("MATRIX_SET_DIAG", [(2, 3, 4), (2, 4)], [()]),
    C("RFFT2D", [(5, 7), [3, 8]], [()]),
    C("FILL", [[2, -1], ()], [()]),
    C("FILL", [[65536, 65536], ()], [()]),
    C("MULTINOMIAL", [(2, 5), -1], [()]),
    C("ONE_HOT", [(2,), 3, (), ()], [()], {"axis": 2}),
    C("RANGE", [0, 5, 0], [()]),
    C("RANGE", [0, 5, -1], [()]),
    C("RANGE", [np.float32(0), np.float32(np.inf), np.float32(1)], [()]),
    C("RANGE", [np.float32(0), np.float32(3e38), np.float32(1e-38)], [()]),
    C("LSH_PROJECTION", [(3, 4), (0,)], [()], {"type": "DENSE"}),  # CVE-2021-37691
    C("LSH_PROJECTION", [(3, 4), (5,)], [()]),
    C("SVDF", [(2, 8), (12, 8), (12, 5), None, (2, 60)], [()]),  # CVE-2021-29598
    C("SVDF", [(2, 8), (12, 8), (12, 5), None, None], [()], {"rank": 2}),  # CVE-2021-37681
    C("SVDF", [(2, 8), (13, 8), (13, 5), None, (2, 65)], [()], {"rank": 2}),
    C("RNN", [(2, 8), (5, 7), (5, 5), (5,)], [()]),
    C("LSTM", [(2, 4), *LSTM_WEIGHTS], [()]),
    C("LSTM", [(2, 5), (2, 6), (24, 10), (24,), (2, 6)], [()] * 4, {"kernel_type": "BASIC"}),
    C("UNIDIRECTIONAL_SEQUENCE_LSTM", [(9, 2, 5)], [()]),
    C("CALL", [()], [(), ()], {"subgraph": 9}),
    C("CALL", [()], [()], {"subgraph": 1}),
    C("CALL_ONCE", [], [], {"init_subgraph_index": 1}),
    C("IF", [()], [(), ()], {"then_subgraph_index": 1, "else_subgraph_index": -1}),
    C("WHILE", [(2, 3)], [()], {"cond_subgraph_index": 1, "body_subgraph_index": 1}),
]
"""No output shape exists. Rows with a CVE have the cause of that advisory (see the research notes for issue 6)."""
