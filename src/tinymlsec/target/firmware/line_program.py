"""Runs a line program: a small machine whose output is a table of (address, file, line).

Source: DWARF version 5, section 6.2.5. Every opcode takes a byte or more, so the table's size bounds the run.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from tinymlsec.target.firmware.limits import MAX_LINE_ROWS
from tinymlsec.target.firmware.line_bytes import Damaged, fixed, sleb, uleb
from tinymlsec.target.firmware.line_header import LineHeader

_MASK = 0xFFFFFFFF
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _SET_COLUMN, _NEGATE, _BLOCK, _ADD_PC, _FIXED_PC = range(1, 10)
_END_SEQUENCE, _SET_ADDRESS = 1, 2


def _numbers() -> array[int]:
    return array("I")


@dataclass
class Rows:
    """Columns of the table: code in [address, end) comes from `line` of `file`."""

    address: array[int] = field(default_factory=_numbers)
    end: array[int] = field(default_factory=_numbers)
    file: array[int] = field(default_factory=_numbers)
    line: array[int] = field(default_factory=_numbers)
    sequence_start: array[int] = field(default_factory=_numbers)
    """First address of the run of code that the row belongs to."""

    def close(self, first: int, end: int) -> None:
        """Ends the sequence that begins at row `first`: every row reaches to the next one."""
        count = len(self.address) - first
        if count:
            self.end.extend(self.address[first + 1 :])
            self.end.append(end)
            self.sequence_start.extend(array("I", [self.address[first]]) * count)

    def drop(self, first: int) -> None:
        """Forgets an unfinished sequence."""
        for column in (self.address, self.file, self.line):
            del column[first:]


def run_program(data: bytes, header: LineHeader, rows: Rows, base: int) -> None:
    """Appends the rows of one line table.

    Args:
        data: the section .debug_line.
        header: of this table.
        rows: grows by whole sequences.
        base: is added to file numbers, so that they are unique among all tables.

    Raises:
        Damaged: the program ends in the middle of an instruction; finished sequences are kept.
    """
    try:
        _run(data, header, rows, base)
    finally:
        rows.drop(len(rows.end))


def _run(data: bytes, header: LineHeader, rows: Rows, base: int) -> None:
    at, end = header.program, header.end
    first_special, scale = len(header.operands) + 1, header.minimum
    line_base, line_range, bound = header.line_base, header.line_range, header.file_bound
    const_advance = (255 - first_special) // line_range * scale
    add_address, add_file, add_line = rows.address.append, rows.file.append, rows.line.append
    address, file, line = 0, 1, 1
    while at < end:
        opcode = data[at]
        at += 1
        if opcode >= first_special:
            steps, more = divmod(opcode - first_special, line_range)
            address = (address + steps * scale) & _MASK
            line = (line + line_base + more) & _MASK
        elif opcode == _COPY:
            pass
        elif opcode == _ADVANCE_PC:
            value, at = uleb(data, at, end)
            address = (address + value * scale) & _MASK
            continue
        elif opcode == _ADVANCE_LINE:
            value, at = sleb(data, at, end)
            line = (line + value) & _MASK
            continue
        elif opcode == _SET_FILE:
            file, at = uleb(data, at, end)
            continue
        elif opcode == _ADD_PC:
            address = (address + const_advance) & _MASK
            continue
        elif opcode == _FIXED_PC:
            address = (address + fixed(data, at, 2, end)) & _MASK
            at += 2
            continue
        elif opcode == 0:
            kind, body, at = _extended(data, at, end)
            if kind == _END_SEQUENCE:
                rows.close(len(rows.end), address)
                address, file, line = 0, 1, 1
            elif kind == _SET_ADDRESS:
                if at - body < 4:
                    raise Damaged("an address is shorter than four bytes")
                address = fixed(data, body, min(at - body, 8), end) & _MASK
            continue
        else:  # columns, basic blocks, prologues, instruction sets, and opcodes of the future: operands are skipped
            for _ in range(header.operands[opcode - 1]):
                _, at = uleb(data, at, end)
            continue
        if len(rows.address) >= MAX_LINE_ROWS:
            raise Damaged(f"more than {MAX_LINE_ROWS:,} lines in all")
        add_address(address)
        add_file(base + min(file, bound))
        add_line(line)


def _extended(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Kind of an extended opcode, the place of its operands, and the place behind it."""
    size, at = uleb(data, at, end)
    if size == 0 or size > end - at:
        raise Damaged("an extended opcode is longer than the table")
    return data[at], at + 1, at + size
