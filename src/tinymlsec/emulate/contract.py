"""What the parts of `emulate` hand to each other: cores, windows, probes, faults and results of runs.

Plain frozen data without behavior, so that generator, toolchain, engine, cycle model and finder know each other only by
these records. Addresses are byte addresses without the Thumb bit; arrays are NumPy arrays of the stated dtype.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray


class Fidelity(StrEnum):
    """How far emulation stands for the core of a device."""

    NATIVE = "native"
    APPROXIMATED = "approximated"
    """Built and run for a related instruction set, named in the reason."""
    NONE = "none"
    """No engine: firmware attacks are skipped with the reason."""


@dataclass(frozen=True)
class Core:
    """One processor core that firmware is built for and emulated on."""

    id: str
    """cortex-m0plus, cortex-m3, cortex-m4, cortex-m4f, cortex-m7, cortex-m33 or rv32imc."""
    title: str
    machine: Literal["arm", "riscv32"]
    zig_target: str
    zig_cpu: str
    gcc_flags: tuple[str, ...]
    """Empty where no gcc for it is looked for."""
    unicorn_cpu: str
    """Name of the engine's processor model, such as UC_CPU_ARM_CORTEX_M4."""
    dsp: bool = False
    """SMLAD, SXTB16 and the like."""
    hard_float: bool = False
    divides: bool = True
    """Has a divide instruction."""
    unaligned: bool = True
    """Unaligned words and halfwords are read and written rather than refused."""


@dataclass(frozen=True)
class Region:
    """One memory of the device as firmware sees it."""

    name: str
    address: int
    size: int
    """bytes"""
    access: str
    """Any of r, w and x; flash is rx."""


@dataclass(frozen=True)
class MemoryMap:
    """Memories of a device, and whether their addresses are the device's own."""

    regions: tuple[Region, ...]
    source: str
    """Where the addresses come from, for reports."""


@dataclass(frozen=True)
class Window:
    """What part of the code runs.

    From `start`, entered with `arguments` in the argument registers, until the function returns, or until `stop` is
    reached for the `hit`-th time. Addresses are without the Thumb bit.
    """

    name: str
    """op:<n>, op:<n>@<y>,<x>,<c0>:<c1>, <symbol>[#call] or pc:<from>-<to>#<hit>."""
    start: int | None
    """None: goes on where the core stands; then `stop` is needed."""
    arguments: tuple[int, ...] = ()
    stop: int | None = None
    """Address at which the run ends; None: on return from the function at `start`."""
    hit: int = 1


@dataclass(frozen=True)
class FlashLines:
    """Caches in front of a flash, whose misses a run counts: least recently used lines, two caches of sets and ways."""

    base: int
    """First address of the flash."""
    size: int
    """bytes"""
    line_bytes: int
    """Of one read of the array; a power of two."""
    code: tuple[int, int]
    """Sets and ways of the cache for instructions; 0 ways: only the line read last is kept."""
    data: tuple[int, int]
    """Sets and ways of the cache for data."""


@dataclass(frozen=True)
class Probe:
    """What a run records. Nothing is recorded that is not asked for."""

    registers: bool = False
    """Hamming weight and distance of every destination register, a write of the same value included."""
    bus: bool = False
    """Hamming weight and distance of data that was loaded and stored: the bytes that cross, zero-extended to a word."""
    values: bool = False
    """The value of the (first) destination register and the word on the bus, in full."""
    addresses: bool = False
    """Address of every data access."""
    ranges: tuple[tuple[int, int], ...] = ()
    """[from, to) addresses of instructions that are recorded; empty for all."""
    counts: bool = False
    """How often each instruction ran (coverage, cycles); cheap, without records."""
    visits: tuple[int, ...] = ()
    """Addresses at which the registers of the core are noted each time they are reached."""
    flash: FlashLines | None = None
    """Count the lines that are read from the flash array, with caches that are empty when the run begins."""
    limit: int = 1 << 22
    """Most records of one run; more is an error that says so."""


RECORD = np.dtype(
    [
        ("pc", "<u4"),
        ("value", "<u4"),
        ("bus", "<u4"),
        ("address", "<u4"),
        ("hd", "<u2"),
        ("hw", "<u2"),
        ("bus_hd", "<u2"),
        ("bus_hw", "<u2"),
        ("flags", "<u4"),
    ]
)
"""One executed instruction: 28 bytes. Fields that the probe did not ask for are 0. Of several destination registers and
of several words on the bus, weights and distances are sums; value and bus are the first. flags: `READS`, `WRITES`,
`FAILED` (condition failed: counted, nothing written), `TAKEN` (branch), `PERIPHERAL` (no memory at that address: the
word of a load is what arrived in the register)."""

READS, WRITES, FAILED, TAKEN, PERIPHERAL = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Fault:
    """One fault that is injected while a window runs.

    Kinds: `skip` (the instruction is not executed), `register` (mask is xored into register `where` before it),
    `memory` (mask is xored into the byte at address `where` before it), `fetch` (mask is xored into the instruction's
    bits for this execution).
    """

    kind: Literal["skip", "register", "memory", "fetch"]
    index: int
    """Dynamic number of the instruction in the window, from 0."""
    mask: int = 0
    where: int = 0
    address: int | None = None
    """Static address the instruction is expected at, checked where given."""


class RunEnd(StrEnum):
    """Why a run ended."""

    DONE = "done"
    FAULT = "fault"
    TIMEOUT = "timeout"
    """The limit of instructions or seconds."""
    DETECTED = "detected"
    """tms_detected was called."""


@dataclass(frozen=True)
class EmulationFault:
    """Where emulated firmware died, and why."""

    kind: str
    """unmapped read, write to flash, jump into the void, undefined instruction, division by zero, ..."""
    pc: int
    symbol: str = ""
    line: str = ""
    """file:line where the image tells."""
    access: str = ""
    """read, write or fetch with the address that was touched."""
    region: str = ""
    """Name of the memory that was touched, or 'none'."""
    last: tuple[int, ...] = ()
    """Addresses of the last 16 instructions, oldest first."""


@dataclass(frozen=True)
class RunResult:
    """What came of one run."""

    end: RunEnd
    instructions: int
    records: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, RECORD))
    """(t,) of `RECORD`"""
    counts: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """address -> (executed, of these taken or condition failed)"""
    flash_reads: tuple[int, int] | None = None
    """Lines read from the flash array, for instructions and for data."""
    visits: NDArray[np.uint32] = field(default_factory=lambda: np.zeros((0, 18), np.uint32))
    """(n, 2 + registers): number of the instruction, its address, r0 to r15 (Arm) or x0 to x31 (RISC-V)."""
    zero_divisions: int = 0
    """Divisions by zero that gave a value, because the core was not told to trap them; only counted with a probe."""
    fault: EmulationFault | None = None
    detected: int | None = None
    """Code handed to tms_detected."""
    value: int = 0
    """First return register."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Behavior:
    """What the core does where firmware goes wrong. None: as the firmware sets the core's control registers."""

    divide_by_zero_traps: bool | None = None
    """Cortex-M: CCR.DIV_0_TRP. Without it (the state after reset) a division by zero gives zero."""
    unaligned_traps: bool | None = None
    """Cortex-M: CCR.UNALIGN_TRP. Armv6-M always traps."""
    mpu: bool = True
    """Accesses are held against the regions of the memory protection unit that the firmware has set up (PMSAv7)."""


@dataclass(frozen=True)
class Campaign:
    """What came of many runs of one window."""

    samples: Mapping[str, NDArray[np.unsignedinteger]]
    """By what was taken: (n, t)."""
    outputs: tuple[NDArray[np.uint8], ...]
    """Per memory that was read after each run: (n, bytes)."""
    ends: NDArray[np.uint8]
    """(n,) index of the `RunEnd` in order of its members."""
    lengths: NDArray[np.uint32]
    """(n,) records that each run made, which may be more or fewer than t."""
    instructions: NDArray[np.uint64]
    """(n,)"""
    pcs: NDArray[np.uint32]
    """(t,) addresses of the first run's records."""
    seconds: float = 0.0
