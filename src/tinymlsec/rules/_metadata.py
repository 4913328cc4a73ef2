"""Metadata that TensorFlow Lite Micro acts upon: the offline memory plan, and tables of compressed tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Location, Severity
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.embedded import metadata_facts
from tinymlsec.target.tflite.flatbuffer import Flatbuffer, View
from tinymlsec.target.tflite.graph import Buffer, Model, Subgraph, Tensor
from tinymlsec.target.tflite.schema import Table, byte_size, parse_table

if TYPE_CHECKING:
    from tinymlsec.target.device import Device

PLAN = "OfflineMemoryAllocation"
COMPRESSION = "COMPRESSION_METADATA"
COMPRESSION_VERSION = 1
MAX_INDEX_BITS = 7
MAX_PLANNED = 2048
"""Tensors whose places are compared pair by pair."""
_HEADER_WORDS = 3
_LINES = {
    "CompressionMetadata": "schema_version:u32=1 subgraphs:[CompressedSubgraph]",
    "CompressedSubgraph": "lut_tensors:[LutTensor]",
    "LutTensor": "tensor:i32 value_buffer:u32 index_bitwidth:u8",
}
_TABLES: dict[str, Table] = {name: parse_table(name, line, _LINES) for name, line in _LINES.items()}


def _entry(model: Model, name: str) -> Buffer | None:
    """The buffer of the last metadata entry of that name, which is the one the runtime uses."""
    found = [entry.buffer for entry in model.metadata if entry.name == name]
    return model.buffers[found[-1]] if found else None


def plan_faults(model: Model, device: Device | None) -> Iterator[Hit]:
    """What is wrong with the offline memory plan, if there is one; the first kind of fault only."""
    buffer = _entry(model, PLAN)
    if buffer is None:
        return
    words: NDArray[np.int32] = np.frombuffer(buffer.data, "<i4", len(buffer.data) // 4)
    tensors = sum(len(graph.tensors) for graph in model.subgraphs)
    if words.size < _HEADER_WORDS:
        yield _hit(buffer, 0, f"{len(buffer.data)} bytes", "12 bytes and four more for each tensor")
        return
    count = int(words[2])
    if count != tensors:
        # The runtime makes this comparison itself and refuses the model.
        yield _hit(buffer, 8, f"offsets of {count} tensors", f"{tensors}, one for each tensor", Severity.LOW)
    elif words.size < _HEADER_WORDS + count:
        short = f"{words.size - _HEADER_WORDS} offsets for {count} tensors"
        yield _hit(buffer, 4 * words.size, short, "one for each tensor")
    else:
        yield from _offset_faults(model, buffer, words[_HEADER_WORDS : _HEADER_WORDS + count], device)


def _hit(buffer: Buffer, within: int, found: str, expected: str, severity: Severity | None = None) -> Hit:
    offset = None if buffer.offset is None else buffer.offset + min(within, max(len(buffer.data) - 1, 0))
    return Hit(f"The offline memory plan has {found}; expected {expected}.", Location(file_offset=offset), severity)


def _offset_faults(model: Model, buffer: Buffer, offsets: NDArray[np.int32], device: Device | None) -> Iterator[Hit]:
    bad = np.flatnonzero((offsets < -1) | ((offsets > 0) & (offsets % 4 != 0)))
    if bad.size:
        first = int(bad[0])
        found = f"the offset {int(offsets[first])} for tensor {first} ({bad.size} such offsets)"
        yield _hit(buffer, 4 * (_HEADER_WORDS + first), found, "-1, or a multiple of 4 from 0")
        return
    sizes = np.array([_size(tensor) for graph in model.subgraphs for tensor in graph.tensors], np.int64)
    ends = np.where(offsets >= 0, offsets.astype(np.int64) + sizes, 0)
    limit = device.ram_bytes[1] if device is not None and device.ram_bytes else 2**31 - 1
    last = int(np.argmax(ends)) if ends.size else 0
    if ends.size and ends[last] > limit:
        found = f"tensor {last} at {int(offsets[last])} to {int(ends[last])}"
        whose = f"the {limit:,} bytes of RAM of {device.name}" if device is not None else f"{limit:,} bytes"
        yield _hit(buffer, 4 * (_HEADER_WORDS + last), found, f"an end within {whose}")
    elif len(model.subgraphs) == 1 and (pair := _collision(model.main, offsets, sizes)):
        a, b = pair
        found = f"tensors {a} (at {int(offsets[a])}) and {b} (at {int(offsets[b])}) in the same bytes at the same time"
        yield _hit(buffer, 4 * (_HEADER_WORDS + b), found, "separate places for tensors in use at the same time")


def _size(tensor: Tensor) -> int:
    return min(byte_size(tensor.dtype, math.prod(tensor.shape)) or 0, 1 << 40)


def _collision(graph: Subgraph, offsets: NDArray[np.int32], sizes: NDArray[np.int64]) -> tuple[int, int] | None:
    """Two planned tensors that share bytes and are both in use over more than one operator."""
    planned = np.flatnonzero((offsets >= 0) & (sizes > 0))[:MAX_PLANNED]
    first, last = _lifetimes(graph)
    start, end, born, gone = offsets[planned], offsets[planned] + sizes[planned], first[planned], last[planned]
    space = (start[:, None] < end[None, :]) & (start[None, :] < end[:, None])
    time = np.minimum(gone[:, None], gone[None, :]) > np.maximum(born[:, None], born[None, :])
    rows, columns = np.nonzero(np.triu(space & time, 1))
    return (int(planned[rows[0]]), int(planned[columns[0]])) if rows.size else None


def _lifetimes(graph: Subgraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last operator at which each tensor is in use; the end of the graph for its outputs."""
    first = np.full(len(graph.tensors), len(graph.operators), np.int64)
    last = np.full(len(graph.tensors), -1, np.int64)
    first[list(graph.inputs)] = -1
    for op in graph.operators:
        for index in op.outputs:
            first[index] = min(first[index], op.index)
        for index in (*op.inputs, *op.outputs):
            if index >= 0:
                last[index] = op.index
    last[list(graph.outputs)] = len(graph.operators)
    return first, last


def compression_faults(model: Model) -> Iterator[Hit]:
    """What is wrong with compression metadata, if there is any."""
    buffer = _entry(model, COMPRESSION)
    if buffer is None:
        return
    place = Location(file_offset=buffer.offset)
    try:
        root = Flatbuffer(memoryview(bytes(buffer.data))).root(_TABLES["CompressionMetadata"])
        version = root.value("schema_version")
        if version > COMPRESSION_VERSION:
            yield Hit(f"Compression schema version {version}; expected at most {COMPRESSION_VERSION}.", place)
            return
        graphs = root.views("subgraphs", _TABLES["CompressedSubgraph"], len(model.subgraphs))
        tables = [view.views("lut_tensors", _TABLES["LutTensor"], len(model.buffers) + 1) for view in graphs]
        faults = [fault for g, views in enumerate(tables) for view in views if (fault := _lut(model, g, view))]
    except ModelFileError as error:
        said = f"{error.message}; found {error.found}, expected {error.expected}"
        yield Hit(f"The compression metadata cannot be parsed: {said}.", place)
        return
    for message in faults[:1]:
        yield Hit(message, place)


def _lut(model: Model, number: int, view: View) -> str | None:
    tensors = model.subgraphs[number].tensors
    values: dict[str, Any] = {name: view.value(name) for name in ("tensor", "value_buffer", "index_bitwidth")}
    index, table, bits = values["tensor"], values["value_buffer"], values["index_bitwidth"]
    what = f"A lookup table of subgraph {number}"
    if not 0 <= index < len(tensors):
        return f"{what} is for tensor {index}; expected one below {len(tensors)}."
    if not 1 <= bits <= MAX_INDEX_BITS:
        return f"{what}, tensor {index}, has indices of {bits} bits; expected 1 to {MAX_INDEX_BITS}."
    if not table < len(model.buffers) or not len(model.buffers[table].data):
        return f"{what}, tensor {index}, lies in buffer {table}, which is empty or absent."
    q = tensors[index].quantization
    channels = q.scale.size if q is not None and q.per_channel else 1
    needed = byte_size(tensors[index].dtype, channels * 2**bits)
    held = len(model.buffers[table].data)
    if needed is not None and held < needed:
        return f"{what}, tensor {index}, has {held} bytes for {channels} x {2**bits} values; expected {needed}."
    return None


def metadata_of(file: ModelFile) -> list[dict[str, Any]]:
    """What is known of every metadata entry (`embedded.metadata_facts`), worked out once."""
    if "metadata" not in file.memo:
        file.memo["metadata"] = [] if file.model is None else metadata_facts(file.model)
    facts: list[dict[str, Any]] = file.memo["metadata"]
    return facts


def description_faults(file: ModelFile) -> Iterator[Hit]:
    """Metadata of converters and of TensorFlow Lite's metadata writer that cannot be parsed; no runtime reads them."""
    for entry in metadata_of(file):
        content = entry["content"]
        if isinstance(content, dict) and "unreadable" in content:
            what = f"Metadata {entry['name'][:60]!r} of {entry['bytes']:,} bytes"
            text = f"{what} cannot be parsed: {content['unreadable']}."
            yield Hit(text, Location(file_offset=entry["offset"]), Severity.LOW)


def compression_buffers(model: Model) -> set[int]:
    """Buffers that compression metadata use as tables; none where it cannot be parsed."""
    buffer = _entry(model, COMPRESSION)
    if buffer is None:
        return set()
    try:
        root = Flatbuffer(memoryview(bytes(buffer.data))).root(_TABLES["CompressionMetadata"])
        graphs = root.views("subgraphs", _TABLES["CompressedSubgraph"], len(model.subgraphs))
        views = [v for g in graphs for v in g.views("lut_tensors", _TABLES["LutTensor"], len(model.buffers) + 1)]
        return {int(view.value("value_buffer")) for view in views}
    except ModelFileError:
        return set()
