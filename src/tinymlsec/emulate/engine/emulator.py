"""Unicorn with the tracer: memories, runs, snapshots. Lives in the worker process only."""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.cpu import Cpu
from tinymlsec.emulate.engine.step import callback

PAGE = 4096
SYSTEM = (0xE0000000, 0x50000)
"""Registers of a Cortex-M itself: interrupt controller, memory protection, debug unit. Kept as plain memory."""
IDLE_PLACES = (0x0BAD0000, 0x5FFF0000, 0x7FFF0000, 0x9FFF0000, 0xBFFF0000)


class Emulator:
    """One core with its memories.

    Args:
        config: core, regions, traps, as the parent sends them.
        tracer: path of the tracer's library.
    """

    def __init__(self, config: Mapping[str, Any], tracer: str) -> None:
        import unicorn

        self.cpu = Cpu(config["machine"], config["unicorn_cpu"])
        self.library = lib.load(tracer)
        engine: Any = unicorn  # its types say nothing
        self.uc: Any = engine.Uc(self.cpu.architecture, self.cpu.mode)
        self.uc.ctl_set_cpu_model(self.cpu.model)
        self.state = lib.CTracer()
        self.reference = ctypes.byref(self.state)
        self._kept: list[Any] = []
        self._wire(config)
        self._map_all(config)
        self.snapshots: dict[int, int] = {}
        self._next = 1
        self.semihosting = False
        self.how = (-1, 0)

    def _wire(self, config: Mapping[str, Any]) -> None:
        from unicorn.unicorn_py3.unicorn import uclib

        state, cpu = self.state, self.cpu
        for name in lib.API:
            setattr(state.api, name, ctypes.cast(getattr(uclib, f"uc_{name}"), ctypes.c_void_p).value)
        state.uc = self.uc._uch
        for i, number in enumerate(cpu.registers):
            state.ids[i] = number
        state.registers, state.pc_id, state.status_id = len(cpu.registers), cpu.pc, cpu.status
        state.thumb = int(cpu.arm)
        state.decode = callback(cpu.decoder())
        state.detected = int(config["detected"])
        state.traps = int(config["traps"])

    def _map_all(self, config: Mapping[str, Any]) -> None:
        for region in config["regions"]:
            self._map(region["address"], region["size"], region["access"])
        taken = [(r["address"], r["address"] + r["size"]) for r in config["regions"]]
        taken += [tuple(block) for block in config["blocks"]]
        if self.cpu.arm and not _overlaps(*SYSTEM, taken):
            self._map(*SYSTEM, "rw")
            taken.append((SYSTEM[0], SYSTEM[0] + SYSTEM[1]))
        self.idle = next(place for place in IDLE_PLACES if not _overlaps(place, PAGE, taken))
        self._map(self.idle, PAGE, "rx")

    def _map(self, address: int, size: int, access: str) -> int:
        """Maps one memory; address of its bytes in this process."""
        import unicorn

        rounded = -(-size // PAGE) * PAGE
        memory = mmap.mmap(-1, rounded)
        host = ctypes.addressof(ctypes.c_uint8.from_buffer(memory))
        rights = {"r": unicorn.UC_PROT_READ, "w": unicorn.UC_PROT_WRITE, "x": unicorn.UC_PROT_EXEC}
        self.uc.mem_map_ptr(address, rounded, sum(rights[letter] for letter in set(access)), host)
        dirty = (ctypes.c_uint8 * (size // 256 + 2))()
        pages = (ctypes.c_void_p * (size // 1024 + 2))()
        self._kept += [memory, dirty, pages]
        region = self.state.regions[self.state.region_count]
        region.base, region.size, region.host = address, size, host
        region.writable, region.executable = int("w" in access), int("x" in access)
        region.dirty, region.pages = ctypes.addressof(dirty), ctypes.addressof(pages)
        self.state.region_count += 1
        return host

    def hook(self, every: bool, stop: int = 0) -> None:
        """Chooses between a hook on every instruction and one per block.

        Args:
            every: on every instruction.
            stop: where a window ends that is watched block by block, and whose end is counted; 0 for none.
        """
        how = (int(every) | (2 if self.semihosting else 0), stop)
        if how != self.how:
            self.how = how
            self.library.tms_hook(self.reference, *how)

    def write(self, address: int, data: bytes) -> None:
        """Writes memory, write-protected memory too.

        Raises:
            ValueError: there is no such memory.
        """
        if self.library.tms_write(self.reference, address, bytes(data), len(data)):
            raise ValueError(f"no memory for {len(data)} bytes at 0x{address:08x}")

    def read(self, address: int, size: int) -> bytes:
        """Bytes of a memory.

        Raises:
            ValueError: there is no such memory.
        """
        for i in range(self.state.region_count):
            region = self.state.regions[i]
            if region.base <= address and address + size <= region.base + region.size:
                return ctypes.string_at(region.host + (address - region.base), size)
        raise ValueError(f"no memory with {size} bytes at 0x{address:08x}")

    def forget(self, address: int) -> None:
        """Lets the engine translate the code at an address anew.

        Where a run is to end there, blocks that it has linked in runs with other ends would run over it.
        """
        with suppress(ValueError):  # no memory: nothing was translated there
            self.write(address, self.read(address, 2))

    def registers(self) -> list[int]:
        """r0 to r14 and the program counter, or x0 to x31 and the program counter."""
        return [int(self.uc.reg_read(number)) for number in (*self.cpu.registers, self.cpu.pc)]

    def set_register(self, number: int, value: int) -> None:
        """Sets a core register by its number."""
        self.uc.reg_write(self.cpu.registers[number], value)

    def snapshot(self) -> int:
        """Number of a new snapshot.

        Raises:
            MemoryError: there is no room for it.
        """
        place = self.library.tms_snapshot_take(self.reference)
        if not place:
            raise MemoryError("no room for another snapshot")
        number, self._next = self._next, self._next + 1
        self.snapshots[number] = place
        return number

    def restore(self, number: int) -> None:
        """Goes back to a snapshot."""
        self.library.tms_snapshot_restore(self.reference, ctypes.c_void_p(self.snapshots[number]))

    def drop(self, number: int) -> None:
        """Forgets a snapshot."""
        self.library.tms_snapshot_free(self.reference, ctypes.c_void_p(self.snapshots.pop(number)))

    def share(self) -> Any:
        """The engine for others, such as peripherals: what they change in it is noted."""
        for name, note in (
            ("reg_write", self._changed),
            ("context_restore", self._changed),
            ("mem_write", self._wrote),
        ):
            setattr(self.uc, name, _noting(getattr(self.uc, name), note))
        return self.uc

    def _changed(self) -> None:
        self.state.resync = 1

    def _wrote(self) -> None:
        self.library.tms_all_dirty(self.reference)

    def watches(self, want: int, fault: bool) -> bool:
        """Whether registers have to be followed: for records, for checks of accesses, for faults."""
        return bool(want & ~(lib.WANT_COUNTS | lib.WANT_VISITS) or fault or self.state.traps)

    def go(self, start: int, until: int, limit: int, seconds: float) -> int:
        """Runs; the engine's error."""
        self.state.limit = limit
        self.state.deadline = time.monotonic() + seconds
        self.library.tms_begin(self.reference)
        return int(self.library.tms_go(self.reference, start, until))


def _overlaps(address: int, size: int, taken: list[tuple[int, int]]) -> bool:
    return any(address < end and start < address + size for start, end in taken)


def _noting(method: Callable[..., Any], note: Callable[[], None]) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:
        note()
        return method(*arguments)

    return noted
