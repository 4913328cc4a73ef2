"""Source lines by address, from the line tables of DWARF 2 to 5. Read once, at the first question.

Our own reader rather than pyelftools: a line header may announce 2^60 file names of no bytes each, which a general
parser builds, and a table of 1 MiB takes it ten seconds. Whatever is wrong with a table costs its lines and leaves a
note; nothing here raises.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.firmware.limits import MAX_LINE_BYTES, MAX_LINE_NOTES, MAX_LINE_TABLES
from tinymlsec.target.firmware.line_bytes import Damaged
from tinymlsec.target.firmware.line_header import FileBudget, LineHeader, Strings, read_header
from tinymlsec.target.firmware.line_program import Rows, run_program


@dataclass(frozen=True)
class DebugSections:
    """Sections that line tables are read from, unpacked."""

    line: bytes = b""
    line_strings: bytes = b""
    strings: bytes = b""
    notes: tuple[str, ...] = ()
    """Why some are missing."""


@dataclass(frozen=True)
class _Table:
    starts: array[int]
    ends: array[int]
    files: array[int]
    lines: array[int]
    bases: Sequence[int]
    """Number of the first file of each table with lines; they count on from table to table."""
    headers: Sequence[LineHeader]
    notes: tuple[str, ...]


@dataclass
class LineTable:
    """Lines of an image.

    Args:
        sections: gives the bytes when they are needed first.
        code: [start, end) ranges of code; rows outside are those of functions that the linker dropped.
        zero_is_code: code really starts at address 0, where linkers otherwise put what they dropped.
    """

    sections: Callable[[], DebugSections] = DebugSections
    code: tuple[tuple[int, int], ...] = ()
    zero_is_code: bool = False

    def at(self, address: int) -> str:
        """``file:line`` of an address, empty where unknown."""
        table = self._table
        place = bisect_right(table.starts, address) - 1
        if place < 0 or address >= table.ends[place]:
            return ""
        return f"{self._name(table.files[place])}:{table.lines[place]}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the tables could not be used, and why."""
        return self._table.notes

    def __len__(self) -> int:
        return len(self._table.starts)

    def _name(self, index: int) -> str:
        table = self._table
        place = bisect_right(table.bases, index) - 1
        return table.headers[place].file_name(index - table.bases[place])

    @cached_property
    def _table(self) -> _Table:
        sections = self.sections()
        reader = _Reader(sections, self.code, self.zero_is_code)
        reader.run()
        return reader.table()


class _Reader:
    """Runs all line programs of a section, one after the other."""

    def __init__(self, sections: DebugSections, code: tuple[tuple[int, int], ...], zero_is_code: bool) -> None:
        self.data = sections.line
        self.strings = Strings(sections.line_strings, sections.strings)
        self.code = code
        self.zero_is_code = zero_is_code
        self.notes = dict.fromkeys(sections.notes)
        self.left_out = 0
        self.bases: list[int] = []
        self.headers: list[LineHeader] = []
        self.rows = Rows()

    def run(self) -> None:
        if len(self.data) > MAX_LINE_BYTES:
            found = f"{len(self.data):,} of at most {MAX_LINE_BYTES:,} bytes"
            self._note(f"the line tables are too large to be read ({found}): source lines are missing")
            return
        at = base = tables = 0
        budget = FileBudget()
        while at < len(self.data):
            if tables == MAX_LINE_TABLES:
                self._note(f"more than {MAX_LINE_TABLES:,} line tables: the lines of the others are missing")
                return
            try:
                header = read_header(self.data, at, self.strings, budget)
            except Damaged as error:  # where the next table begins is unknown now
                self._note(f"the line table at 0x{at:x} of .debug_line is damaged ({error}): lines are missing")
                return
            at, tables = header.end, tables + 1
            if header.usable:
                base = self._program(header, base)
            else:
                self._note(f"the line table at 0x{header.start:x} of .debug_line is skipped: {header.reason}")

    def _note(self, text: str) -> None:
        if len(self.notes) < MAX_LINE_NOTES:
            self.notes[text] = None
        else:
            self.left_out += 1

    def _program(self, header: LineHeader, base: int) -> int:
        """Runs one; returns the number of the next table's first file."""
        before = len(self.rows.end)
        try:
            run_program(self.data, header, self.rows, base)
        except Damaged as error:
            self._note(f"the line table at 0x{header.start:x} of .debug_line breaks off: {error}")
        if len(self.rows.end) == before:
            return base
        self.bases.append(base)
        self.headers.append(header)
        return base + header.file_bound + 1

    def table(self) -> _Table:
        rows = self.rows
        starts, ends, files, lines, first = (
            np.frombuffer(column, np.uint32) if column else np.zeros(0, np.uint32)
            for column in (rows.address, rows.end, rows.file, rows.line, rows.sequence_start)
        )
        keep = (ends > starts) & (lines > 0) & self._in_code(starts) & self._in_code(first)
        if not self.zero_is_code:
            keep &= first != 0
        order = np.flatnonzero(keep)
        order = order[np.argsort(starts[order], kind="stable")]
        starts, ends, files, lines = (column[order] for column in (starts, ends, files, lines))
        more = (f"{self.left_out:,} more notes on line tables are left out",) if self.left_out else ()
        return _Table(
            _packed(starts),
            _packed(ends),
            _packed(files),
            _packed(lines),
            self.bases,
            self.headers,
            (*self.notes, *more),
        )

    def _in_code(self, starts: NDArray[np.uint32]) -> NDArray[np.bool_]:
        if not self.code:
            return np.zeros(len(starts), bool)
        code = np.array(sorted(self.code), np.int64)
        place = np.searchsorted(code[:, 0], starts.astype(np.int64), "right") - 1
        inside: NDArray[np.bool_] = (place >= 0) & (starts < np.maximum.accumulate(code[:, 1])[place])
        return inside


def _packed(column: NDArray[np.uint32]) -> array[int]:
    """A column that bisection reads without making NumPy scalars."""
    return array("I", column.tobytes())
