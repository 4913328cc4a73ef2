"""The finder among things that only look like tables, and tables in places where they are not expected."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest

from emulate.foreign.foreign_images import (
    BLOB_AT,
    FLASH,
    FLASH_BYTES,
    INTERPRETER_AT,
    RAM,
    RAM_BYTES,
    REGISTRATIONS_AT,
    Images,
    complete_images,
    empty_images,
    registration_bytes,
    small_network,
    thumb,
)
from tinymlsec.emulate.foreign.finder.interpreter import find_interpreter
from tinymlsec.emulate.foreign.finder.memory import Block, Memory
from tinymlsec.emulate.foreign.finder.registrations import FORMS, RowForm, find_registrations
from tinymlsec.emulate.foreign.finder.static import search
from tinymlsec.target.tflite.reader import read_model

CODES = [opcode.builtin for opcode in read_model(small_network()).opcodes]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.stride}-{'reset' if form.has_reset else 'plain'}")
def test_a_constant_table_in_flash(form: RowForm) -> None:
    """Some firmware has its registrations as constants and none in RAM."""
    images, _ = complete_images()
    images.put(REGISTRATIONS_AT, bytes(28 * len(CODES)))
    images.put(FLASH + 0x6000, registration_bytes(CODES, form.stride, form.has_reset))
    found = search(images.memory)
    assert found.registrations is not None
    assert (found.registrations.address, found.registrations.form) == (FLASH + 0x6000, form)
    assert found.interpreter is None
    assert "no interpreter in RAM after start-up" in found.missing


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.stride}-{'reset' if form.has_reset else 'plain'}")
@pytest.mark.parametrize("shift", [-8, -4, 4, 8])
def test_no_decoy_a_word_off_wins(form: RowForm, shift: int) -> None:
    """A second table of kernels of other codes, beside which shifted rows have good pointers."""
    images, _ = complete_images(form.stride, form.has_reset)
    images.put(RAM + 0x800 + shift, registration_bytes([1, 2, 0], form.stride, form.has_reset))
    found = find_registrations(images.memory, frozenset(CODES))
    assert found is not None
    assert (found.address, found.form, found.exact) == (REGISTRATIONS_AT, form, True)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_found_where_nothing_is(seed: int) -> None:
    """RAM full of pointers to code and to itself, and small numbers, in random order."""
    rng = np.random.default_rng(seed)
    count = RAM_BYTES // 4
    kinds = rng.integers(0, 4, count)
    code = (FLASH + rng.integers(0, FLASH_BYTES // 2, count) * 2) | 1
    data = RAM + rng.integers(0, count, count) * 4
    small = rng.integers(0, 40, count)
    words = np.choose(kinds, [code, data, small, np.zeros(count, np.int64)]).astype("<u4")
    images = empty_images(seed)
    images.put(BLOB_AT, small_network())
    images.ram[:] = words.tobytes()
    found = search(images.memory)
    assert found.blob is not None
    assert found.tensors is None
    assert found.interpreter is None or found.registrations is not None
    if found.registrations is not None:  # rows may fit by chance; then they are kernels by every rule there is
        assert {row.code for row in found.registrations.rows} >= set(CODES)


def _interpreters(images: Images) -> int | None:
    found = search(images.memory)
    assert found.blob is not None
    interpreter = find_interpreter(images.memory, found.blob, found.registrations)
    return None if interpreter is None else interpreter.address


def test_pointers_to_the_model_alone_are_no_interpreter() -> None:
    images, _ = complete_images()
    for place in (RAM + 0x1400, RAM + 0x1480, RAM + 0x1500):
        images.put(place, struct.pack("<II", BLOB_AT + 4, RAM + 0x4000))
    assert _interpreters(images) == INTERPRETER_AT
    images.put(INTERPRETER_AT, bytes(8))
    assert _interpreters(images) is None


def test_operators_that_the_file_lists_and_no_layer_uses() -> None:
    """Converters leave QUANTIZE behind; firmware registers what its layers need."""
    images, _ = complete_images()
    images.put(BLOB_AT, small_network(unused="QUANTIZE"))
    found = search(images.memory)
    assert found.blob is not None
    assert len(found.blob.model.opcodes) == len(CODES) + 1
    assert found.registrations is not None
    assert found.registrations.exact


def test_a_custom_operator_keeps_its_name() -> None:
    images, _ = complete_images()
    row = struct.pack("<7I", 0, 0, thumb(90), thumb(91), 0, 32, FLASH + 0x40)
    rows = registration_bytes(CODES, 28, True)[: 28 * len(CODES)]
    images.put(REGISTRATIONS_AT, rows + row + bytes(28))
    found = find_registrations(images.memory, frozenset(CODES))
    assert found is not None
    assert (found.exact, found.rows[-1].custom_name, found.rows[-1].invoke) == (False, FLASH + 0x40, thumb(91) - 1)


def test_of_two_rows_of_one_code_the_first_counts() -> None:
    images, _ = complete_images()
    rows = registration_bytes([*CODES, CODES[0]], 28, True)
    images.put(REGISTRATIONS_AT, rows)
    found = find_registrations(images.memory, frozenset(CODES))
    assert found is not None
    assert len(found.rows) == len(CODES) + 1
    assert found.invoke_of(CODES[0]) == thumb(2) - 1
    assert found.invoke_of(250) is None


def test_memory_of_a_large_device_is_searched_in_seconds() -> None:
    rng = np.random.default_rng(2)
    images, _ = complete_images()
    flash = Block(FLASH, bytes(images.flash) + rng.bytes(4 << 20), True)
    ram = Block(RAM, bytes(images.ram) + rng.bytes(2 << 20))
    began = time.monotonic()
    found = search(Memory((flash,), (ram,)))
    assert found.interpreter is not None
    assert time.monotonic() - began < 20  # about one; a bound against what grows faster than memory
