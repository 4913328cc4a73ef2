"""The finder on images made by hand: every layout of the tables, decoys, and images without them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from emulate.foreign.foreign_images import (
    ARENA_AT,
    BLOB_AT,
    FLASH,
    INTERPRETER_AT,
    RAM,
    REGISTRATIONS_AT,
    TENSORS_AT,
    Images,
    complete_images,
    empty_images,
    put_tensors,
    registration_bytes,
    small_network,
    thumb,
)
from tinymlsec.emulate.foreign.finder.blob import find_blobs
from tinymlsec.emulate.foreign.finder.memory import Block, Memory
from tinymlsec.emulate.foreign.finder.registrations import FORMS, RowForm, find_registrations
from tinymlsec.emulate.foreign.finder.runs import runs
from tinymlsec.emulate.foreign.finder.static import operator_codes, search
from tinymlsec.emulate.foreign.finder.tensors import find_tensors
from tinymlsec.target.tflite.reader import read_model

CODES = frozenset(opcode.builtin for opcode in read_model(small_network()).opcodes)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.stride}-{'reset' if form.has_reset else 'plain'}")
@pytest.mark.parametrize("resets", [False, True])
def test_everything_is_found_in_every_form(form: RowForm, resets: bool) -> None:
    images, addresses = complete_images(form.stride, form.has_reset, resets and form.has_reset)
    found = search(images.memory)
    assert found.blob is not None
    assert (found.blob.address, found.blob.data) == (BLOB_AT, small_network())
    table = found.registrations
    assert table is not None
    assert (table.address, table.form, table.exact) == (REGISTRATIONS_AT, form, True)
    assert [row.invoke for row in table.rows] == [thumb(4 * n + 2) - 1 for n in range(len(CODES))]
    assert {row.code for row in table.rows} == CODES
    assert found.tensors is not None
    assert found.tensors.address == TENSORS_AT
    assert [tensor.address for tensor in found.tensors.tensors] == addresses
    assert found.tensors.complete
    assert found.arena is not None
    assert found.arena.address == ARENA_AT
    assert found.arena.bytes == max(a for a in addresses if a >= RAM) + 4 - ARENA_AT
    assert found.interpreter is not None
    assert found.interpreter.address == INTERPRETER_AT
    assert found.missing == ("no symbols: the image is stripped",)


def test_even_code_pointers_of_risc_v() -> None:
    images, _ = complete_images()
    table = images.ram[REGISTRATIONS_AT - RAM :][: 28 * len(CODES)]
    words = np.frombuffer(bytes(table), "<u4").copy()
    words[words > FLASH] &= ~np.uint32(1)
    images.put(REGISTRATIONS_AT, words.tobytes())
    memory = images.memory
    assert find_registrations(memory, CODES) is None
    assert find_registrations(Memory(memory.flash, memory.ram, thumb=False), CODES) is not None


def test_rows_one_word_off_are_not_taken() -> None:
    """A table whose words are shifted by one has good pointers everywhere, but codes that are not the model's."""
    images, _ = complete_images()
    shifted = registration_bytes([0, 0, 0, 0], 28, True)
    images.put(RAM + 0x40, shifted)
    found = find_registrations(images.memory, CODES)
    assert found is not None
    assert found.address == REGISTRATIONS_AT


def test_a_larger_table_is_taken_only_without_an_equal_one() -> None:
    images, _ = complete_images()
    more = sorted(CODES | {0, 1, 2, 3, 4})
    images.put(RAM + 0x600, registration_bytes(more, 32, True))
    both = find_registrations(images.memory, CODES)
    assert both is not None
    assert both.exact
    images.put(REGISTRATIONS_AT, bytes(28 * len(CODES)))
    larger = find_registrations(images.memory, CODES)
    assert larger is not None
    assert (larger.exact, larger.address, len(larger.rows)) == (False, RAM + 0x600, len(more))


def test_pointers_to_data_are_no_kernels() -> None:
    """Rows of the right form that point into memory that cannot be executed."""
    images, _ = complete_images()
    words = np.frombuffer(bytes(images.ram[REGISTRATIONS_AT - RAM :][:84]), "<u4").copy()
    words[words > FLASH] += np.uint32(RAM - FLASH)
    images.put(REGISTRATIONS_AT, words.tobytes())
    assert find_registrations(images.memory, CODES) is None


def test_no_table_is_no_table() -> None:
    images = empty_images()
    images.put(BLOB_AT, small_network())
    found = search(images.memory)
    assert found.blob is not None
    assert (found.registrations, found.tensors, found.arena, found.interpreter) == (None, None, None, None)
    assert [line for line in found.missing if "after start-up" in line] == [
        "no table of registrations in RAM after start-up",
        "no table of tensors in RAM after start-up",
        "no interpreter in RAM after start-up",
    ]


def test_nothing_at_all() -> None:
    found = search(empty_images().memory)
    assert found.blob is None
    assert any("compiled into code" in line for line in found.missing)
    assert search(Memory(())).blobs == ()


def _without(images: Images, address: int, size: int) -> None:
    images.put(address, bytes(size))


def test_decoy_of_equal_length_with_other_types() -> None:
    """A table of another model with as many tensors: it comes first in RAM, but types and dimensions differ."""
    images, addresses = complete_images()
    rows = bytes(images.ram[TENSORS_AT - RAM :][: 12 * len(addresses)])
    words = np.frombuffer(rows, "<u4").copy().reshape(-1, 3)
    words[:, 1] = np.roll(words[:, 1], 3)
    images.put(RAM + 0x1000 - 12, bytes(12))
    images.put(RAM + 0x1000, words.tobytes() + bytes(12))
    found = search(images.memory).tensors
    assert found is not None
    assert found.address == TENSORS_AT


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("after", [0, 1, 4])
def test_rows_beside_the_table_that_fit_by_chance(before: int, after: int) -> None:
    images, addresses = complete_images()
    row = struct.pack("<III", ARENA_AT, RAM + 0x7000, 9)
    images.put(TENSORS_AT - 12 * before, row * before)
    images.put(TENSORS_AT + 12 * len(addresses), row * after + bytes(12))
    found = search(images.memory).tensors
    assert found is not None
    assert (found.address, found.complete) == (TENSORS_AT, True)


def test_types_of_one_byte_with_rubbish_beside_them() -> None:
    images = empty_images()
    images.put(BLOB_AT, small_network())
    addresses = put_tensors(images, small_network(), types=0xABCD00)
    found = search(images.memory).tensors
    assert found is not None
    assert [tensor.address for tensor in found.tensors] == addresses


def test_a_table_of_a_shorter_model_is_not_taken() -> None:
    images, addresses = complete_images()
    _without(images, TENSORS_AT + 12 * (len(addresses) - 2), 24)
    assert search(images.memory).tensors is None


def test_of_two_models_the_one_with_tensors_in_ram_counts() -> None:
    images, _ = complete_images()
    builder_bytes = small_network(seed=9)
    images.put(FLASH + 0xC000, builder_bytes)
    found = search(images.memory)
    assert [blob.address for blob in found.blobs] == [BLOB_AT, FLASH + 0xC000]
    assert found.blob is not None
    assert found.blob.address == BLOB_AT


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_a_model_at_any_alignment_among_identifiers(offset: int) -> None:
    images, data = empty_images(), small_network()
    images.put(FLASH + 0x100, b"is it TFL3? TFL3TFL3")
    images.put(BLOB_AT + offset, data)
    blobs, others = find_blobs(images.memory)
    assert [(blob.address, blob.data) for blob in blobs] == [(BLOB_AT + offset, data)]
    assert len(others) == 3
    assert all(other.reason for other in others)


def test_a_model_cut_off_by_the_end_of_flash() -> None:
    data = small_network()
    memory = Memory((Block(FLASH, bytes(64) + data[: len(data) // 2], True),))
    blobs, others = find_blobs(memory)
    assert blobs == ()
    assert others[0].address == FLASH + 64


def test_hostile_ram_is_searched_in_bounded_time() -> None:
    """Every word a pointer, so that every place starts a row: no more than a bounded number is compared."""
    data = small_network()
    flash = Block(FLASH, data + bytes(4096), True)
    ram = np.full(1 << 18, RAM + 4, "<u4")
    ram[::3] = RAM + 9
    codes = operator_codes(find_blobs(Memory((flash,)))[0][0])
    for words in (ram, np.full(1 << 18, FLASH + 1, "<u4"), np.full(1 << 18, 9, "<u4")):
        memory = Memory((flash,), (Block(RAM, words.tobytes()),))
        assert find_registrations(memory, codes) is None
        assert find_tensors(memory, find_blobs(memory)[0][0]) is None


def test_runs_agree_with_counting_one_by_one() -> None:
    rng = np.random.default_rng(3)
    for stride in (1, 3, 7):
        starts = rng.random(200) < 0.6
        expected = set()
        for first in range(len(starts)):
            if starts[first] and (first < stride or not starts[first - stride]):
                count = 0
                while first + count * stride < len(starts) and starts[first + count * stride]:
                    count += 1
                expected.add((first, count))
        assert set(runs(starts, stride)) == expected
