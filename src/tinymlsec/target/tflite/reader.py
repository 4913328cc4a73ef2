"""Read a .tflite file into the typed graph, whatever its bytes are.

Two kinds of wrong are kept apart. Structure that our own code relies on (references inside the file, indices that
exist, ranks and dimensions that can be) is checked here and raises ModelFileError with the file offset. Meaning
(strides of zero, scales that are not positive, as many zero points as scales, shapes that do not fit, constants of the
wrong size, subgraphs that call each other) is left to those who use it, so that a file with such a fault can still be
read, shown and reported on.
"""

from __future__ import annotations

import stat
from pathlib import Path

from tinymlsec.errors import InputError, ModelFileError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.flatbuffer import NEXT_STEP, Flatbuffer, View, malformed
from tinymlsec.target.tflite.graph import Buffer, Metadata, Model, Opcode, Signature, Subgraph
from tinymlsec.target.tflite.limits import (
    MAX_BUFFERS,
    MAX_FILE_BYTES,
    MAX_METADATA,
    MAX_OPCODES,
    MAX_OPERATORS,
    MAX_PORTS,
    MAX_SIGNATURE_TENSORS,
    MAX_SIGNATURES,
    MAX_SUBGRAPHS,
    MAX_TENSORS,
)
from tinymlsec.target.tflite.read_operator import outside, read_opcode, read_operator, tensor_indices
from tinymlsec.target.tflite.read_tensor import read_tensor
from tinymlsec.target.tflite.schema import FILE_IDENTIFIER, table
from tinymlsec.target.tflite.sniff import looks_like

__all__ = ["constant", "open_flatbuffer", "read_model", "read_model_file"]

_HEAD_BYTES = 4096
_GIVE_TFLITE = "give the .tflite file that the firmware embeds"


def read_model(data: bytes | bytearray | memoryview, *, name: str = "") -> Model:
    """Read a model from bytes. Time and memory are bounded by the size of the file, on any bytes.

    The arrays and buffers of the result are read-only views on `data`; nothing is copied but names and options.

    Args:
        data: the whole file.
        name: what to call it in errors, such as its path.

    Raises:
        ModelFileError: it is no .tflite file, or its structure is damaged; the error says where.
    """
    try:
        return _model(open_flatbuffer(data))
    except ModelFileError as error:
        if name:
            error.message = f"{name}: {error.message}"
            error.args = (str(error),)
        raise


def read_model_file(path: Path) -> tuple[Model, bytes]:
    """Read a model from a file.

    Args:
        path: the file; at most 1 GiB is read.

    Returns:
        The model and the bytes it refers to.

    Raises:
        InputError: there is no such file, or it cannot be read.
        ModelFileError: its content is no usable .tflite model.
    """
    data = _bounded_read(path)
    return read_model(data, name=path.name), data


def open_flatbuffer(data: bytes | bytearray | memoryview) -> Flatbuffer:
    """The bytes as a flatbuffer, once size and identifier are right.

    Raises:
        ModelFileError: the file is empty, too large, or something else than a .tflite model.
    """
    view = memoryview(data)
    view = (view.cast("B") if view.c_contiguous else memoryview(bytes(view))).toreadonly()
    if len(view) > MAX_FILE_BYTES:
        _too_large(len(view))
    head = bytes(view[:_HEAD_BYTES])
    if not head:
        raise ModelFileError(
            "the model file is empty", rule="STRUCT-01", found="0 bytes", expected="a .tflite file", next_step=NEXT_STEP
        )
    if head[4:8] != FILE_IDENTIFIER:
        raise ModelFileError(
            "this is not a .tflite model",
            offset=4 if len(head) >= 8 else 0,
            rule="STRUCT-01",
            found=looks_like(head, len(view)),
            expected=f"the identifier {FILE_IDENTIFIER.decode()} in bytes 4 to 7",
            next_step=_GIVE_TFLITE,
        )
    return Flatbuffer(view)


def _model(buffer: Flatbuffer) -> Model:
    root = buffer.root(table("Model"))
    opcodes = tuple(read_opcode(v) for v in root.views("operator_codes", table("OperatorCode"), MAX_OPCODES))
    buffers = tuple(_buffer(v, i) for i, v in enumerate(root.views("buffers", table("Buffer"), MAX_BUFFERS)))
    subgraphs = _subgraphs(root, opcodes, len(buffers))
    return Model(
        version=root.value("version"),
        description=root.text("description"),
        opcodes=opcodes,
        subgraphs=subgraphs,
        buffers=buffers,
        metadata=_metadata(root, len(buffers)),
        signatures=_signatures(root, subgraphs),
        size=buffer.size,
    )


def _subgraphs(root: View, opcodes: tuple[Opcode, ...], buffers: int) -> tuple[Subgraph, ...]:
    views = root.views("subgraphs", table("SubGraph"), MAX_SUBGRAPHS)
    if not views:
        malformed(
            "the model has no subgraph",
            root.at,
            rule="STRUCT-08",
            found="nothing to run",
            expected="at least one subgraph",
        )
    tensors_left, operators_left = MAX_TENSORS, MAX_OPERATORS
    subgraphs = []
    for index, view in enumerate(views):
        subgraph = _subgraph(view, index, opcodes, buffers, tensors_left, operators_left)
        tensors_left -= len(subgraph.tensors)
        operators_left -= len(subgraph.operators)
        subgraphs.append(subgraph)
    return tuple(subgraphs)


def _subgraph(
    view: View, index: int, opcodes: tuple[Opcode, ...], buffers: int, max_tensors: int, max_operators: int
) -> Subgraph:
    tensor_views = view.views("tensors", table("Tensor"), max_tensors)
    operator_views = view.views("operators", table("Operator"), max_operators)
    count = len(tensor_views)
    return Subgraph(
        index=index,
        name=view.text("name"),
        tensors=tuple(read_tensor(v, i, buffers) for i, v in enumerate(tensor_views)),
        operators=tuple(read_operator(v, i, opcodes, count) for i, v in enumerate(operator_views)),
        inputs=_ports(view, "inputs", index, count),
        outputs=_ports(view, "outputs", index, count),
        offset=view.at,
    )


def _ports(view: View, field: str, index: int, tensors: int) -> tuple[int, ...]:
    indices = tensor_indices(view, field, tensors, lowest=0, what=f"subgraph {index}")
    if len(indices) > MAX_PORTS:
        malformed(
            f"subgraph {index} has too many {field}",
            view.at,
            rule="STRUCT-06",
            found=str(len(indices)),
            expected=f"at most {MAX_PORTS}",
        )
    return indices


def _buffer(view: View, index: int) -> Buffer:
    """A constant: a vector of its own or, as converters of very large models write it, bytes after the flatbuffer."""
    span = view.raw("data")
    if span is None or span[1] == 0:
        offset, size = view.value("offset"), view.value("size")
        if offset <= 1 or size == 0:  # offset 1 is what a converter leaves as a placeholder
            return Buffer(index, b"")
        start, end = outside(view, offset, size, f"the bytes of buffer {index}")
    else:
        start, end = span[0], span[0] + span[1]
    return Buffer(index, view.buffer.data[start:end], start)


def _metadata(root: View, buffers: int) -> tuple[Metadata, ...]:
    entries = []
    for view in root.views("metadata", table("Metadata"), MAX_METADATA):
        entry = Metadata(view.text("name"), view.value("buffer"))
        if entry.buffer >= buffers:
            _no_such("metadata entry", entry.name, "buffer", entry.buffer, buffers, view)
        entries.append(entry)
    return tuple(entries)


def _signatures(root: View, subgraphs: tuple[Subgraph, ...]) -> tuple[Signature, ...]:
    signatures = []
    left = MAX_SIGNATURE_TENSORS
    for view in root.views("signature_defs", table("SignatureDef"), MAX_SIGNATURES):
        key, subgraph = view.text("signature_key"), view.value("subgraph_index")
        if subgraph >= len(subgraphs):
            _no_such("signature", key, "subgraph", subgraph, len(subgraphs), view)
        tensors = len(subgraphs[subgraph].tensors)
        inputs = _tensor_map(view, "inputs", key, tensors, left)
        outputs = _tensor_map(view, "outputs", key, tensors, left - len(inputs))
        left -= len(inputs) + len(outputs)
        signatures.append(Signature(key, subgraph, inputs, outputs))
    return tuple(signatures)


def _tensor_map(view: View, field: str, key: str, tensors: int, limit: int) -> tuple[tuple[str, int], ...]:
    pairs = []
    for entry in view.views(field, table("TensorMap"), limit):
        index = entry.value("tensor_index")
        if index >= tensors:
            _no_such("signature", key, "tensor", index, tensors, entry)
        pairs.append((entry.text("name"), index))
    return tuple(pairs)


def _no_such(owner: str, name: str, what: str, index: int, count: int, view: View) -> None:
    malformed(
        f"{owner} {name[:80]!r} refers to a {what} that does not exist",
        view.at,
        rule="IDX-04",
        found=f"{what} {index}",
        expected=f"below {count}",
        next_step="convert the model again; do not deploy this file",
    )


def _bounded_read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InputError(f"{path} is {kind}", found=kind, expected="a .tflite file", next_step=_GIVE_TFLITE)
        if status.st_size > MAX_FILE_BYTES:
            _too_large(status.st_size)
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot read the model file {path}", found=reason, expected="a readable file", next_step="check the path"
        ) from error
    return data


def _too_large(size: int) -> None:
    raise ModelFileError(
        "the file is too large for a microcontroller's model",
        rule="STRUCT-01",
        found=f"{size} bytes",
        expected=f"at most {MAX_FILE_BYTES} bytes",
        next_step=_GIVE_TFLITE,
    )
