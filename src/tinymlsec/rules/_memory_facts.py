"""Facts of an image about memory and isolation: what protects a stack, a region, a world, and what does not.

Symbols decide where there are any; a stripped image is judged by its code alone, and what that cannot tell is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tinymlsec.rules._canaries import guarded_functions
from tinymlsec.rules._thumb import Access, Code

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage, Segment

SRAM = range(0x2000_0000, 0x4000_0000)
"""Where the address map of Armv7-M and Armv8-M has RAM (DDI 0403, B3.1)."""
MPU_CTRL, MPU_REGISTERS = 0xE000ED94, range(0xE000ED94, 0xE000EDC8)
SAU_REGISTERS = range(0xE000EDD0, 0xE000EDEC)
VTOR, DEMCR = 0xE000ED08, 0xE000EDFC
UNBOUNDED = ("gets", "strcpy", "stpcpy", "strcat", "sprintf", "vsprintf", "scanf", "sscanf", "vsscanf", "alloca")
ALLOCATORS = (
    "malloc", "_malloc_r", "_sbrk", "sbrk", "pvPortMalloc", "k_malloc", "tx_byte_allocate", "heap_caps_malloc",
    "operator new",
)  # fmt: skip
CANARIES = ("__stack_chk_fail", "__stack_smash_handler", "__stack_chk_fail_local")
_CANARY_TEXT = (b"stack smashing detected", b"Stack smashing protect failure")
MAX_CALLS = 4_096
"""Breakpoints that are looked at."""
SEMIHOSTING = 0xBEAB
"""BKPT 0xAB."""
_PATTERN_MIN = 3
"""Functions that must load one and the same guard for a stripped image to count as guarded."""


@dataclass(frozen=True)
class MemoryFacts:
    """What one image says. True and False are found; None is not to be told."""

    arm: bool
    symbols: bool
    architecture: str
    canaries: bool | None
    canary_reason: str
    fortified: bool
    mpu: bool | None
    """The code enables a memory protection unit (MPU_CTRL), or on RISC-V writes PMP configuration."""
    mpu_at: int | None
    sau: bool | None
    """The code configures the security attribution unit (Armv8-M)."""
    gateways: int
    """Secure gateway instructions (SG)."""
    stack_limit: bool | None
    """The code sets MSPLIM or PSPLIM (Armv8-M)."""
    unprivileged: bool | None
    """The code writes CONTROL, as every kernel does that runs threads unprivileged or on their own stack."""
    vector_base: tuple[int, int] | None
    """(address that is stored into VTOR, where), if it is a constant."""
    semihosting: tuple[int, ...]
    """Addresses of semihosting calls."""
    initial_sp: int | None
    data_below_stack: int | None
    """Highest end of variables that lie below the initial stack pointer in its memory."""
    writable_code: tuple[tuple[int, int], ...]
    """[start, end) in RAM that the file marks as writable and executable."""
    unbounded: tuple[tuple[str, int], ...] = ()
    """(name, address) of functions that write without a bound."""
    allocators: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values for a report."""
        return {
            "symbols": self.symbols, "architecture": self.architecture, "stack_canaries": self.canaries,
            "stack_canaries_reason": self.canary_reason, "fortify": self.fortified, "mpu_enabled": self.mpu,
            "sau_configured": self.sau, "secure_gateways": self.gateways, "stack_limit": self.stack_limit,
            "control_written": self.unprivileged, "vector_table_moved_to": self.vector_base and self.vector_base[0],
            "semihosting_calls": len(self.semihosting), "initial_sp": self.initial_sp,
            "data_below_stack": self.data_below_stack, "writable_code": [list(r) for r in self.writable_code],
            "unbounded_functions": [name for name, _ in self.unbounded], "allocators": list(self.allocators),
        }  # fmt: skip


def memory_facts(image: FirmwareImage, names: frozenset[str] | None = None) -> MemoryFacts:
    """Everything at once; the code is looked at once.

    Args:
        image: any.
        names: short names of its symbols, where they are known.
    """
    return _Look(image, names_of(image) if names is None else names).facts()


def names_of(image: FirmwareImage) -> frozenset[str]:
    """Short names of all symbols."""
    return frozenset(symbol.short for symbol in image.all_symbols)


class _Look:
    def __init__(self, image: FirmwareImage, names: frozenset[str]) -> None:
        self.image, self.names = image, names
        self.arm = image.machine == "arm"
        self.code = [Code(start, data) for start, data in self._code()] if self.arm else []

    def _code(self) -> Iterator[tuple[int, bytes]]:
        """(address at run time, bytes) of what may run."""
        for s in self.image.segments:
            if "x" in s.access and s.data:
                yield s.virtual_address, s.data

    @cached_property
    def accesses(self) -> list[Access]:
        return [access for code in self.code for access in code.accesses()]

    def facts(self) -> MemoryFacts:
        canaries, reason = self._canaries()
        mpu, mpu_at = self._mpu()
        sp = self._stack()
        return MemoryFacts(
            arm=self.arm, symbols=bool(self.names), architecture=self.image.architecture,
            canaries=canaries, canary_reason=reason,
            fortified=any(n.endswith("_chk") and n[:2] == "__" for n in self.names),
            mpu=mpu, mpu_at=mpu_at, sau=self._written(SAU_REGISTERS) if self.arm else None,
            gateways=self._count(0xE97F, 0xE97F), stack_limit=self._stack_limit(),
            unprivileged=self._any(0xF380, 0x8814, mask=0xFFF0) if self.arm else None,
            vector_base=self._vector_base(), semihosting=self._semihosting(), initial_sp=sp,
            data_below_stack=self._below(sp), writable_code=tuple(self._writable_code()),
            unbounded=tuple(self._unbounded()), allocators=tuple(n for n in ALLOCATORS if n in self.names),
        )  # fmt: skip

    def _canaries(self) -> tuple[bool | None, str]:
        found = next((name for name in CANARIES if name in self.names), None)
        if found:
            return True, f"the symbol {found}"
        for s in self.image.segments:
            text = next((t for t in _CANARY_TEXT if t in s.data), None)
            if text:
                return True, f'the text "{text.decode()}"'
        if self.names:
            return False, "no symbol of a stack protector among the file's symbols"
        if not self.arm:
            return None, "no symbols, and no pattern is known for this machine"
        guards = max((guarded_functions(code) for code in self.code), default=0)
        if guards >= _PATTERN_MIN:
            return True, f"{guards} functions guard their frame with one and the same word"
        return None, "no symbols, and no word that several functions guard their frame with"

    def _mpu(self) -> tuple[bool | None, int | None]:
        if self.arm:
            at = next((a.at for a in self.accesses if a.store and a.register == MPU_CTRL and a.value != 0), None)
            return at is not None, at
        if self.image.machine == "riscv32":
            at = self._pmp()
            return at is not None, at
        return None, None

    def _pmp(self) -> int | None:
        """A CSR instruction that writes PMP configuration or addresses (0x3A0 to 0x3EF)."""
        for start, data in self._code():
            half = np.frombuffer(data, "<u2", len(data) // 2).astype(np.uint32)
            words = half[:-1] | half[1:] << np.uint32(16)
            csr = words >> np.uint32(20)
            hit = (words & 0x7F == 0x73) & (words & 0x3000 != 0) & (csr >= 0x3A0) & (csr < 0x3F0)
            if hit.any():
                return start + 2 * int(np.flatnonzero(hit)[0])
        return None

    def _written(self, registers: range) -> bool:
        return any(a.store and a.register in registers for a in self.accesses)

    def _count(self, first: int, second: int) -> int:
        return sum(len(code.count(first, second)) for code in self.code)

    def _any(self, first: int, second: int, mask: int = 0xFFFF) -> bool:
        return any(len(code.count(first, second, mask)) for code in self.code)

    def _stack_limit(self) -> bool | None:
        """MSR MSPLIM or PSPLIM."""
        if not self.arm:
            return None
        return any(self._any(0xF380, 0x8800 | register, mask=0xFFF0) for register in (10, 11))

    def _vector_base(self) -> tuple[int, int] | None:
        stores = [a for a in self.accesses if a.store and a.register == VTOR and a.value is not None]
        return next(((a.value, a.at) for a in stores if a.value is not None), None)

    def _semihosting(self) -> tuple[int, ...]:
        """BKPT 0xAB behind an operation number in r0, or a named function that does nothing else."""
        found: list[int] = []
        for code in self.code:
            for at in code.count(SEMIHOSTING).tolist()[:MAX_CALLS]:
                before = code.half[max(at - 6, 0) : at].tolist()
                number = any(h >> 8 == 0x20 and 1 <= h & 0xFF <= 0x31 for h in before)
                short = at + 1 < len(code.half) and code.half[at + 1] in (0x4770, 0xBD80, 0xBD10)
                if number or short:
                    found.append(code.address + 2 * at)
        return tuple(found[:64])

    def _stack(self) -> int | None:
        vectors = self.image.vectors
        return vectors.initial_sp if vectors is not None and vectors.plausible else None

    def _below(self, sp: int | None) -> int | None:
        """Highest end of variables under the stack, in the same 1 MiB; what holds the stack itself is none."""
        if sp is None:
            return None
        used = self._variables()
        low = min((start for start, end in used if start < sp <= end), default=sp)
        return max((end for start, end in used if start < end <= low and sp - end < 1 << 20), default=None)

    def _variables(self) -> list[tuple[int, int]]:
        """[start, end) of what the file puts into RAM, by section where it has any."""
        segments = [(s.virtual_address, s.virtual_end) for s in self.image.segments if _in_ram(s)]
        sections = [(s.address, s.address + s.size) for s in self.image.sections if "a" in s.flags and s.size]
        inside = [(a, b) for a, b in sections if any(start <= a and b <= end for start, end in segments)]
        return inside or segments

    def _writable_code(self) -> Iterator[tuple[int, int]]:
        for s in self.image.segments:
            if self.image.kind == "elf" and {"w", "x"} <= set(s.access) and _in_ram(s):
                yield s.virtual_address, s.virtual_end

    def _unbounded(self) -> Iterator[tuple[str, int]]:
        for symbol in self.image.all_symbols:
            if symbol.kind == "function" and symbol.name.lstrip("_") in UNBOUNDED:
                yield symbol.name.lstrip("_"), symbol.address


def _in_ram(s: Segment) -> bool:
    """In the map's RAM, or elsewhere if it is written and either zeroed or copied there (core-coupled RAM, RISC-V)."""
    if s.virtual_address in SRAM:
        return True
    return "w" in s.access and (not s.data or s.virtual_address != s.address)
