"""Header of one line table: where its program lies, and its files.

Source: DWARF Debugging Information Format, version 4 (section 6.2.4) and version 5 (section 6.2.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tinymlsec.target.firmware.limits import MAX_LINE_BYTES, MAX_LINE_FILES
from tinymlsec.target.firmware.line_bytes import Damaged, fixed, printable, text_end, uleb

_PATH, _DIRECTORY = 1, 2
_FIXED_FORMS = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}
_STRING, _BLOCK, _STRP, _UDATA, _LINE_STRP = 0x08, 0x09, 0x0E, 0x0F, 0x1F

Entry = tuple[int, int, int]
"""(form, place or offset of the name, directory index) of a file; texts are looked up only when they are asked for."""


@dataclass(frozen=True)
class Strings:
    """Sections that hold names."""

    line_strings: bytes
    strings: bytes


@dataclass
class FileBudget:
    """Files and folders that may still be named; without a bound a table of 8 MiB has as many."""

    left: int = MAX_LINE_FILES

    def take(self) -> None:
        """Counts one.

        Raises:
            Damaged: there are too many.
        """
        self.left -= 1
        if self.left < 0:
            raise Damaged(f"more than {MAX_LINE_FILES:,} files in all")


@dataclass(slots=True)
class LineHeader:
    """What a line program needs to run and its rows to be named."""

    data: bytes = field(repr=False)
    strings: Strings = field(repr=False)
    start: int
    budget: FileBudget = field(repr=False)
    end: int = 0
    """First byte behind the table."""
    offset_size: int = 4
    version: int = 0
    program: int = 0
    """First byte of the program."""
    minimum: int = 1
    line_base: int = 0
    line_range: int = 1
    operands: tuple[int, ...] = ()
    """Number of operands of each standard opcode, from 1."""
    directories: list[Entry] = field(default_factory=list)
    files: list[Entry] = field(default_factory=list)
    reason: str = ""
    """Why the table is skipped."""

    @property
    def usable(self) -> bool:
        """Whether its program can be run."""
        return not self.reason

    @property
    def file_bound(self) -> int:
        """One more than the highest file number."""
        return len(self.files) + (self.version < 5)

    def file_name(self, number: int) -> str:
        """Path of a file as recorded; relative to the folder of compilation where the compiler knew it so."""
        place = number if self.version >= 5 else number - 1
        if not 0 <= place < len(self.files):
            return "?"
        form, at, directory = self.files[place]
        text = self._text(form, at)
        # Number 0 is the folder of compilation: it says where the build ran, not what the file is called.
        place = directory if self.version >= 5 else directory - 1
        if text.startswith("/") or directory == 0 or not 0 <= place < len(self.directories):
            return text
        return f"{self._text(*self.directories[place][:2])}/{text}"

    def _text(self, form: int, at: int) -> str:
        data = {_STRP: self.strings.strings, _LINE_STRP: self.strings.line_strings}.get(form, self.data)
        try:
            return printable(data[at : text_end(data, at, len(data))])
        except Damaged:
            return "?"


def read_header(data: bytes, start: int, strings: Strings, budget: FileBudget) -> LineHeader:
    """Header of the line table at `start`; a table that is only inside damaged has `reason` set.

    Args:
        data: the section .debug_line.
        start: of the table.
        strings: where names may lie.
        budget: shared by all tables.

    Raises:
        Damaged: its length makes no sense, so that the next table cannot be found.
    """
    header = LineHeader(data, strings, start, budget)
    length, at = fixed(data, start, 4, len(data)), start + 4
    if length == 0xFFFFFFFF:
        length, at, header.offset_size = fixed(data, at, 8, len(data)), at + 8, 8
    if length == 0 or at + length > len(data) or length > MAX_LINE_BYTES:
        raise Damaged(f"length {length:,} with {len(data) - at:,} bytes left")
    header.end = at + length
    try:
        _read_fields(header, at)
    except Damaged as error:
        header.reason = str(error)
        header.directories, header.files = [], []
    return header


def _read_fields(header: LineHeader, at: int) -> None:
    data, end = header.data, header.end
    header.version, at = fixed(data, at, 2, end), at + 2
    if not 2 <= header.version <= 5:
        raise Damaged(f"version {header.version} is not known")
    if header.version == 5:
        at += 2  # sizes of addresses and of segment selectors
    length, at = fixed(data, at, header.offset_size, end), at + header.offset_size
    header.program = at + length
    if header.program > end:
        raise Damaged("its header is longer than the table")
    header.minimum, at = fixed(data, at, 1, end), at + 1
    if header.version >= 4:
        if fixed(data, at, 1, end) > 1:
            raise Damaged("it is for a processor with long instruction words")
        at += 1
    base = fixed(data, at + 1, 1, end)
    header.line_base = base - 256 if base > 127 else base
    header.line_range = fixed(data, at + 2, 1, end)
    opcodes = fixed(data, at + 3, 1, end)
    at += 4
    if header.line_range == 0 or opcodes == 0 or at + opcodes - 1 > end:
        raise Damaged("its opcodes make no sense")
    header.operands = tuple(data[at : at + opcodes - 1])
    at += opcodes - 1
    if header.version == 5:
        header.directories, at = _described(header, at)
        header.files, _ = _described(header, at)
    else:
        _plain(header, at)


def _plain(header: LineHeader, at: int) -> None:
    """Directories and files up to version 4: texts in place, each list ended by an empty text."""
    data, end = header.data, header.program
    while (stop := text_end(data, at, end)) > at:
        header.budget.take()
        header.directories.append((_STRING, at, 0))
        at = stop + 1
    at += 1
    while (stop := text_end(data, at, end)) > at:
        directory, after = uleb(data, stop + 1, end)
        _, after = uleb(data, after, end)
        _, after = uleb(data, after, end)
        header.budget.take()
        header.files.append((_STRING, at, directory))
        at = after


def _described(header: LineHeader, at: int) -> tuple[list[Entry], int]:
    """Directories or files of version 5: first what an entry consists of, then the entries."""
    data, end = header.data, header.program
    formats = []
    fields, at = fixed(data, at, 1, end), at + 1
    for _ in range(fields):
        content, at = uleb(data, at, end)
        form, at = uleb(data, at, end)
        formats.append((content, form))
    count, at = uleb(data, at, end)
    if count > end - at or (count and not formats):  # every entry takes a byte or more
        raise Damaged(f"{count:,} entries in {end - at:,} bytes")
    entries: list[Entry] = []
    for _ in range(count):
        header.budget.take()
        name_form, name, directory = _STRING, len(data), 0
        for content, form in formats:
            value, at = _value(header, form, at)
            if content == _PATH:
                name_form, name = form, value
            elif content == _DIRECTORY:
                directory = value
        entries.append((name_form, name, directory))
    return entries, at


def _value(header: LineHeader, form: int, at: int) -> tuple[int, int]:
    """A number, or the place of a text; and what follows."""
    data, end = header.data, header.program
    if form == _STRING:
        return at, text_end(data, at, end) + 1
    if form in (_STRP, _LINE_STRP):
        return fixed(data, at, header.offset_size, end), at + header.offset_size
    if form == _UDATA:
        return uleb(data, at, end)
    if form == _BLOCK:
        size, at = uleb(data, at, end)
        if size > end - at:
            raise Damaged("a block is longer than the table")
        return 0, at + size
    if size := _FIXED_FORMS.get(form, 0):
        return fixed(data, at, size, end), at + size
    raise Damaged(f"form 0x{form:x} of a file entry is not known")
