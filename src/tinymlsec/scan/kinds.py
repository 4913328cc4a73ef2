"""What a file is, by its content; its name decides only where the content says nothing."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tinymlsec.scan.records import FileKind

HEAD_BYTES = 4096
"""Bytes that are enough to tell."""

SCANNED = frozenset({FileKind.TFLITE, FileKind.ELF, FileKind.HEX, FileKind.UF2, FileKind.RAW, FileKind.PTE})
"""Kinds that rules exist for."""

MODEL_NAMES = frozenset({".tflite", ".lite", ".tfl"})
_RAW_NAMES = frozenset({".bin", ".img", ".fw", ".rom", ".raw", ".flash", ".dump"})
_MODEL = re.compile(rb"....TFL\d", re.DOTALL)
_MACHINES = {40: "Arm", 94: "Xtensa", 243: "RISC-V"}
"""Xtensa (ESP32) is searched for models as plain bytes; rules about code exist for the others."""
_WORDS = {"ExecuTorch": FileKind.PTE, "ONNX": FileKind.ONNX}
_NO_IMAGE = (
    "archive", "HTML", "JSON", "PNG", "JPEG", "PDF", "Windows program", "GGUF", "Git LFS", "C source", "PyTorch",
    "Keras", "NumPy", "pickle", "safetensors", "plain text", "RIFF", "ExecuTorch", "ONNX",
)  # fmt: skip


def kind_of_file(head: bytes, size: int, name: str, *, given: bool) -> tuple[FileKind, str]:
    """Kind of a file, and for what no rules exist for, why.

    Args:
        head: its first `HEAD_BYTES` bytes.
        size: its length in bytes.
        name: its name; an ending such as .tflite makes even an unreadable file a model file, so that its damage is
            reported.
        given: the user named this very file, so bytes of no known kind are taken for a raw image.
    """
    from tinymlsec.target.firmware.load import kind_of
    from tinymlsec.target.tflite.sniff import looks_like

    ending = PurePosixPath(name).suffix.lower()
    if _MODEL.match(head) or ending in MODEL_NAMES:
        return FileKind.TFLITE, ""
    kind = kind_of(head)
    if kind == "elf":
        return _elf(head)
    if kind != "raw":
        return FileKind(kind), ""
    words = looks_like(head, size) if size else "an empty file"
    if size and (given or ending in _RAW_NAMES) and not any(part in words for part in _NO_IMAGE):
        return FileKind.RAW, ""
    found = next((known for part, known in _WORDS.items() if part in words), FileKind.OTHER)
    return found, "" if found in SCANNED else f"no rules for this kind of file: {words}"


def _elf(head: bytes) -> tuple[FileKind, str]:
    """Firmware, or a program of the host, which build folders are full of."""
    field = head[18:20] if head[5:6] != b"\x02" else head[18:20][::-1]
    machine = int.from_bytes(field, "little") if len(head) >= 20 else None
    if machine is None or machine in _MACHINES:
        return FileKind.ELF, ""
    return FileKind.OTHER, f"an ELF file of machine {machine}; rules exist for Arm (40), RISC-V (243) and Xtensa (94)"
