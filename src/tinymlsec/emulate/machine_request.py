"""What is asked of the emulator process, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinymlsec.emulate.contract import RECORD, Behavior, Core, Fault, MemoryMap, Probe, Window
from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.shared import BYTES
from tinymlsec.emulate.foreign.hardware import Hardware
from tinymlsec.errors import MachineError, UsageError

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

PAGE = 4096
EMPTY: Mapping[int, bytes] = {}
MOST_VISITS = 1 << 16
MOST_REGIONS = lib.REGIONS - 2
ROOM = BYTES - (64 << 20)
"""For records; the rest is for visits and counts."""


def traps_of(core: Core, behavior: Behavior) -> int:
    """What the core traps."""
    if core.machine != "arm":
        free = behavior.unaligned_traps is False or (behavior.unaligned_traps is None and core.unaligned)
        return 0 if free else lib.TRAP_UNALIGNED
    traps = lib.TRAP_MPU if behavior.mpu else 0
    if core.id == "cortex-m33":
        traps |= lib.MPU_V8
    if behavior.divide_by_zero_traps is None:
        traps |= lib.TRAP_DIVISION_BY_CONTROL
    elif behavior.divide_by_zero_traps:
        traps |= lib.TRAP_DIVISION
    if not core.unaligned or behavior.unaligned_traps:
        return traps | lib.TRAP_UNALIGNED
    return traps | (lib.TRAP_UNALIGNED_BY_CONTROL if behavior.unaligned_traps is None else 0)


def load_request(image: FirmwareImage, core: Core, memory: MemoryMap, hardware: Hardware, traps: int) -> dict[str, Any]:
    """A device with its firmware.

    Raises:
        MachineError: image, core and memories do not belong together.
    """
    if image.machine and image.machine != core.machine:
        raise MachineError(f"the image is not for {core.title}", found=image.machine, expected=core.machine)
    regions = [{"address": r.address, "size": r.size, "access": r.access} for r in memory.regions]
    if not 0 < len(regions) <= MOST_REGIONS:
        raise MachineError("the memory map", found=f"{len(regions)} memories", expected=f"1 to {MOST_REGIONS}")
    for region in memory.regions:
        if region.address % PAGE or not region.size > 0 or region.address + region.size > 1 << 32:
            raise MachineError(
                f"the memory {region.name!r} cannot be emulated", found=f"0x{region.address:08x}+0x{region.size:x}",
                expected=f"a start that is a multiple of {PAGE} bytes, and an end within 4 GiB",
            )  # fmt: skip
    _check_place(image, memory)
    detected = image.symbols.get("tms_detected")
    return {
        "machine": core.machine, "unicorn_cpu": core.unicorn_cpu, "regions": regions, "traps": traps,
        "blocks": [(b.address, b.address + b.size) for b in hardware.blocks], "hardware": asdict(hardware),
        "detected": detected.address if detected else 0,
        "segments": [(s.address, len(s.data)) for s in image.segments],
    }  # fmt: skip


def load_segments(image: FirmwareImage) -> bytes:
    """Bytes of all segments, in order."""
    return b"".join(s.data for s in image.segments)


def _check_place(image: FirmwareImage, memory: MemoryMap) -> None:
    for segment in image.segments:
        inside = any(r.address <= segment.address and segment.end <= r.address + r.size for r in memory.regions)
        if segment.data and not inside:
            known = ", ".join(f"{r.name} 0x{r.address:08x}+0x{r.size:x}" for r in memory.regions)
            raise MachineError(
                "the image does not fit the memories of the device",
                found=f"bytes at 0x{segment.address:08x} to 0x{segment.end:08x}", expected=f"{known} ({memory.source})",
                next_step="name the device that the image was linked for",
            )  # fmt: skip


def want_of(probe: Probe | None) -> int:
    """What the tracer is to look at."""
    if probe is None:
        return 0
    pairs = (
        (probe.registers, lib.WANT_REGISTERS), (probe.bus, lib.WANT_BUS), (probe.values, lib.WANT_VALUES),
        (probe.addresses, lib.WANT_ADDRESSES), (probe.counts, lib.WANT_COUNTS), (bool(probe.visits), lib.WANT_VISITS),
        (probe.flash is not None, lib.WANT_FLASH), (records_of(probe), lib.WANT_RECORDS),
    )  # fmt: skip
    return sum(bit for asked, bit in pairs if asked)


def records_of(probe: Probe) -> bool:
    """Whether there is a record for each instruction."""
    return probe.registers or probe.bus or probe.values or probe.addresses


def run_request(
    window: Window,
    inputs: Mapping[int, bytes],
    probe: Probe | None,
    fault: Fault | None,
    instructions: int,
    seconds: float,
    registers: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """One run.

    Raises:
        UsageError: more than can be asked for at once.
    """
    asked = probe or Probe()
    limit = asked.limit if records_of(asked) else 0
    if limit * RECORD.itemsize > ROOM or limit < 0:
        most = ROOM // RECORD.itemsize
        raise UsageError("too many records at once", found=str(limit), expected=f"at most {most}: limit or ranges")
    if len(asked.ranges) > lib.RANGES:
        raise UsageError("too many ranges", found=str(len(asked.ranges)), expected=f"at most {lib.RANGES}")
    return {
        "start": window.start, "stop": window.stop, "hit": window.hit, "arguments": list(window.arguments),
        "writes": [(address, len(data)) for address, data in inputs.items()], "registers": list(registers),
        "want": want_of(probe), "ranges": list(asked.ranges), "visits": list(asked.visits), "record_limit": limit,
        "visit_limit": MOST_VISITS if asked.visits else 0, "limit": instructions, "seconds": seconds,
        "fault": asdict(fault) if fault else None, "flash": asdict(asked.flash) if asked.flash else None,
        "fast": probe is None and fault is None,
    }  # fmt: skip
