"""Changes bytes of a .tflite file in place: new weights of the same size, flipped bits. Nothing else moves."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.graph import Model, Tensor
from tinymlsec.target.tflite.schema import element_dtype


def patch_tensor(
    data: bytes,
    model: Model,
    subgraph: int,
    tensor: int,
    values: NDArray[np.generic],
    *,
    allow_shared: bool = False,
) -> bytes:
    """Gives a constant tensor new values of the same shape and type.

    Args:
        data: the file.
        model: what the reader made of exactly these bytes.
        subgraph: index of the subgraph.
        tensor: index of the tensor in it.
        values: same shape and type as the tensor.
        allow_shared: change the bytes even where other tensors use them too.

    Returns:
        The changed file, of the same size.

    Raises:
        UsageError: values that do not fit, a tensor without bytes in the file, bytes that other tensors use as well, or
            a model that was not read from this file.
    """
    target = model.subgraphs[subgraph].tensors[tensor]
    start, length = tensor_bytes(model, subgraph, tensor)
    _check_same_file(data, model, target, start, length)
    _check_values(target, values)
    others = _sharers(model, subgraph, target)
    if others and not allow_shared:
        raise UsageError(
            f"the bytes of {target.name[:80]} belong to more than one tensor",
            found=", ".join(others[:8]),
            expected="a buffer of its own",
            next_step="pass allow_shared=True to change all of them",
        )
    element = element_dtype(target.dtype)
    content = np.ascontiguousarray(values, dtype=element).tobytes()
    if len(content) != length:
        raise UsageError("the tensor's bytes do not fit its shape", found=f"{length} bytes", expected=str(len(content)))
    return data[:start] + content + data[start + length :]


def tensor_bytes(model: Model, subgraph: int, tensor: int) -> tuple[int, int]:
    """(first byte, number of bytes) of a constant tensor in the file that the model was read from.

    Its bits are ``8 * first`` up to, and without, ``8 * (first + number)``.

    Raises:
        UsageError: the tensor has no bytes in a file.
    """
    target = model.subgraphs[subgraph].tensors[tensor]
    buffer = model.buffers[target.buffer]
    if buffer.offset is None or len(buffer.data) == 0:
        raise UsageError(
            f"tensor {target.name[:80]} has no bytes in the file",
            found="a computed tensor" if len(buffer.data) == 0 else "a model that was built, not read",
            expected="a constant of a model that was read from a file",
        )
    return buffer.offset, len(buffer.data)


def flip_bits(data: bytes, offsets: NDArray[np.int64]) -> bytes:
    """Inverts bits of a file.

    Args:
        data: the file.
        offsets: absolute positions, any shape: bit ``p`` is bit ``p % 8`` (0 the least significant) of byte ``p // 8``.
            A position that occurs twice is flipped twice.

    Raises:
        UsageError: a position outside of the file.
    """
    positions = np.asarray(offsets, dtype=np.int64).reshape(-1)
    if positions.size and (positions.min() < 0 or positions.max() >= 8 * len(data)):
        raise UsageError(
            "a bit lies outside of the file",
            found=f"{int(positions.min())} to {int(positions.max())}",
            expected=f"0 to {8 * len(data) - 1}",
        )
    changed = np.frombuffer(data, dtype=np.uint8).copy()
    masks = np.left_shift(1, positions & 7).astype(np.uint8)
    np.bitwise_xor.at(changed, positions >> 3, masks)
    return changed.tobytes()


def _check_same_file(data: bytes, model: Model, target: Tensor, start: int, length: int) -> None:
    held = model.buffers[target.buffer].data
    if (model.size and model.size != len(data)) or data[start : start + length] != held:
        raise UsageError(
            "the model was not read from these bytes",
            found=f"{len(data)} bytes",
            expected=f"the file of {model.size} bytes that it was read from",
            next_step="read the changed file again before the next change",
        )


def _check_values(target: Tensor, values: NDArray[np.generic]) -> None:
    element = element_dtype(target.dtype)
    fits = element is not None and values.dtype == element and values.shape == target.shape
    if not fits or values.size != prod(target.shape):
        raise UsageError(
            f"new values do not fit tensor {target.name[:80]}",
            found=f"{values.dtype}{list(values.shape)}",
            expected=f"{target.dtype}{list(target.shape)}",
        )


def _sharers(model: Model, subgraph: int, target: Tensor) -> list[str]:
    tensors = [
        f"{t.name[:80]} (subgraph {g.index}, tensor {t.index})"
        for g in model.subgraphs
        for t in g.tensors
        if t.buffer == target.buffer and (g.index, t.index) != (subgraph, target.index)
    ]
    return tensors + [f"metadata {entry.name[:80]}" for entry in model.metadata if entry.buffer == target.buffer]
