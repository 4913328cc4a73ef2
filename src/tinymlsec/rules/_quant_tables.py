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

KEEP_SCALE: dict[str, int] = {
    **dict.fromkeys(
        ("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "SPLIT_V", "SLICE", "STRIDED_SLICE", "TRANSPOSE", "GATHER",
         "GATHER_ND", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "RESIZE_BILINEAR",
         "RESIZE_NEAREST_NEIGHBOR", "PAD", "PADV2", "MIRROR_PAD", "SQUEEZE", "EXPAND_DIMS", "UNPACK", "REVERSE_V2",
         "BROADCAST_TO", "TILE"),
        0,
    ),
    "SPLIT": 1,
}  # fmt: skip
"""Operators that copy, choose or average quantized values as they are -> input whose scale their outputs have."""
JOINED = ("CONCATENATION", "PACK", "MAXIMUM", "MINIMUM")
"""Operators that mix values of all inputs as they are."""
FIXED_OUTPUT: dict[tuple[str, str], tuple[float, int]] = {
    ("LOGISTIC", "int8"): (2.0**-8, -128),
    ("LOGISTIC", "uint8"): (2.0**-8, 0),
    ("LOGISTIC", "int16"): (2.0**-15, 0),
    ("SOFTMAX", "int8"): (2.0**-8, -128),
    ("SOFTMAX", "uint8"): (2.0**-8, 0),
    ("SOFTMAX", "int16"): (2.0**-15, 0),
    ("TANH", "int8"): (2.0**-7, 0),
    ("TANH", "uint8"): (2.0**-7, 128),
    ("TANH", "int16"): (2.0**-15, 0),
    ("L2_NORMALIZATION", "int8"): (2.0**-7, 0),
    ("L2_NORMALIZATION", "uint8"): (2.0**-7, 128),
    ("LOG_SOFTMAX", "int8"): (2.0**-4, 127),
}
"""(operator, type of output) -> scale and zero point that kernels compute with, whatever the file says."""
SAME = 1e-3
"""Relative difference up to which two scales are the same; converters give equal ones."""
