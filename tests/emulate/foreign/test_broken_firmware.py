"""Firmware of our own hand that goes wrong in every way: each time an ending that says where, in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from emulate.foreign.foreign_builds import build
from emulate.foreign.foreign_texts import broken
from tinymlsec.emulate.contract import Behavior, Probe, RunEnd
from tinymlsec.emulate.foreign.description import DescriptionError, description_of
from tinymlsec.emulate.foreign.outcome import FirmwareRunError
from tinymlsec.emulate.foreign.session import Inference, Session
from tinymlsec.target.firmware import load_image
from tinymlsec.target.firmware.write import write_bin

X = np.arange(64, dtype=np.uint8)[None]
CORES = ("cortex-m4", "cortex-m0plus")
LONGEST = 60.0
"""Seconds; each takes about one. A bound against tools that hang, not a measurement."""


def ran(elfs: dict[str, Path], function: str, core: str = "cortex-m4", **changes: object) -> Inference:
    """One inference that is a call of a function, and the next one, which must work again."""
    began = time.monotonic()
    with Session.open(elfs[core], description_of(broken(core, function, **changes))) as session:
        made = session.run(X)
        again = session.run(X)
    assert (again.ending.end, again.ending.title) == (made.ending.end, made.ending.title)
    assert time.monotonic() - began < LONGEST
    return made


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("function", "title", "access", "region"),
    [
        ("writes_flash", "write to read-only memory", "write at 0x08000100", "flash"),
        ("jumps_away", "jump to where there is no memory", "fetch at 0x60000000", "none"),
        ("reads_nothing", "read where there is no memory", "read at 0x70000000", "none"),
        ("reads_null", "read where there is no memory", "read at 0x00000010", "none"),
        ("is_undefined", "undefined instruction", "", ""),
        ("calls_supervisor", "supervisor call", "", ""),
        ("breaks", "breakpoint", "", ""),
    ],
)
def test_faults_are_found_where_they_are(
    broken_elfs: dict[str, Path], core: str, function: str, title: str, access: str, region: str
) -> None:
    made = ran(broken_elfs, function, core)
    fault = made.ending.fault
    assert made.ending.end is RunEnd.FAULT
    assert fault is not None
    assert title in made.ending.title
    assert (fault.access, fault.region) == (access, region)
    assert made.ending.symbol.startswith(f"{function}+0x")
    assert "broken.cpp:" in made.ending.line
    symbol = load_image(broken_elfs[core]).symbols[function]
    assert symbol.address <= fault.pc < symbol.address + symbol.size
    assert fault.pc in fault.last[-1:]
    assert 1 <= len(fault.last) <= 16
    assert hex(fault.pc)[2:] in made.ending.text


@pytest.mark.parametrize("core", CORES)
def test_a_stack_that_grows_out_of_ram(broken_elfs: dict[str, Path], core: str) -> None:
    made = ran(broken_elfs, "overflows", core)
    assert made.ending.fault is not None
    assert made.ending.fault.access.startswith("write at 0x1fff")
    assert made.ending.fault.region == "none"
    assert made.ending.symbol.startswith("overflows")
    assert "the stack or an array has grown out of RAM" in made.ending.hint


def test_an_unaligned_word_on_armv6(broken_elfs: dict[str, Path]) -> None:
    made = ran(broken_elfs, "reads_unaligned", "cortex-m0plus")
    assert made.ending.title == "unaligned access"
    assert made.ending.symbol.startswith("reads_unaligned")
    assert ran(broken_elfs, "reads_unaligned", "cortex-m4").ending.ok


def test_a_division_by_zero_only_where_it_is_trapped(broken_elfs: dict[str, Path]) -> None:
    """Cortex-M after reset gives zero; firmware that sets CCR.DIV_0_TRP gets a fault, and so does who asks for it."""
    elf = broken_elfs["cortex-m4"]
    inference = {"function": "divides", "arguments": [7, 0], "instructions": 1000}
    with Session.open(elf, description_of(broken(inference=inference))) as session:
        made = session.run(X, Probe(registers=True))
        assert made.ending.ok
        assert (made.result.value, made.result.zero_divisions) == (0, 1)
    boot = {"until": "main_loop", "init": "traps_divisions"}
    with Session.open(elf, description_of(broken(inference=inference, boot=boot))) as session:
        made = session.run(X)
        assert made.ending.title == "division by zero"
        assert made.ending.symbol.startswith("divides")
    with Session.open(
        elf, description_of(broken(inference=inference)), behavior=Behavior(divide_by_zero_traps=True)
    ) as session:
        assert session.run(X).ending.title == "division by zero"


@pytest.mark.parametrize("core", CORES)
def test_jumps_into_data_end_somehow(broken_elfs: dict[str, Path], core: str) -> None:
    """RAM may be executed; zeros are instructions, and after them comes something that is none."""
    made = ran(broken_elfs, "jumps_into_data", core)
    assert made.ending.end is RunEnd.FAULT
    assert made.ending.pc is not None
    assert ran(broken_elfs, "jumps_to_arm", core).ending.end is RunEnd.FAULT


@pytest.mark.parametrize("core", CORES)
def test_firmware_that_never_returns(broken_elfs: dict[str, Path], core: str) -> None:
    made = ran(broken_elfs, "never_returns", core)
    assert made.ending.end is RunEnd.TIMEOUT
    assert "300,000 instructions" in made.ending.title
    assert made.ending.symbol.startswith("never_returns")
    assert 300_000 <= made.result.instructions < 301_000


def test_a_limit_of_seconds(broken_elfs: dict[str, Path]) -> None:
    inference = {"function": "never_returns", "instructions": 4_000_000_000}
    with Session.open(
        broken_elfs["cortex-m4"], description_of(broken(inference=inference)), seconds=(60, 1)
    ) as session:
        made = session.run(X)
    assert made.ending.end is RunEnd.TIMEOUT
    assert "within 1 s" in made.ending.title
    assert made.result.seconds < 20


def test_firmware_that_prints_without_end(broken_elfs: dict[str, Path]) -> None:
    made = ran(broken_elfs, "prints_forever")
    assert made.ending.end is RunEnd.TIMEOUT
    assert made.text["console"].startswith("all work and no play\n" * 50)
    assert len(made.text["console"]) < 1 << 20
    assert "prints on and on" in made.ending.hint


def test_waiting_for_hardware_names_the_register(broken_elfs: dict[str, Path]) -> None:
    made = ran(broken_elfs, "waits_for_hardware")
    assert made.ending.end is RunEnd.TIMEOUT
    assert "the register at 0x40005000" in made.ending.hint
    assert "[[peripheral]]" in made.ending.hint


def test_waiting_for_a_tick_without_a_clock(broken_elfs: dict[str, Path]) -> None:
    made = ran(broken_elfs, "waits_for_tick", systick=None)
    assert made.ending.end is RunEnd.TIMEOUT
    assert "describe a clock as [systick]" in made.ending.hint
    assert made.ending.symbol.startswith("board::pause")
    assert ran(broken_elfs, "waits_for_tick").ending.ok


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("clock", [True, False])
def test_waits_for_events_go_on(broken_elfs: dict[str, Path], core: str, clock: bool) -> None:
    """With a clock its tick ends them; without, they end by themselves, as the architecture allows."""
    changes = {} if clock else {"systick": None}
    made = ran(broken_elfs, "waits_for_events", core, **changes)
    assert made.ending.ok
    assert made.result.value == 7


@pytest.mark.parametrize("core", CORES)
def test_no_tick_while_interrupts_are_off(broken_elfs: dict[str, Path], core: str) -> None:
    assert ran(broken_elfs, "counts_ticks_with_interrupts_off", core).result.value == 1


@pytest.mark.parametrize("every", [100, 101, 103, 107])
@pytest.mark.parametrize("watched", [False, True])
def test_ticks_among_conditional_instructions(broken_elfs: dict[str, Path], every: int, watched: bool) -> None:
    """The engine's blocks begin anywhere, also inside of IT blocks: no side may run under the other's condition."""
    clock = {"every": every, "handler": "SysTick_Handler"}
    description = description_of(broken(function="counts_conditionally", systick=clock))
    with Session.open(broken_elfs["cortex-m4"], description) as session:
        before = session.machine.bench().ticks
        made = session.run(X, Probe(counts=True) if watched else None)
        ticks = session.machine.bench().ticks - before
        ticked = int.from_bytes(
            session.machine.read(session.image.symbols_named("board::ticks")[0].address, 4), "little"
        )
    assert made.ending.ok, made.ending.text
    assert made.result.value == 2000
    assert ticked == before + ticks
    assert ticks >= 10  # the code has no branches, so the engine's blocks are long, and some begin in an IT block


def test_no_tick_before_the_timer_is_on(broken_elfs: dict[str, Path]) -> None:
    """Without start-up nobody has switched SysTick on; `always` calls its handler all the same."""
    elf, none = broken_elfs["cortex-m4"], {"start": "none", "init": "works"}
    clock = {"every": 1000, "handler": "SysTick_Handler"}
    with Session.open(elf, description_of(broken(function="waits_for_tick"))) as session:
        assert session.run(X).ending.ok
    boot = {"until": "Reset_Handler"}
    for always in (False, True):
        changes = {"boot": boot, "systick": clock | {"always": always}}
        with Session.open(elf, description_of(broken(function="waits_for_tick", **changes))) as session:
            assert session.run(X).ending.ok is always
    with Session.open(elf, description_of(broken(function="waits_for_tick", boot=none, systick=clock))) as session:
        assert session.run(X).ending.ok  # there is no start-up that could switch it on, so it is on


@pytest.mark.parametrize("core", CORES)
def test_semihosting(broken_elfs: dict[str, Path], core: str) -> None:
    made = ran(broken_elfs, "greets", core, semihosting=True)
    assert made.ending.ok
    assert made.text == {"semihosting": "hello\n"}
    ended = ran(broken_elfs, "ends_itself", core, semihosting=True)
    assert ended.ending.end is RunEnd.FAULT
    assert "ended itself with code 0" in ended.ending.title
    without = ran(broken_elfs, "greets", core)
    assert without.ending.title == "breakpoint"
    assert "semihosting = true" in without.ending.hint


def test_firmware_that_dies_while_starting(tmp_path: Path) -> None:
    elf = build(tmp_path, "broken", "", define="DIES_AT_START")
    with pytest.raises(FirmwareRunError, match="does not start: read where there is no memory") as caught:
        Session.open(elf, description_of(broken()))
    words = str(caught.value)
    assert "in reads_nothing" in words
    assert "broken.cpp:" in words
    assert "[[peripheral]] with address = 0x70000000" in words


def test_a_raw_image_without_vectors_has_to_be_called(broken_elfs: dict[str, Path], tmp_path: Path) -> None:
    image = load_image(broken_elfs["cortex-m4"])
    raw = bytearray(write_bin(image))
    raw[:64] = bytes(64)
    path = tmp_path / "raw.bin"
    path.write_bytes(raw)
    at = {name: image.symbols[name].address for name in ("works", "main_loop", "frame", "scores")}
    memory = [
        {"name": "flash", "address": 0x08000000, "size": 0x10000, "access": "rx"},
        {"name": "ram", "address": 0x20000000, "size": 0x10000, "access": "rwx"},
    ]
    changes = {
        "input": {"at": at["frame"], "bytes": 64, "type": "uint8"},
        "output": {"at": at["scores"], "bytes": 4, "type": "uint8"},
        "systick": None,
        "memory": memory,
    }
    description = description_of(broken(function=at["works"], boot={"until": at["main_loop"]}, **changes))
    with pytest.raises(DescriptionError, match="no vector table") as caught:
        Session.open(path, description, base=0x08000000)
    assert 'start = "none"' in str(caught.value)
    description = description_of(broken(function=at["works"], boot={"start": "none"}, **changes))
    with Session.open(path, description, base=0x08000000) as session:
        assert session.infer(X).tolist() == [[1, 2, 3, 4]]
