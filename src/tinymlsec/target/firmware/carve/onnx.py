"""ONNX models: a protobuf without any identifier, found by its first fields and believed if all its fields fit.

Format: onnx.proto, ModelProto (public): 1 ir_version, 2 producer_name, 3 producer_version, 4 domain, 5 model_version,
6 doc_string, 7 graph, 8 opset_import, 14 metadata_props, 20 training_info, 25 functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.hits import Hit
from tinymlsec.target.firmware.carve.limits import MAX_FOUND, MAX_MODEL_BYTES, MAX_PARSES

_START = re.compile(rb"\x08[\x03-\x1f](?:\x12[\x01-\x40][ -~]|\x3a|\x42[\x02-\x40])")
"""ir_version, then producer_name with a letter, or graph, or opset_import."""
_VARINT, _LENGTH = 0, 2
_MODEL = {1: _VARINT, 2: _LENGTH, 3: _LENGTH, 4: _LENGTH, 5: _VARINT, 6: _LENGTH, 7: _LENGTH, 8: _LENGTH,
          14: _LENGTH, 20: _LENGTH, 25: _LENGTH}  # fmt: skip
"""Wire type of each field of ModelProto."""
_GRAPH = {1, 2, 5, 10, 11, 12, 13, 14, 15, 16}
"""Fields of GraphProto, all of them with a length: node, name, initializer, ..."""
_TEXTS = {2, 3, 4}
_MOST_FIELDS = 4_096
_MOST_NODES = 65_536

Field = tuple[int, int, int, int]
"""(number, wire type, start, end) of a field's content."""


def find_onnx(data: bytes, budget: Budget) -> Iterator[Hit]:
    """All models whose outer fields fit.

    Args:
        data: what is searched.
        budget: ends the search.
    """
    end = found = 0
    for count, match in enumerate(_START.finditer(data)):
        start = match.start()
        if count >= 50 * MAX_PARSES or found >= MAX_FOUND or (count % 64 == 0 and budget.ended("ONNX models")):
            return
        if start >= end and (size := onnx_size(data, start)):
            found, end = found + 1, start + size
            yield Hit("onnx", start, size, data[start : start + size])


def onnx_size(data: bytes, start: int) -> int:
    """Bytes of the model that begins at a place; 0 where none does."""
    limit, at = min(len(data), start + MAX_MODEL_BYTES), start
    seen: dict[int, Field] = {}
    for _ in range(_MOST_FIELDS):
        field = _field(data, at, limit)
        # Each field but some is there once; behind the last one something else begins.
        if field is None or _MODEL.get(field[0]) != field[1] or (field[0] in seen and field[0] < 8):
            break
        if field[0] in _TEXTS and not _is_text(data[field[2] : field[3]]):
            break
        if field[0] == 8 and not _is_opset(data, field):
            break
        seen[field[0]] = field
        at = field[3]
    good = {1, 7, 8} <= set(seen) and _is_graph(data, seen[7])
    return at - start if good else 0


def _varint(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """(number, where it ends); None where none ends within ten bytes."""
    number = 0
    for shift in range(10):
        if at >= end:
            return None
        byte = data[at]
        number, at = number | (byte & 0x7F) << 7 * shift, at + 1
        if byte < 0x80:
            return number, at
    return None


def _field(data: bytes, at: int, end: int) -> Field | None:
    tag = _varint(data, at, end)
    value = None if tag is None else _varint(data, tag[1], end)
    if tag is None or value is None or tag[0] >> 3 == 0:
        return None
    if tag[0] & 7 == _VARINT:
        return tag[0] >> 3, _VARINT, tag[1], value[1]
    if tag[0] & 7 == _LENGTH and value[1] + value[0] <= end:
        return tag[0] >> 3, _LENGTH, value[1], value[1] + value[0]
    return None


def _is_text(content: bytes) -> bool:
    try:
        return content.decode().isprintable() and len(content) <= 256
    except UnicodeDecodeError:
        return False


def _is_opset(data: bytes, field: Field) -> bool:
    """OperatorSetIdProto: a domain (text) and a version (number), in full."""
    at, versions = field[2], 0
    while at < field[3]:
        inner = _field(data, at, field[3])
        if inner is None or (inner[0], inner[1]) not in ((1, _LENGTH), (2, _VARINT)):
            return False
        if inner[0] == 1 and not _is_text(data[inner[2] : inner[3]]):
            return False
        versions += inner[0] == 2
        at = inner[3]
    return versions == 1


def _is_graph(data: bytes, graph: Field) -> bool:
    """GraphProto: known fields up to its end, at least one of them a node."""
    at, nodes = graph[2], 0
    for _ in range(_MOST_NODES):
        if at >= graph[3]:
            break
        inner = _field(data, at, graph[3])
        if inner is None or inner[0] not in _GRAPH or inner[1] != _LENGTH:
            return False
        nodes += inner[0] == 1
        at = inner[3]
    return at == graph[3] and nodes > 0
