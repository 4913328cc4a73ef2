"""Which tensors of which operators are quantized how, and the ratios of scales that kernels turn into integers."""

from __future__ import annotations

RANGES: dict[str, tuple[int, int]] = {
    "int4": (-8, 7),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (0, 0),
    "int32": (0, 0),
    "int64": (0, 0),
}
"""Zero points by type: int16 and wider are symmetric in every kernel."""
QUANTIZED = frozenset({"int4", "int8", "uint8", "int16"})

WEIGHTED: dict[str, tuple[int, int, int]] = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Operator -> places of data, weights and bias."""

USES_SCALES: dict[str, tuple[int, ...]] = {
    **{name: places[:2] for name, places in WEIGHTED.items()},
    **dict.fromkeys(
        ("ADD", "SUB", "MUL", "DIV", "PRELU", "SQUARED_DIFFERENCE", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL",
         "GREATER", "GREATER_EQUAL"),
        (0, 1),
    ),
    **dict.fromkeys(
        ("AVERAGE_POOL_2D", "SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "MEAN", "SUM",
         "RELU", "RELU6", "L2_NORMALIZATION", "DEQUANTIZE"),
        (0,),
    ),
}  # fmt: skip
"""Operators whose quantized kernels compute with scales -> inputs that must have them. Others copy or compare bytes."""

COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
SHIFTED = {"ADD": 20, "SUB": 20, "SQUARED_DIFFERENCE": 7}
"""Left shift by which kernels widen int8 inputs before they are brought to one scale (TensorFlow Lite)."""
