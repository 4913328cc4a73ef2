"""Operators that work element by element: one input, two or three broadcast inputs."""

from __future__ import annotations

from tinymlsec.target.tflite.schema import BITS
from tinymlsec.target.tflite.shapes.core import Answer, OpView


def same(view: OpView) -> list[Answer]:
    """One output, shaped like the first input."""
    return [view.shape(0)]


def same_with_last_axis(view: OpView) -> list[Answer]:
    """SOFTMAX, LOG_SOFTMAX, L2_NORMALIZATION: like the input, which needs a last dimension to run along."""
    return [view.shape(0, least=1)]


def image(view: OpView) -> list[Answer]:
    """LOCAL_RESPONSE_NORMALIZATION: like the input, which has four dimensions."""
    return [view.shape(0, rank=4)]


def binary(view: OpView) -> list[Answer]:
    """Two inputs, broadcast against each other."""
    return [view.broadcast(view.shape(0), view.shape(1))]


def prelu(view: OpView) -> list[Answer]:
    """PRELU: the slopes are broadcast against the input and may not enlarge it."""
    shape, slopes = view.shape(0), view.shape(1)
    view.require(view.broadcast(shape, slopes) == shape, "slopes are larger than the input", found=slopes)
    return [shape]


def add_n(view: OpView) -> list[Answer]:
    """ADD_N: any number of inputs of one shape."""
    shapes = [view.shape(position) for position in range(len(view.op.inputs))]
    view.require(len(set(shapes)) == 1, "inputs of one shape", found=shapes[:8])
    return [shapes[0]]


def select(view: OpView) -> list[Answer]:
    """SELECT: the condition is a scalar, has the values' shape, or one entry per first dimension."""
    condition, shape = view.shape(0), view.shape(1)
    view.require(view.shape(2) == shape, "both values have one shape", found=view.shape(2), expected=shape)
    fits = condition in ((), (1,), shape) or (len(condition) == 1 and shape[:1] == condition)
    view.require(fits, "shape of the condition", found=condition, expected=shape)
    return [shape]


def select_v2(view: OpView) -> list[Answer]:
    """SELECT_V2: condition and both values are broadcast."""
    return [view.broadcast(view.shape(0), view.shape(1), view.shape(2))]


def bitcast(view: OpView) -> list[Answer]:
    """BITCAST: a last dimension appears or vanishes where the element sizes differ."""
    shape, source = view.shape(0), BITS.get(view.tensor(0).dtype, 0)
    target_index = view.op.outputs[0] if view.op.outputs else -1
    view.require(0 <= target_index < len(view.graph.tensors), "output is no tensor", found=target_index)
    target = BITS.get(view.graph.tensors[target_index].dtype, 0)
    view.require(source >= 8 and target >= 8, "types of a fixed size", found=f"{source} and {target} bits")
    if source >= target:
        return [shape if source == target else (*shape, source // target)]
    view.require(shape[-1:] == (target // source,), "last dimension", found=shape, expected=target // source)
    return [shape[:-1]]


def cumsum(view: OpView) -> list[Answer]:
    """CUMSUM: like the input; a constant axis must lie inside of it."""
    shape = view.shape(0, least=1)
    for axis in view.known_ints(1) or ():
        view.axis(axis, len(shape))
    return [shape]


def dynamic_update_slice(view: OpView) -> list[Answer]:
    """DYNAMIC_UPDATE_SLICE: like the operand; the update fits into it."""
    shape, update = view.shape(0), view.shape(1)
    fits = len(shape) == len(update) and all(u <= s for u, s in zip(update, shape, strict=True))
    view.require(fits, "the update does not fit the operand", found=update, expected=f"at most {shape}")
    return [shape]


def reverse(view: OpView) -> list[Answer]:
    """REVERSE_V2: like the input; constant axes must lie inside of it."""
    shape = view.shape(0)
    for axis in view.known_ints(1) or ():
        view.axis(axis, len(shape))
    return [shape]


def reverse_sequence(view: OpView) -> list[Answer]:
    """REVERSE_SEQUENCE: like the input; one length per entry of the batch dimension."""
    shape = view.shape(0, least=2)
    view.axis(view.option("seq_dim"), len(shape), "seq_dim")
    batch = view.axis(view.option("batch_dim"), len(shape), "batch_dim")
    lengths = view.shape(1, rank=1)
    view.require(lengths[0] == shape[batch], "lengths of the sequences", found=lengths, expected=(shape[batch],))
    return [shape]
