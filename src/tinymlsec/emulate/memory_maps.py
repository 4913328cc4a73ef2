"""Where the memories of a device lie, for linking and emulating firmware.

Device files say how large memories are; where they lie is a convention of the family, written down here. Many chips
have one memory at several addresses (aliases, secure and non-secure): here is the one that linker scripts use. Regions
are called flash, ram, and where memories lie apart ram2, ram3, ... with the device file's name of them in the source.
Where several sizes are given the smallest counts: firmware that fits there fits everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tinymlsec.emulate.contract import Core, MemoryMap, Region
from tinymlsec.target.device import Device
from tinymlsec.target.device_facts import Memory

GENERIC_FLASH_BYTES = 2 << 20
GENERIC_RAM_BYTES = 1 << 20
MAX_BYTES = 64 << 20
"""Most bytes of one region: the emulator holds all of it."""
MIN_BYTES = 1 << 10


@dataclass(frozen=True)
class _Family:
    """Addresses of a family of devices."""

    words: str
    flash: int
    ram: int
    apart: dict[str, int] = field(default_factory=dict)
    """Memories (by the device file's name) that do not continue the main RAM: name -> address."""
    main: str = ""
    """Name of the memory that is the main RAM; by default all on-chip RAM that is not apart, as one piece."""
    piece: int = 0
    """Most bytes of RAM that lie in one piece at `ram`, where the device file's figure counts more than that."""
    run_from: str = ""
    """Name of the memory that firmware is run from, where it is not the chip's own lasting one."""
    compared: bool = True
    """Both addresses, and `piece`, are those of the target descriptions of probe-rs."""


_KIB = 1024
_STM32 = _Family("STM32", 0x08000000, 0x20000000, {"CCM": 0x10000000})
_H7 = {"SRAM 2": 0x30000000, "SRAM 3": 0x38000000, "DTCM": 0x20000000, "ITCM": 0x00000000}
_NORDIC = _Family("nRF", 0x00000000, 0x20000000)
_NRF53_APART = {"SRAM, second core": 0x21000000, "Flash, second core": 0x01000000}

_FAMILIES: tuple[tuple[str, _Family], ...] = (
    ("apollo3", _Family("Apollo3", 0x00000000, 0x10000000, compared=False)),
    ("apollo4", _Family("Apollo4", 0x00000000, 0x10000000, compared=False)),
    ("apollo510", _Family("Apollo5", 0x00400000, 0x20000000, piece=3584 * _KIB, compared=False)),  # ITCM lies at 0
    ("atsaml11", _Family("SAM L11", 0x00000000, 0x20000000, compared=False)),
    ("atsam", _Family("SAM", 0x00000000, 0x20000000)),
    ("cc1352", _Family("SimpleLink CC13x2", 0x00000000, 0x20000000, {"SRAM 2": 0x11000000})),
    ("cc2340", _Family("SimpleLink CC23xx", 0x00000000, 0x20000000)),
    ("cc3220", _Family("SimpleLink CC32xx", 0x01000000, 0x20000000, compared=False)),
    ("efr32mg24", _Family("EFR32xG24", 0x08000000, 0x20000000)),
    ("ensemble", _Family("Ensemble", 0x80000000, 0x02000000, piece=4096 * _KIB, compared=False)),
    ("esp32-c3", _Family("ESP32-C3", 0x42000000, 0x3FC80000, piece=384 * _KIB)),
    ("esp32-c6", _Family("ESP32-C6", 0x42000000, 0x40800000)),
    ("esp32-p4", _Family("ESP32-P4", 0x40000000, 0x4FF00000)),
    # Its MRAM is not mapped: code is copied from there. The address is one that nothing else has.
    ("gap9", _Family("GAP9", 0x20000000, 0x1C000000, {"L1": 0x10000000}, compared=False)),
    ("imxrt10", _Family("i.MX RT10xx", 0x60000000, 0x20200000)),
    ("imxrt11", _Family("i.MX RT11xx", 0x30000000, 0x20240000, piece=1792 * _KIB)),
    ("imxrt685", _Family("i.MX RT600", 0x08000000, 0x20000000, compared=False)),
    ("lpc55", _Family("LPC55S6x", 0x00000000, 0x20000000, piece=272 * _KIB)),
    ("max32666", _Family("MAX3266x", 0x10000000, 0x20000000)),
    ("max78", _Family("MAX78000", 0x10000000, 0x20000000, compared=False)),
    ("mcxn", _Family("MCX N", 0x00000000, 0x20000000, piece=416 * _KIB)),
    ("mspm0", _Family("MSPM0", 0x00000000, 0x20000000)),
    ("nrf5340", _Family("nRF53", 0x00000000, 0x20000000, _NRF53_APART)),
    ("nrf54l", _Family("nRF54L", 0x00000000, 0x20000000)),
    ("nrf", _NORDIC),
    ("opentitan", _Family("OpenTitan", 0x20000000, 0x10000000)),
    ("particle-photon", _Family("STM32F2", 0x08000000, 0x20000000)),
    ("psoc-edge", _Family("PSoC Edge", 0x60000000, 0x26000000, run_from="External flash", compared=False)),
    ("psoc6", _Family("PSoC 6", 0x10000000, 0x08000000)),
    ("ra8m1", _Family("RA8", 0x02000000, 0x22000000, piece=896 * _KIB)),
    ("ra8", _Family("RA8", 0x02000000, 0x22000000)),
    ("ra4", _Family("RA", 0x00000000, 0x20000000)),
    ("ra6", _Family("RA", 0x00000000, 0x20000000)),
    ("rp2", _Family("RP2", 0x10000000, 0x20000000)),
    ("rtl8720", _Family("AmebaD", 0x08000000, 0x10000000, compared=False)),
    ("stm32f303", _Family("STM32F3", 0x08000000, 0x20000000, {"SRAM 2": 0x10000000})),
    ("stm32f7", _Family("STM32F7", 0x08000000, 0x20000000, {"ITCM": 0x00000000})),
    ("stm32h743", _Family("STM32H7", 0x08000000, 0x24000000, _H7, "SRAM 1")),
    ("stm32h7s", _Family("STM32H7RS", 0x70000000, 0x24000000, piece=456 * _KIB, run_from="External flash")),
    ("stm32h7", _Family("STM32H7", 0x08000000, 0x24000000, piece=512 * _KIB)),
    ("stm32l475", _Family("STM32L4", 0x08000000, 0x20000000, piece=96 * _KIB)),
    ("stm32n6", _Family("STM32N6", 0x70000000, 0x34000000, piece=3840 * _KIB)),
    ("stm32u5", _Family("STM32U5", 0x08000000, 0x20000000, {"SRAM 2": 0x28000000}, piece=768 * _KIB)),
    ("stm32wb55", _Family("STM32WB", 0x08000000, 0x20000000, piece=192 * _KIB)),  # the radio's core has the rest
    ("stm32", _STM32),
)
"""The first prefix of a device's id decides. Written from general knowledge of the families, not from datasheets; most
were compared with the target descriptions of probe-rs."""

_GENERIC = {
    "arm": _Family("generic Arm", 0x08000000, 0x20000000),
    "riscv32": _Family("generic RISC-V", 0x20000000, 0x80000000),
}


def memory_map(device: Device | None, core: Core) -> MemoryMap:
    """Where firmware for a device lies.

    Args:
        device: its file gives the sizes; None for a generic device of 2 MiB flash and 1 MiB RAM.
        core: what firmware is built for.
    """
    family = _family(device, core)
    if device is None:
        regions, words = _generic_regions(family), ["sizes are generic"]
    else:
        regions, words = _regions(device, family)
    own = device is not None and family not in _GENERIC.values()
    where = f"addresses by the convention of the {family.words} family" if own else f"addresses are {family.words}"
    where += " (as in probe-rs)" if own and family.compared else ""
    return MemoryMap(regions, "; ".join([where, *words]))


def _family(device: Device | None, core: Core) -> _Family:
    if device is not None:
        for prefix, family in _FAMILIES:
            if device.id.startswith(prefix):
                return family
    return _GENERIC[core.machine]


def _generic_regions(family: _Family) -> tuple[Region, ...]:
    return (
        Region("flash", family.flash, GENERIC_FLASH_BYTES, "rx"),
        Region("ram", family.ram, GENERIC_RAM_BYTES, "rwx"),
    )


def _regions(device: Device, family: _Family) -> tuple[tuple[Region, ...], list[str]]:
    """The regions, and what is to be said about their sizes."""
    words = ["sizes from the device file"]
    flash = _size("flash", _flash_memories(device, family), GENERIC_FLASH_BYTES, words)
    memories = _ram_memories(device)
    main = [each for each in memories if _is_main(each, family)]
    ram = _size("RAM", main, GENERIC_RAM_BYTES, words)
    if family.piece and ram > family.piece:
        words.append(f"the RAM that lies in one piece: {family.piece >> 10} of {ram >> 10} KiB")
        ram = family.piece
    regions = [Region("flash", family.flash, flash, "rx"), Region("ram", family.ram, ram, "rwx")]
    for memory in memories:
        if memory not in main and memory.bytes is not None and int(memory.bytes.min) >= MIN_BYTES:
            name, size = f"ram{len(regions)}", min(int(memory.bytes.min), MAX_BYTES)
            regions.append(Region(name, family.apart[memory.name], size, "rwx"))
            words.append(f"{name} is {memory.name}")
    left = [each.name for each in device.memories if each.kind in ("psram", "weights")]
    if left:
        words.append(f"without {', '.join(left)}")
    return _apart(regions), words


def _apart(regions: list[Region]) -> tuple[Region, ...]:
    """The regions, each cut where the next one begins: a user's device file may give any sizes."""
    starts = sorted(region.address for region in regions)
    ends = dict(zip(starts, [*starts[1:], 1 << 32], strict=True))
    return tuple(replace(each, size=min(each.size, ends[each.address] - each.address)) for each in regions)


def _is_main(memory: Memory, family: _Family) -> bool:
    return memory.name == family.main if family.main else memory.name not in family.apart


def _flash_memories(device: Device, family: _Family) -> list[Memory]:
    """What code is run from: the chip's own lasting memory, else the one beside it."""
    kinds = ("flash", "mram", "rram", "nvm")
    lasting = [each for each in device.memories if each.kind in kinds and each.name not in family.apart]
    if chosen := [each for each in lasting if each.name == family.run_from]:
        return chosen
    return [each for each in lasting if not each.external] or lasting


def _ram_memories(device: Device) -> list[Memory]:
    """The chip's own RAM, else what lies beside it."""
    own = [each for each in device.memories if each.kind in ("sram", "tcm")]
    return own or [each for each in device.memories if each.kind == "dram"]


def _size(what: str, memories: Iterable[Memory], generic: int, words: list[str]) -> int:
    """Sum of the smallest sizes, within bounds; what is unusual about it is added to the words."""
    memories = list(memories)  # the sum stands for one piece, also where the chip has it in several
    known = [each.bytes for each in memories if each.bytes is not None]
    total = int(sum(size.min for size in known))
    if total < MIN_BYTES:
        words.append(f"size of the {what} is generic, the device file gives none")
        return generic
    if any(size.min != size.max for size in known):
        words.append(f"smallest {what} of several")
    if total > MAX_BYTES:
        words.append(f"{what} cut to {MAX_BYTES >> 20} MiB")
        return MAX_BYTES
    return total // 1024 * 1024  # emulated memory comes in pages
