"""Input shapes: dimensions of zero, shapes that do not fit each other, sizes of parts."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from tinymlsec.records import Severity
from tinymlsec.rules._relative import Effect
from tinymlsec.rules._shape_values import ShapeFault
from tinymlsec.rules._sites import Site

Check = Callable[[Site], ShapeFault | None]

BINARY = (
    "ADD", "SUB", "MUL", "DIV", "FLOOR_DIV", "FLOOR_MOD", "POW", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM", "EQUAL",
    "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "BITWISE_XOR",
    "RIGHT_SHIFT", "ATAN2",
)  # fmt: skip
EXTREMA = ("MAXIMUM", "MINIMUM")

ZERO_DIMENSIONS: dict[str, tuple[tuple[int, tuple[int, ...] | None, tuple[str, ...], Effect], ...]] = {
    "GATHER_ND": ((0, None, ("CVE-2021-29589",), Effect.DIVISION),),
    "ONE_HOT": ((0, None, ("CVE-2021-29600",), Effect.DIVISION),),
    "EMBEDDING_LOOKUP": ((1, (0,), ("CVE-2021-29596",), Effect.DIVISION),),
    "HASHTABLE_LOOKUP": ((2, (0,), ("CVE-2021-29604",), Effect.DIVISION),),
    "LSH_PROJECTION": ((1, (0,), ("CVE-2021-37691",), Effect.DIVISION),),
    "DEPTHWISE_CONV_2D": (
        (0, None, ("CVE-2021-29602",), Effect.DIVISION),
        (1, None, ("CVE-2021-29602",), Effect.DIVISION),
    ),
    "CONV_2D": (
        (1, (3,), ("CVE-2023-27579", "CVE-2021-29594"), Effect.DIVISION),
        (1, (0, 1, 2), ("CVE-2021-29594",), Effect.DIVISION),
        (0, None, ("CVE-2021-29594",), Effect.WRONG),
    ),
    "FULLY_CONNECTED": ((1, None, ("CVE-2021-37680",), Effect.DIVISION),),
    "TRANSPOSE_CONV": ((1, None, ("CVE-2021-29588",), Effect.DIVISION),),
    "SVDF": ((1, None, ("CVE-2021-29598",), Effect.DIVISION), (2, None, ("CVE-2021-29598",), Effect.DIVISION)),
    **dict.fromkeys(BINARY, tuple((place, None, ("CVE-2021-37688",), Effect.NULL) for place in (0, 1))),
    **dict.fromkeys(EXTREMA, tuple((place, None, ("CVE-2021-29590",), Effect.READ) for place in (0, 1))),
    **dict.fromkeys(
        ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), ((0, None, ("CVE-2021-37684",), Effect.DIVISION),)
    ),
}
"""Operator -> (input, dimensions or None for all, CVEs, what an unguarded kernel does)."""


def zero_dimension(site: Site) -> ShapeFault | None:
    """A dimension of 0 where the kernel divides by it or expects an element."""
    for place, axes, cve, effect in ZERO_DIMENSIONS[site.op.name]:
        shape = site.shape(place)
        if shape is None:
            continue
        looked_at = range(len(shape)) if axes is None else [axis for axis in axes if axis < len(shape)]
        if any(shape[axis] == 0 for axis in looked_at):
            severity = Severity.LOW if cve == ("CVE-2021-37688",) else None
            message = f"has input {place} of shape {list(shape)}; expected no dimension of 0"
            return ShapeFault("SHAPE-03", message, cve, effect, place, severity=severity)
    return None


def reshape(site: Site) -> ShapeFault | None:
    """RESHAPE with a dimension of 0 beside one of -1, whose size is then a quotient by zero."""
    wanted = site.ints(1, 64)
    values = wanted.tolist() if wanted is not None else site.op.options.get("new_shape")
    if not isinstance(values, list | tuple) or -1 not in values or 0 not in values:
        return None
    message = f"asks for the shape {list(values)}; expected no 0 beside -1"
    return ShapeFault(
        "SHAPE-03", message, ("CVE-2021-29592",), Effect.DIVISION, 1 if wanted is not None else None,
        None if wanted is None else values.index(0),
    )  # fmt: skip


def broadcast(site: Site) -> ShapeFault | None:
    """Two inputs whose dimensions, aligned at the end, are neither equal nor 1."""
    first, second = site.shape(0), site.shape(1)
    if first is None or second is None:
        return None
    if all(a == b or 1 in (a, b) for a, b in zip(reversed(first), reversed(second), strict=False)):
        return None
    extra = ("CVE-2021-29590",) if site.op.name in EXTREMA else ()
    message = f"combines {list(first)} and {list(second)}; expected dimensions that are equal or 1"
    return ShapeFault("SHAPE-07", message, ("CVE-2020-15208", *extra), Effect.READ)


def concatenation(site: Site) -> ShapeFault | None:
    """Inputs that differ beside the axis, or whose sizes add up to more than 31 bits."""
    axis, shapes = site.option("axis"), [site.shape(place) for place in range(len(site.op.inputs))]
    first = shapes[0] if shapes else None
    if axis is None or first is None or not -len(first) <= axis < len(first):
        return None
    axis %= len(first)
    total = 0
    for place, shape in enumerate(shapes):
        rest = None if shape is None else shape[:axis] + shape[axis + 1 :]
        if shape is None or len(shape) != len(first) or rest != first[:axis] + first[axis + 1 :]:
            message = f"joins {list(first)} and {list(shape or ())} along axis {axis}; expected no other difference"
            return ShapeFault("SHAPE-08", message, ("CVE-2021-29601",), Effect.WRITE, place)
        total += shape[axis]
    elements = prod(size or 1 for size in (*first[:axis], total, *first[axis + 1 :]))
    if elements > 2**31 - 1:
        message = f"makes {elements:,} elements; expected fewer than 2^31"
        return ShapeFault("SHAPE-08", message, ("CVE-2021-29601",), Effect.WRITE)
    output = site.output()
    if output is not None and len(output.shape) == len(first) and output.shape[axis] != total:
        message = f"declares {output.shape[axis]} along axis {axis}; expected {total}, the sum of its inputs"
        return ShapeFault("SHAPE-08", message, ("CVE-2021-29601",), Effect.WRITE)
    return None


def split(site: Site) -> ShapeFault | None:
    """SPLIT whose number of parts does not divide the axis."""
    axis, shape, count = site.ints(0, 1), site.shape(1), site.option("num_splits")
    if axis is None or axis.size != 1 or shape is None or not count or not -len(shape) <= axis[0] < len(shape):
        return None
    size = shape[int(axis[0])]
    if size % count == 0:
        return None
    message = f"splits {size} into {count} parts; expected a multiple"
    return ShapeFault("SHAPE-09", message, ("CVE-2021-29599",), Effect.READ)


def split_v(site: Site) -> ShapeFault | None:
    """SPLIT_V whose sizes do not add up to the axis."""
    shape, sizes, axis = site.shape(0), site.ints(1, 4096), site.ints(2, 1)
    if shape is None or sizes is None or axis is None or axis.size != 1 or not -len(shape) <= axis[0] < len(shape):
        return None
    size, free = shape[int(axis[0])], int((sizes == -1).sum())
    known = int(sizes[sizes != -1].sum())
    if (sizes >= -1).all() and free <= 1 and (known == size if free == 0 else known <= size):
        return None
    message = f"splits {size} into parts of {sizes[:8].tolist()}; expected sizes that add up to it"
    return ShapeFault("SHAPE-09", message, ("CVE-2021-29606",), Effect.READ, 1)


def conv_channels(site: Site) -> ShapeFault | None:
    """CONV_2D whose filter channels do not divide the input's, or whose groups do not divide the output's."""
    data, weights = site.shape(0), site.shape(1)
    if data is None or weights is None or len(data) != 4 or len(weights) != 4 or weights[3] < 1 or weights[0] < 1:
        return None
    groups, rest = divmod(data[3], weights[3])
    if rest or groups < 1:
        message = f"has {data[3]} input channels and a filter of {weights[3]}; expected a multiple"
        return ShapeFault("SHAPE-12", message, ("CVE-2023-27579",), Effect.READ)
    if weights[0] % groups:
        message = f"has {groups} groups and {weights[0]} output channels; expected a multiple"
        return ShapeFault("SHAPE-12", message, ("CVE-2023-27579",), Effect.READ)
    return None


def dense_depth(site: Site) -> ShapeFault | None:
    """FULLY_CONNECTED whose input is no whole number of rows of its weights."""
    data, weights = site.shape(0), site.shape(1)
    if data is None or weights is None or len(weights) != 2 or weights[1] < 1 or prod(data) % weights[1] == 0:
        return None
    message = f"has an input of {prod(data)} elements and weights of {weights[1]} columns; expected a multiple"
    return ShapeFault("SHAPE-12", message, ("CVE-2021-37680",), Effect.READ)


BIASES: dict[str, tuple[int, int, int]] = {
    "CONV_2D": (2, 1, 0),
    "DEPTHWISE_CONV_2D": (2, 1, 3),
    "FULLY_CONNECTED": (2, 1, 0),
    "TRANSPOSE_CONV": (3, 1, 0),
    "CONV_3D": (2, 1, 4),
}
"""Operator -> (input with the bias, input with the weights, dimension of output channels)."""


def bias_length(site: Site) -> ShapeFault | None:
    """A bias that is not as long as there are output channels."""
    place, weights_place, axis = BIASES[site.op.name]
    bias, weights = site.shape(place), site.shape(weights_place)
    if bias is None or weights is None or axis >= len(weights) or prod(bias) == weights[axis]:
        return None
    message = f"has a bias of {prod(bias)} values; expected {weights[axis]}, one per output channel"
    return ShapeFault("SHAPE-13", message, ("CVE-2022-23557",), Effect.READ, place)


def transposed_bias(site: Site) -> ShapeFault | None:
    """CONV_3D_TRANSPOSE with a bias and more input than output channels: old kernels add it at the wrong places."""
    weights, bias = site.shape(1), site.tensor(3)
    if bias is None or weights is None or len(weights) != 5 or weights[4] == weights[3]:
        return None
    message = (
        f"has a bias, {weights[4]} input and {weights[3]} output channels; runtimes before the fix step by the former"
    )
    return ShapeFault(
        "SHAPE-16", message, ("CVE-2022-41894",), Effect.WRITE if weights[4] > weights[3] else Effect.WRONG
    )


def _checks() -> dict[str, tuple[Check, ...]]:
    found: dict[str, list[Check]] = {name: [zero_dimension] for name in ZERO_DIMENSIONS}
    for check, names in (
        (reshape, ("RESHAPE",)),
        (broadcast, BINARY),
        (concatenation, ("CONCATENATION",)),
        (split, ("SPLIT",)),
        (split_v, ("SPLIT_V",)),
        (conv_channels, ("CONV_2D",)),
        (dense_depth, ("FULLY_CONNECTED",)),
        (bias_length, tuple(BIASES)),
        (transposed_bias, ("CONV_3D_TRANSPOSE",)),
    ):
        for name in names:
            found.setdefault(name, []).append(check)
    return {name: tuple(checks) for name, checks in found.items()}


INPUT_CHECKS: dict[str, tuple[Check, ...]] = _checks()
