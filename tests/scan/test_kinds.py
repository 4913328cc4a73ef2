"""What a file is taken for."""

from __future__ import annotations

import pytest

from tinymlsec.scan.kinds import kind_of_file
from tinymlsec.scan.records import FileKind

ARM_ELF = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x28\x00" + bytes(40)
HOST_ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(40)
BIG_ELF = b"\x7fELF\x01\x02\x01" + bytes(9) + b"\x00\x02\x00\x08" + bytes(40)
BLOB = bytes(range(128, 256)) * 4


@pytest.mark.parametrize(
    ("head", "name", "given", "kind", "scanned"),
    [
        (b"\x1c\0\0\0TFL3" + bytes(20), "x", False, FileKind.TFLITE, True),
        (b"\x1c\0\0\0TFL2" + bytes(20), "x", False, FileKind.TFLITE, True),
        (b"<html>", "m.tflite", False, FileKind.TFLITE, True),
        (b"", "empty.tflite", False, FileKind.TFLITE, True),
        (ARM_ELF, "x", False, FileKind.ELF, True),
        (ARM_ELF[:8], "x", False, FileKind.ELF, True),
        (HOST_ELF, "libx.so", False, FileKind.OTHER, False),
        (BIG_ELF, "x", False, FileKind.OTHER, False),
        (b"UF2\nWQ]\x9e" + bytes(504), "x", False, FileKind.UF2, True),
        (b":020000040800F2\r\n", "x", False, FileKind.HEX, True),
        (BLOB, "x.bin", False, FileKind.RAW, True),
        (BLOB, "x", True, FileKind.RAW, True),
        (BLOB, "x", False, FileKind.OTHER, False),
        (b"\x14\0\0\0ET12" + bytes(20), "m.pte", True, FileKind.PTE, True),
        (ARM_ELF[:18] + b"\x5e\x00" + ARM_ELF[20:], "esp32.elf", False, FileKind.ELF, True),
        (b"\x08\x07\x12\x07pytorch", "m.onnx", False, FileKind.ONNX, False),
        (b"PK\x03\x04", "x.bin", True, FileKind.OTHER, False),
        (b"words of text", "x", True, FileKind.OTHER, False),
        (b"", "x.bin", True, FileKind.OTHER, False),
    ],
)
def test_content_decides(head: bytes, name: str, given: bool, kind: FileKind, scanned: bool) -> None:
    found, reason = kind_of_file(head, len(head), name, given=given)
    assert found is kind
    assert (reason == "") is scanned
