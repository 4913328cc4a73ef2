"""What toolchains leave in an ELF file about themselves: build id, compiler, linker."""

from __future__ import annotations

from itertools import islice

from tinymlsec.target.firmware import elf_layout as elf
from tinymlsec.target.firmware.elf_sections import Sections
from tinymlsec.target.firmware.limits import MAX_NOTE_SECTIONS

MAX_NOTES = 64
MAX_CONTENT = 64_000
"""Bytes of a section that are looked at."""
MAX_TEXT = 1_000
"""Characters kept of what the tools call themselves."""
_BUILD_ID = 3


def build_id(found: Sections) -> str:
    """The linker's build id as hexadecimal digits, empty where there is none."""
    notes = (
        index
        for index, section in enumerate(found.sections)
        if found.value(index, "type") == elf.NOTE or section.name == ".note.gnu.build-id"
    )
    digits = (_build_id(found.content(index, MAX_CONTENT)) for index in islice(notes, MAX_NOTE_SECTIONS))
    return next(filter(None, digits), "")


def _build_id(content: bytes) -> str:
    at = 0
    for _ in range(MAX_NOTES):
        if at + 12 > len(content):
            break
        name_size, size, kind = (int.from_bytes(content[at + i : at + i + 4], "little") for i in (0, 4, 8))
        start = at + 12 + -(-name_size // 4) * 4
        if start + size > len(content):
            break
        if kind == _BUILD_ID and content[at + 12 : at + 15] == b"GNU" and 0 < size <= 64:
            return content[start : start + size].hex()
        at = start + -(-size // 4) * 4
    return ""


def producer(found: Sections) -> str:
    """Compilers and linkers as .comment has them, each once, separated by semicolons."""
    index = found.find(".comment")
    content = b"" if index is None else found.content(index, MAX_CONTENT)
    texts = (part.decode("utf-8", "replace").strip() for part in content.split(b"\0"))
    printable = dict.fromkeys(text for text in texts if text and text.isprintable())
    return "; ".join(printable)[:MAX_TEXT]
