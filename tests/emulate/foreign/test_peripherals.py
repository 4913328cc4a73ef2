"""What registers of guessed and described hardware read as."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest

from tinymlsec.emulate.foreign.hardware import RegisterBlock
from tinymlsec.emulate.foreign.peripherals import (
    COUNTED,
    CYCLE_COUNTER,
    SYSTICK_CONTROL,
    SYSTICK_VALUE,
    Peripheral,
)

BASE = 0x40000000


def block(reads: int | Literal["written", "either", "system"], base: int = BASE, **values: int) -> Peripheral:
    fixed = tuple((int(name[1:]), value) for name, value in values.items())
    return Peripheral(
        RegisterBlock("p", base, 0x10000, reads, fixed), lambda address, write: None, lambda address, value: None
    )


def word(peripheral: Peripheral, offset: int = 0, size: int = 4) -> int:
    return peripheral.read(None, offset, size, None)


def test_a_fixed_value_whatever_is_written() -> None:
    peripheral = block(0x11223344, _8=0x80)
    peripheral.write(None, 0, 4, 99, None)
    peripheral.write(None, 8, 4, 99, None)
    assert (word(peripheral), word(peripheral, 8)) == (0x11223344, 0x80)
    assert [word(peripheral, i, 1) for i in range(4)] == [0x44, 0x33, 0x22, 0x11]
    assert word(peripheral, 2, 2) == 0x1122


def test_what_was_written_byte_by_byte() -> None:
    peripheral = block("written")
    assert word(peripheral, 4) == 0
    peripheral.write(None, 4, 4, 0xAABBCCDD, None)
    peripheral.write(None, 5, 1, 0x11, None)
    peripheral.write(None, 6, 2, 0x2233, None)
    assert word(peripheral, 4) == 0x223311DD


WAITS = {
    "a flag is set": lambda value, first, written: value & 0x80,
    "a flag is cleared": lambda value, first, written: not value & 0x80,
    "a field of two bits is 1": lambda value, first, written: value >> 2 & 3 == 1,
    "a field of two bits is 2": lambda value, first, written: value >> 2 & 3 == 2,
    "a setting reads back": lambda value, first, written: value == written,
    "a counter has moved by 50": lambda value, first, written: 50 < (value - first & 0xFFFFFFFF) < 1 << 31,
    "a counter has passed a mark": lambda value, first, written: value > 1000,
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("alternates", [False, True])
def test_either_ends_waits(wait: str, alternates: bool) -> None:
    """However often another register is read in between."""
    peripheral = block("either")
    peripheral.write(None, 0x10, 4, 0x00C0FFEE, None)
    first = word(peripheral, 0x10)
    for _ in range(300):
        if alternates:
            word(peripheral, 0x20)
        if WAITS[wait](word(peripheral, 0x10), first, 0x00C0FFEE):
            return
    pytest.fail("it never ended")


def test_either_does_not_change_from_one_read_to_the_next() -> None:
    """Firmware that reads a register twice in a row should see the same, most of the time."""
    peripheral = block("either")
    seen = [word(peripheral) for _ in range(400)]
    assert sum(a != b for a, b in pairwise(seen)) < 100


def test_state_is_put_back() -> None:
    peripheral = block("either")
    for i in range(37):
        word(peripheral, 4 * (i % 3))
    peripheral.write(None, 0, 4, 5, None)
    saved = peripheral.state.copy()
    after = [word(peripheral, 4 * (i % 3)) for i in range(500)]
    peripheral.write(None, 0, 4, 6, None)
    peripheral.state = saved.copy()
    assert [word(peripheral, 4 * (i % 3)) for i in range(500)] == after


def test_counters_of_the_core_move() -> None:
    system = Peripheral(
        RegisterBlock("s", 0xE0000000, 0x100000, "system"), lambda address, write: None, lambda address, value: None
    )
    cycles = [word(system, CYCLE_COUNTER - 0xE0000000) for _ in range(50)]
    assert all(b > a for a, b in pairwise(cycles))
    value = [word(system, SYSTICK_VALUE - 0xE0000000) for _ in range(50)]
    assert all(b != a and b < 1 << 24 for a, b in pairwise(value))
    control = SYSTICK_CONTROL - 0xE0000000
    assert not any(word(system, control) & COUNTED for _ in range(100))
    system.write(None, control, 4, 5, None)
    seen = [word(system, control) for _ in range(100)]
    assert 0 < sum(bool(each & COUNTED) for each in seen) < 20
    assert all(each & 0xFFFF == 5 for each in seen)


def test_what_is_kept_is_bounded() -> None:
    peripheral = block("either")
    for offset in range(0, 0x10000, 4):
        peripheral.write(None, offset, 4, 1, None)
        word(peripheral, offset)
    assert len(peripheral.state.values) <= 4096
    assert len(peripheral.state.reads) <= 4096
