"""Finds the table of kernels that an interpreter registered: rows of function pointers with the code of an operator.

Versions of the runtime differ in the row: 24 to 36 bytes, with and without a `reset` function before the code. All are
tried; a table counts only where its codes are those of the model, because rows one word off look as good otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.foreign.finder.memory import WORD, Block, Memory
from tinymlsec.emulate.foreign.finder.runs import runs

STRIDES = (24, 28, 32, 36)
MAX_CODE = 511
"""Operator codes are below this; the schema has some 210."""
MAX_VERSION = 255
MAX_ROWS = 1024
_INVOKE = 3


@dataclass(frozen=True)
class RowForm:
    """How one version of the runtime lays a registration out."""

    stride: int
    """bytes"""
    has_reset: bool
    """A fifth function pointer (reset, or the old profiling function) before the code."""

    @property
    def code(self) -> int:
        """Word that holds the operator's code; the next one points to a custom operator's name."""
        return 5 if self.has_reset else 4


FORMS = tuple(
    RowForm(stride, reset) for stride in STRIDES for reset in (True, False) if stride // WORD >= (7 if reset else 6)
)
TODAY = RowForm(28, True)


@dataclass(frozen=True)
class Registration:
    """One kernel."""

    address: int
    code: int
    """Number of the builtin operator."""
    init: int
    free: int
    prepare: int
    invoke: int
    """Address of the function that computes a layer, without the Thumb bit."""
    custom_name: int = 0


@dataclass(frozen=True)
class RegistrationTable:
    """All kernels that were registered."""

    address: int
    form: RowForm
    rows: tuple[Registration, ...]
    exact: bool
    """Its codes are just those of the model; else there are more."""

    def invoke_of(self, code: int) -> int | None:
        """Address of the function that computes layers of an operator; the first row counts, as in the runtime."""
        return next((row.invoke for row in self.rows if row.code == code), None)


def find_registrations(memory: Memory, codes: frozenset[int]) -> RegistrationTable | None:
    """The table whose codes are those of the model (or hold them all), or None.

    Args:
        memory: flash and RAM; RAM as it is after start-up, because the table is filled then.
        codes: operator codes of the model.
    """
    if not codes:
        return None
    tables = [table for form in FORMS for block in memory.blocks for table in _tables(memory, block, form, codes)]
    return min(tables, key=_doubt, default=None)


def _doubt(table: RegistrationTable) -> tuple[bool, float, bool, int, int]:
    """Order of preference, the best first.

    Equal codes before more codes. Read one word off, `prepare` passes for `invoke`: told apart by kernels hardly ever
    having `free` and nearly always having `prepare`. A single row does not tell its stride; 28 is today's.
    """
    usual = sum((row.free == 0) + (row.prepare != 0) for row in table.rows) / len(table.rows)
    return not table.exact, -usual, table.form != TODAY, table.form.stride, table.address


def _tables(memory: Memory, block: Block, form: RowForm, codes: frozenset[int]) -> Iterator[RegistrationTable]:
    words = block.words
    starts = _row_starts(memory, words, form)
    step = form.stride // WORD
    for first, count in runs(starts, step):
        places = first + step * np.arange(min(count, MAX_ROWS))
        table_codes = words[places + form.code]
        if codes <= set(table_codes.tolist()):
            yield _table(block, form, places, codes)


def _row_starts(memory: Memory, words: NDArray[np.uint32], form: RowForm) -> NDArray[np.bool_]:
    """Which words a row can start at."""
    step = form.stride // WORD
    count = len(words) - step + 1
    if count <= 0:
        return np.zeros(0, np.bool_)
    code = memory.is_code(words)
    function, data = code | (words == 0), memory.is_pointer(words) | (words == 0)
    good = code[_INVOKE : _INVOKE + count].copy()
    for word in range(form.code):
        good &= function[word : word + count]
    good &= words[form.code : form.code + count] <= MAX_CODE
    good &= data[form.code + 1 : form.code + 1 + count]
    for word in range(form.code + 2, step):  # older rows end with a version and pointers that are not used here
        good &= (words[word : word + count] <= MAX_VERSION) | data[word : word + count]
    return good


def _table(block: Block, form: RowForm, places: NDArray[np.int64], codes: frozenset[int]) -> RegistrationTable:
    thumb_clear = ~np.uint32(1)
    rows = []
    for place in places.tolist():
        init, free, prepare, invoke = (int(word & thumb_clear) for word in block.words[place : place + 4])
        code, name = (int(word) for word in block.words[place + form.code : place + form.code + 2])
        rows.append(Registration(block.first_word + WORD * place, code, init, free, prepare, invoke, name))
    exact = {row.code for row in rows} == codes
    return RegistrationTable(rows[0].address, form, tuple(rows), exact)
