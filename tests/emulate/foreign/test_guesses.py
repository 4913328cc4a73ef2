"""What is guessed where nobody says: core, memories, hardware around an image."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tinymlsec.emulate.contract import MemoryMap, Region
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.foreign.core_guess import guess_core
from tinymlsec.emulate.foreign.guess import guessed_hardware
from tinymlsec.emulate.foreign.memories import guessed_map
from tinymlsec.target.firmware import load_image
from tinymlsec.target.firmware.image import FirmwareImage, Segment, VectorTable

CODE = Segment(0x08000000, bytes(256), 256, "rx")


def image(**changes: object) -> FirmwareImage:
    return replace(FirmwareImage("elf", "arm", 0x08000010, (CODE,)), **changes)


@pytest.mark.parametrize(
    ("changes", "core", "words"),
    [
        ({"architecture": "Armv6-M"}, "cortex-m0plus", "attributes"),
        ({"architecture": "Armv7-M"}, "cortex-m3", "attributes"),
        ({"architecture": "Armv7E-M"}, "cortex-m4f", "attributes"),
        ({"architecture": "Armv8-M Mainline"}, "cortex-m33", "attributes"),
        ({"architecture": "Armv8.1-M"}, "cortex-m33", "attributes"),
        ({"kind": "uf2", "family": "RP2040"}, "cortex-m0plus", "UF2 family RP2040"),
        ({"kind": "uf2", "family": "STM32H7"}, "cortex-m7", "UF2 family"),
        ({"kind": "hex"}, "cortex-m4f", "a guess"),
        ({"machine": "riscv32"}, "rv32imc", "RISC-V"),
    ],
)
def test_cores(changes: dict[str, object], core: str, words: str) -> None:
    guess = guess_core(image(**changes))
    assert guess.core.id == core
    assert words in guess.reason


def test_the_core_of_a_real_elf(broken_elfs: dict[str, Path]) -> None:
    assert guess_core(load_image(broken_elfs["cortex-m4"])).core.id == "cortex-m4f"
    assert guess_core(load_image(broken_elfs["cortex-m0plus"])).core.id == "cortex-m0plus"


def test_registers_lie_around_memories_and_never_twice() -> None:
    memory = MemoryMap((Region("ram", 0x40010000, 0x2800, "rw"), Region("ram2", 0xD0000000, 0x1000, "rw")), "test")
    hardware = guessed_hardware(image(), CORES["cortex-m4"], memory, (0x1FFF7000, 0x40011000, 0x50000000))
    spans = sorted((b.address, b.address + b.size) for b in hardware.blocks)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert (0x1FFF7000, 0x1FFF8000) in spans
    assert (0x40000000, 0x40010000) in spans
    assert (0x40013000, 0x60000000) in spans
    assert (0xD0001000, 0xD1000000) in spans
    assert all(b.address % 4096 == 0 and b.size % 4096 == 0 for b in hardware.blocks)
    assert hardware.listens
    assert hardware.semihosting


def vectors(handlers: list[int]) -> VectorTable:
    words = (0x20008000, *handlers)
    return VectorTable(0x08000000, words[0], words[1] & ~1, words, True, "test")


@pytest.mark.parametrize(
    ("systick", "expected"), [(0x08000041, 0x08000040), (0x08000021, None), (0, None), (0x08000040, None)]
)
def test_the_clock_is_a_handler_of_its_own(systick: int, expected: int | None) -> None:
    """One handler for everything is where firmware ends that has no use for the timer."""
    table = vectors([0x08000011, *[0x08000021] * 13, systick])
    memory = MemoryMap((Region("flash", 0x08000000, 0x1000, "rx"),), "test")
    clock = guessed_hardware(image(vectors=table), CORES["cortex-m4"], memory).clock
    assert (None if clock is None else clock.handler) == expected


def test_ram_without_a_stack_pointer_has_room() -> None:
    data = Segment(0x80000000, b"\1\2\3\4", 64, "rw")
    code = Segment(0x20000000, bytes(64), 64, "rx")
    found = guessed_map(FirmwareImage("elf", "riscv32", 0x20000000, (code, data)))
    written = [region for region in found.regions if "w" in region.access]
    assert min(region.address for region in written) == 0x80000000
    assert sum(region.size for region in written) == 256 * 1024
    assert max(region.address + region.size for region in written) == 0x80000000 + 256 * 1024


def test_ram_ends_at_the_stack() -> None:
    data = Segment(0x08000100, b"\1\2\3\4", 64, "rw", 0x20000000)
    table = vectors([0x08000011, *[0x08000021] * 14])
    found = guessed_map(image(segments=(CODE, data), vectors=table))
    regions = {region.name: region for region in found.regions}
    assert (regions["ram"].address, regions["ram"].size) == (0x20000000, 0x8000)
    assert (regions["flash"].address, regions["flash"].access) == (0x08000000, "rx")
