"""ExecuTorch programs (.pte): found by signature, believed where their root table names what it runs, and checked.

Format: ExecuTorch `program.fbs` and the extended header of "PTE file format" (Meta, public): a flatbuffer with the
identifier ET12, then ``eh00`` at byte 8 with the size of the flatbuffer and where data segments begin behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinymlsec.errors import ModelFileError
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.hits import Hit
from tinymlsec.target.firmware.carve.limits import MAX_FOUND, MAX_MODEL_BYTES, MAX_PARSES
from tinymlsec.target.tflite.flatbuffer import Flatbuffer, View
from tinymlsec.target.tflite.schema import Table, parse_table

_SIGNATURE = re.compile(rb"ET[0-9]{2}")
_LINES = {
    "Program": (
        "version:u32 execution_plan:[ExecutionPlan] constant_buffer:[Bytes] backend_delegate_data:[Bytes] "
        "segments:[DataSegment] constant_segment:Offsets mutable_data_segments:[Offsets]"
    ),
    "ExecutionPlan": (
        "name:str - values:[EValue] inputs:[i32] outputs:[i32] chains:[Any] operators:[Name] delegates:[Name]"
    ),
    "EValue": "val_type:u8 val:union",
    "Tensor": "scalar_type:i8 storage_offset:i32 sizes:[i32] dim_order:[u8] requires_grad:bool data_buffer_idx:u32",
    "Bytes": "data:[u8]",
    "DataSegment": "offset:u64 size:u64",
    "Offsets": "segment_index:u32 offsets:[u64]",
    "Name": "name:str",
    "Any": "",
}
TABLES: dict[str, Table] = {name: parse_table(name, line, _LINES) for name, line in _LINES.items()}
_TENSOR = 5
"""Number of Tensor in the union of values."""
MOST_PLANS, MOST_VALUES, MOST_SEGMENTS, MOST_BUFFERS = 256, 16_384, 65_536, 65_536
_MOST_PROBLEMS = 16


@dataclass(frozen=True)
class Header:
    """The extended header."""

    length: int
    program: int
    """Bytes of the flatbuffer."""
    segments: int
    """Where the data segments begin; 0 without any."""


def find_pte(data: bytes, budget: Budget) -> Iterator[Hit]:
    """All programs whose root table can be read.

    Args:
        data: what is searched.
        budget: ends the search.
    """
    end = found = 0
    for count, match in enumerate(_SIGNATURE.finditer(data, 4)):
        start = match.start() - 4
        if count >= MAX_PARSES or found >= MAX_FOUND or budget.ended("ExecuTorch programs"):
            return
        if start >= end and (hit := pte_at(data, start)) is not None:
            found, end = found + 1, start + hit.stored
            yield hit


def pte_at(data: bytes | memoryview, start: int, most: int = MAX_MODEL_BYTES) -> Hit | None:
    """The program that begins at a place; None where its root table makes no sense.

    Args:
        data: what it lies in.
        start: its first byte.
        most: bytes that it may have.
    """
    rest = memoryview(data)[start : start + most]
    try:
        program = Flatbuffer(rest).root(TABLES["Program"])
        plans = program.views("execution_plan", TABLES["ExecutionPlan"], MOST_PLANS)
        named = all(plan.text("name").isprintable() and plan.text("name") for plan in plans)
        if not plans or not named or not any(plan.positions("chains", MOST_VALUES) for plan in plans):
            return None
        header = read_header(bytes(rest[:40]))
        end, problems = _end(program, header), tuple(_problems(program, plans, header))[:_MOST_PROBLEMS]
    except ModelFileError:
        return None
    size = min(max(end, 12), len(rest))
    return Hit("pte", start, size, bytes(rest[:size]), problems=problems)


def read_header(head: bytes) -> Header | None:
    """The extended header of a program, where it has one."""
    if head[8:12] != b"eh00" or len(head) < 32:
        return None
    return Header(*(int.from_bytes(head[a:b], "little") for a, b in ((12, 16), (16, 24), (24, 32))))


def _segments(program: View) -> list[tuple[int, int]]:
    views = program.views("segments", TABLES["DataSegment"], MOST_SEGMENTS)
    return [(view.value("offset"), view.value("size")) for view in views]


def _end(program: View, header: Header | None) -> int:
    """Where the file ends, as far as it tells."""
    if header is not None:
        ends = [header.segments + offset + size for offset, size in _segments(program)]
        return max([header.program, *ends])
    spans = [
        view.raw("data")
        for field in ("constant_buffer", "backend_delegate_data")
        for view in program.views(field, TABLES["Bytes"], MOST_BUFFERS)
    ]
    return int(max([program.at + program.inline, *(int(span[0] + span[1]) for span in spans if span)]))


def _problems(program: View, plans: list[View], header: Header | None) -> Iterator[str]:
    """What the runtime would have to refuse: the conditions of its advisories that a file shows."""
    size, segments = program.buffer.size, _segments(program)
    base = header.segments if header is not None else 0
    if header is not None and header.length < 24:
        yield f"the extended header has {header.length} bytes, expected at least 24"
    if header is not None and not program.at < header.program <= size:
        yield f"the header gives {header.program} bytes of program, expected more than {program.at} and at most {size}"
    if segments and base == 0:
        yield f"{len(segments)} data segments and no extended header that says where they begin"
    for index, (offset, length) in enumerate(segments):
        if base + offset + length > size:
            yield f"segment {index} ends at byte {base + offset + length}, expected at most {size}"
    buffers = len(program.positions("constant_buffer", MOST_BUFFERS))
    constant = program.follow("constant_segment", TABLES["Offsets"])
    offsets = () if constant is None else (constant.values("offsets") or ())
    if constant is not None and offsets:
        yield from _constant_problems(constant.value("segment_index"), offsets, segments)
    for plan in plans:
        yield from _tensor_problems(plan, max(buffers, len(offsets)))


def _constant_problems(index: int, offsets: tuple[int, ...], segments: list[tuple[int, int]]) -> Iterator[str]:
    if index >= len(segments):
        yield f"constants lie in segment {index}, expected below {len(segments)}"
    elif max(offsets) > segments[index][1]:
        yield f"a constant begins at byte {max(offsets)} of its segment, expected at most {segments[index][1]}"


def _tensor_problems(plan: View, buffers: int) -> Iterator[str]:
    for number, value in enumerate(plan.views("values", TABLES["EValue"], MOST_VALUES)):
        tensor = value.follow("val", TABLES["Tensor"]) if value.value("val_type") == _TENSOR else None
        if tensor is None:
            continue
        sizes, elements, buffer = tensor.values("sizes") or (), 1, tensor.value("data_buffer_idx")
        for each in sizes[:32]:
            elements *= each
        if min(sizes, default=0) < 0 or elements >= 1 << 31:
            yield f"value {number} has the sizes {list(sizes[:8])}, expected none below 0 and a product below 2^31"
        if buffer and buffer >= max(buffers, 1):
            yield f"value {number} refers to constant {buffer}, expected below {max(buffers, 1)}"
