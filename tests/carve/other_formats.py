"""Builds ExecuTorch programs with the flatbuffers library and ONNX models byte by byte, not by our code."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import flatbuffers


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _numbers(builder: flatbuffers.Builder, values: list[int], width: int) -> int:
    builder.StartVector(width, len(values), width)
    for value in reversed(values):
        builder.PrependUint64(value) if width == 8 else builder.PrependInt32(value)
    return int(builder.EndVector())


def _table(builder: flatbuffers.Builder, slots: int, **fields: int) -> int:
    """Fields are named by kind and slot: o2 a reference in slot 2, i0 an int32, u0 a uint32, l0 a uint64, b0 a byte."""
    builder.StartObject(slots)
    for name, value in fields.items():
        slot = int(name[1:])
        add = {"o": builder.PrependUOffsetTRelativeSlot, "i": builder.PrependInt32Slot, "u": builder.PrependUint32Slot,
               "l": builder.PrependUint64Slot, "b": builder.PrependUint8Slot}[name[0]]  # fmt: skip
        add(slot, value, 0)
    return int(builder.EndObject())


@dataclass(frozen=True)
class Program:
    """An ExecuTorch program with one method, one constant tensor and one data segment."""

    sizes: tuple[int, ...] = (4, 8)
    buffer: int = 1
    """Constant that the tensor refers to."""
    segment: tuple[int, int] = (0, 512)
    """(offset, size) in the file's segments."""
    constants: tuple[int, ...] = (0, 0)
    """Offsets of the constants in the segment."""
    base: int | None = None
    """Where segments begin, by the header; None for the right place."""
    header_length: int = 32

    def build(self) -> bytes:
        body = bytearray(self._flatbuffer())
        body[8:8] = bytes(32)  # room for the extended header: everything behind it moves
        struct.pack_into("<I", body, 0, struct.unpack_from("<I", body)[0] + 32)
        start = -(-len(body) // 16) * 16
        content = bytes(range(256)) * 2
        base = start if self.base is None else self.base
        struct.pack_into("<4sIQQQ", body, 8, b"eh00", self.header_length, len(body), base, len(content))
        return bytes(body).ljust(start, b"\0") + content

    def _flatbuffer(self) -> bytes:
        b = flatbuffers.Builder(1024)
        sizes, order = _numbers(b, list(self.sizes), 4), b.CreateByteVector(bytes(range(len(self.sizes))))
        tensor = _table(b, 10, b0=1, o2=sizes, o3=order, u5=self.buffer)
        value = _table(b, 2, b0=5, o1=tensor)
        operators = _vector(b, [_table(b, 2, o0=b.CreateString("aten::add"))])
        chains = _vector(b, [_table(b, 4)])
        values, inputs = _vector(b, [value]), _numbers(b, [0], 4)
        name = b.CreateString("forward")
        plan = _table(b, 9, o0=name, o2=values, o3=inputs, o4=inputs, o5=chains, o6=operators)
        segments = _vector(b, [_table(b, 2, l0=self.segment[0], l1=self.segment[1])])
        constants = _table(b, 2, o1=_numbers(b, list(self.constants), 8))
        program = _table(b, 8, o1=_vector(b, [plan]), o4=segments, o5=constants)
        b.Finish(program, file_identifier=b"ET12")
        return bytes(b.Output())


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def onnx(producer: str = "pytorch", weights: bytes = bytes(range(200)) * 8) -> bytes:
    """ModelProto with one node and one initializer."""
    node = _field(1, b"x") + _field(1, b"w") + _field(2, b"y") + _field(4, b"MatMul")
    tensor = _field(1, 40) + _field(1, 40) + _field(2, 3) + _field(8, b"w") + _field(9, weights)
    graph = _field(1, node) + _field(2, b"main") + _field(5, tensor) + _field(11, _field(1, b"x"))
    head = _field(1, 8) + (_field(2, producer.encode()) + _field(3, b"2.4.0") if producer else b"")
    return head + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 17))
