"""What bytes are, where nothing should be: programs, scripts, archives, text."""

from __future__ import annotations

import re
from enum import Enum

from tinymlsec.target.tflite.embedded import MAX_ENTRIES, archive_facts

_LABEL_ENDINGS = (".txt", ".csv", ".json", ".vocab", ".labels")
PROGRAMS: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "an ELF program"),
    (b"MZ\x90\x00", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a macOS program or Java class"),
    (b"dex\n03", "an Android program"),
    (b"\x00asm\x01\x00\x00\x00", "a WebAssembly program"),
    (b"#!/", "a script"),
    (b"<?php", "a PHP script"),
    (b"<script", "a script of a web page"),
    (b"PK\x03\x04\x14\x00", "a zip archive"),
    (b"\x1f\x8b\x08\x00", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"%PDF-1.", "a PDF document"),
    (b"-----BEGIN ", "a PEM block"),
)
"""Signatures of what has no business in weights. The shortest have three bytes, so callers ask for more evidence."""


class Tail(Enum):
    """What follows the flatbuffer."""

    NOTHING = "nothing but zeros"
    LABELS = "an archive of label files"
    PROGRAM = "a program, script or archive"
    TEXT = "text"
    ANOTHER_MODEL = "another .tflite model"
    UNKNOWN = "unknown bytes"


def describe_tail(data: bytes, size: int) -> Tail:
    """What the bytes behind a model are.

    Args:
        data: the first of them; 1 MiB is enough.
        size: how many there are in all.
    """
    content = data.lstrip(b"\0")
    if not content and size <= len(data):
        return Tail.NOTHING
    if content.startswith(b"PK\x03\x04"):
        return Tail.LABELS if size <= len(data) and _only_labels(data) else Tail.PROGRAM
    if any(content.startswith(magic) for magic, _ in PROGRAMS):
        return Tail.PROGRAM
    if data[4:8] == b"TFL3":
        return Tail.ANOTHER_MODEL
    return Tail.TEXT if re.fullmatch(rb"[\t\n\r\x20-\x7e]{4,256}", content[:256]) else Tail.UNKNOWN


def _only_labels(data: bytes) -> bool:
    members = archive_facts(data)
    names = [str(member["name"]).lower() for member in members]
    return 0 < len(members) < MAX_ENTRIES and all(name.endswith(_LABEL_ENDINGS) for name in names)
