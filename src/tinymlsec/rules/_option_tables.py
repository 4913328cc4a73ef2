"""Which options of which operators a kernel divides by, counts with or takes for an axis, and their CVEs."""

from __future__ import annotations

STRIDES: dict[str, tuple[str, ...]] = {
    "CONV_2D": ("stride_h", "stride_w"),
    "DEPTHWISE_CONV_2D": ("stride_h", "stride_w"),
    "TRANSPOSE_CONV": ("stride_h", "stride_w"),
    "AVERAGE_POOL_2D": ("stride_h", "stride_w"),
    "MAX_POOL_2D": ("stride_h", "stride_w"),
    "L2_POOL_2D": ("stride_h", "stride_w"),
    "CONV_3D": ("stride_d", "stride_h", "stride_w"),
    "CONV_3D_TRANSPOSE": ("stride_d", "stride_h", "stride_w"),
}
DILATIONS: dict[str, tuple[str, ...]] = {
    "CONV_2D": ("dilation_h_factor", "dilation_w_factor"),
    "DEPTHWISE_CONV_2D": ("dilation_h_factor", "dilation_w_factor"),
    "CONV_3D": ("dilation_d_factor", "dilation_h_factor", "dilation_w_factor"),
    "CONV_3D_TRANSPOSE": ("dilation_d_factor", "dilation_h_factor", "dilation_w_factor"),
}
WINDOWS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), ("filter_height", "filter_width")
)
BLOCKS: dict[str, tuple[str, ...]] = {"SPACE_TO_DEPTH": ("block_size",), "DEPTH_TO_SPACE": ("block_size",)}
RANKS: dict[str, tuple[str, ...]] = {"SVDF": ("rank",)}
SPLITS: dict[str, tuple[str, ...]] = {"SPLIT": ("num_splits",), "SPLIT_V": ("num_splits",)}
MULTIPLIERS: dict[str, tuple[str, ...]] = {"DEPTHWISE_CONV_2D": ("depth_multiplier",)}

POOLING = ("CVE-2021-29586", "CVE-2021-37684")
STRIDE_CVES: dict[str, tuple[str, ...]] = {
    "CONV_2D": ("CVE-2021-29594", "CVE-2021-29585"),
    "DEPTHWISE_CONV_2D": ("CVE-2022-21741", "CVE-2021-29585"),
    "TRANSPOSE_CONV": ("CVE-2021-29588", "CVE-2021-29585"),
    "AVERAGE_POOL_2D": (*POOLING, "CVE-2021-29585"),
    "MAX_POOL_2D": (*POOLING, "CVE-2021-29585"),
    "L2_POOL_2D": (*POOLING, "CVE-2021-29585"),
}
DILATION_CVES: dict[str, tuple[str, ...]] = {"CONV_2D": ("CVE-2021-29594",), "DEPTHWISE_CONV_2D": ("CVE-2022-21741",)}
WINDOW_CVES: dict[str, tuple[str, ...]] = dict.fromkeys(WINDOWS, ("CVE-2021-37684",))
BLOCK_CVES: dict[str, tuple[str, ...]] = {
    "SPACE_TO_DEPTH": ("CVE-2021-29587",),
    "DEPTH_TO_SPACE": ("CVE-2021-29595",),
    "BATCH_TO_SPACE_ND": ("CVE-2021-29593",),
    "SPACE_TO_BATCH_ND": ("CVE-2021-29597",),
}
SPLIT_CVES: dict[str, tuple[str, ...]] = {"SPLIT": ("CVE-2021-29599",), "SPLIT_V": ("CVE-2021-29606",)}
REDUCERS = ("MEAN", "SUM", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
AXIS_CVES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(REDUCERS, ("CVE-2020-15207",)),
    "ARG_MAX": ("CVE-2021-29603",),
    "ARG_MIN": ("CVE-2021-29603",),
    "EXPAND_DIMS": ("CVE-2021-37685",),
    "SPLIT_V": ("CVE-2021-29606",),
}

AXIS_INPUTS: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(REDUCERS, (1, 0, 0)),
    "ARG_MAX": (1, 0, 0),
    "ARG_MIN": (1, 0, 0),
    "EXPAND_DIMS": (1, 0, 1),
    "SPLIT": (0, 1, 0),
    "SPLIT_V": (2, 0, 0),
    "CUMSUM": (1, 0, 0),
    "REVERSE_V2": (1, 0, 0),
    "TRANSPOSE": (1, 0, 0),
}
"""Operator -> (input with the axes, input that they count in, dimensions that the output has more)."""
AXIS_OPTIONS: dict[str, tuple[str, int, int]] = {
    "CONCATENATION": ("axis", 0, 0),
    "GATHER": ("axis", 0, 0),
    "PACK": ("axis", 0, 1),
    "UNPACK": ("axis", 0, 0),
    "ONE_HOT": ("axis", 0, 1),
    "REVERSE_SEQUENCE": ("seq_dim", 0, 0),
}
"""Operator -> (option, input that it counts in, dimensions that the output has more)."""

NEEDED_OPTIONS = frozenset({*STRIDES, *BLOCKS, *RANKS, *MULTIPLIERS, "SPLIT", "SPLIT_V", "SOFTMAX"})
"""Operators whose kernels divide by, or count with, an option, or abort over it."""
LARGEST = 32_767
"""Kernels keep strides, dilations and windows in 16 signed bits (LiteRT issue 120: a stride of 0x10000 becomes 0)."""


def ids(*tables: dict[str, tuple[str, ...]]) -> str:
    """All CVE ids of some tables, for a rule's declaration."""
    return " ".join(sorted({cve for table in tables for cves in table.values() for cve in cves}))
