"""Thumb instructions for the tracer. Capstone reads the bits; what it leaves out is put right here."""

from __future__ import annotations

import re
from typing import Any

from tinymlsec.emulate.engine.step import BRANCH, INVALID, IT, LOAD, NONE, SIGNED, STORE, SYNC, WAITS, Decode, Step

SP, PC = 13, 15
_SINGLE = re.compile(r"(ldr|str|lda|stl)(ex)?(s?)(b|h|d)?t?")
_MANY = re.compile(r"(v?ldm|v?stm|push|pop|vpush|vpop)(ia|db)?")
_JUMPS = ("b", "bl", "blx", "bx", "cbz", "cbnz", "tbb", "tbh", "bxns", "blxns")
_HINTS = ("wfi", "wfe", "yield")
_READS_ALL = ("svc", "bkpt", "udf", "hvc")


def thumb_decoder() -> Decode:
    """A decoder of Thumb instructions of all Cortex-M cores."""
    import capstone
    from capstone import arm

    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    engine.detail = True
    numbers = {getattr(arm, f"ARM_REG_R{i}"): i for i in range(13)}
    numbers |= {arm.ARM_REG_SP: 13, arm.ARM_REG_LR: 14, arm.ARM_REG_PC: 15}

    def decode(address: int, data: bytes) -> Step | None:
        found = next(engine.disasm(data, address, 1), None)
        if found is None:
            return None
        return _Reader(found, numbers, arm).step()

    return decode


class _Reader:
    """One instruction of Capstone's."""

    def __init__(self, found: Any, numbers: dict[int, int], arm: Any) -> None:
        self.found, self.numbers, self.arm = found, numbers, arm
        self.name = self._without_condition()
        self.memory = next((o for o in found.operands if o.type == arm.ARM_OP_MEM), None)
        self.listed = [o.reg for o in found.operands if o.type == arm.ARM_OP_REG]

    def _without_condition(self) -> str:
        """Mnemonic without width and, inside of an IT block, without the condition at its end."""
        name = str(self.found.mnemonic).split(".")[0]
        conditional = self.found.cc not in (0, self.arm.ARM_CC_AL)
        if conditional and name[-2:] in _CONDITIONS and not name.startswith("it"):
            return name[:-2] or name
        return name

    def step(self) -> Step:
        """The instruction."""
        written = self._written()
        many, single = _MANY.fullmatch(self.name), _SINGLE.fullmatch(self.name)
        if many:
            return self._many(many[1], many[2] or "", written)
        if self.name in ("tbb", "tbh"):
            return self._table()
        if self.memory is not None and (single or self.name in ("vldr", "vstr")):
            return self._single(written)
        return self._other(written)

    def _number(self, register: int) -> int:
        return self.numbers.get(register, NONE)

    def _written(self) -> set[int]:
        written = {self._number(r) for r in self.found.regs_access()[1]} - {NONE}
        if self.name in ("push", "pop", "vpush", "vpop"):
            written.add(SP)
        elif self.found.writeback and self.memory is not None:
            written.add(self._number(self.memory.mem.base))
        elif self.found.writeback and self.listed:
            written.add(self._number(self.listed[0]))
        return written

    def _kind(self, written: set[int]) -> int:
        return BRANCH if PC in written or self.name in _JUMPS else 0

    def _many(self, name: str, mode: str, written: set[int]) -> Step:
        load = "ldm" in name or "pop" in name
        stack = "push" in name or "pop" in name
        base = SP if stack else self._number(self.listed[0])
        registers = self.listed if stack else self.listed[1:]
        words = sum(2 if self.found.reg_name(r).startswith("d") else 1 for r in registers)
        down = "push" in name or mode == "db"
        core = [self._number(r) for r in registers if self._number(r) not in (NONE, PC)]
        return Step(
            size=self.found.size,
            kind=self._kind(written) | (LOAD if load else STORE),
            width=4,
            count=words,
            base=base,
            offset=-4 * words if down else 0,
            written=_mask(written),
            first=core[0] if load and core else base if base in written else NONE,
            stored=core[0] if not load and core else NONE,
        )

    def _table(self) -> Step:
        assert self.memory is not None
        half = self.name == "tbh"
        base, offset = self._base(self.memory.mem.base, aligned=False)
        return Step(
            size=self.found.size, kind=BRANCH | LOAD, width=2 if half else 1, base=base,
            index=self._number(self.memory.mem.index), shift=int(half), offset=offset,
        )  # fmt: skip

    def _base(self, register: int, *, aligned: bool) -> tuple[int, int]:
        """Number of a base register and what is added to it; the program counter is known here."""
        number = self._number(register)
        if number != PC:
            return number, 0
        counter = int(self.found.address) + 4
        return NONE, counter & ~3 if aligned else counter

    def _single(self, written: set[int]) -> Step:
        assert self.memory is not None
        mem, name = self.memory.mem, self.name
        load = name.startswith(("ld", "vld"))
        base, offset = self._base(mem.base, aligned=True)
        if not self.found.post_index:
            offset += mem.disp
        width, count = self._width()
        status = 1 if "ex" in name and not load else 0  # strex: the first operand is the status
        core = [self._number(r) for r in self.listed[status:] if self._number(r) not in (NONE, PC)]
        return Step(
            size=self.found.size,
            kind=self._kind(written) | (LOAD if load else STORE),
            width=width,
            count=count,
            base=base,
            index=self._number(mem.index) if mem.index else NONE,
            shift=self.memory.shift.value if self.memory.shift.type == self.arm.ARM_SFT_LSL else 0,
            offset=offset,
            written=_mask(written),
            first=core[0] if load and core else base if base in written else NONE,
            stored=core[0] if not load and core else NONE,
        )

    def _width(self) -> tuple[int, int]:
        if self.name in ("vldr", "vstr"):
            return 4, 2 if self.found.reg_name(self.listed[0]).startswith("d") else 1
        found = _SINGLE.fullmatch(self.name)
        letter = found[4] if found else None
        if letter == "d":
            return 4, 2
        return {"b": 1, "h": 2}.get(letter or "", 4), 1

    def _other(self, written: set[int]) -> Step:
        kind, name, covered = self._kind(written), self.name, 1
        targets = [self._number(r) for r in self.listed if self._number(r) in written - {PC}]
        if name.startswith("it") and name.strip("te") == "i":
            kind |= IT
            covered = len(name) - 1
        if name in _HINTS:
            kind |= WAITS
        if name == "udf":
            kind |= INVALID
        if name in _READS_ALL or name == "msr":
            kind |= SYNC
        divides = name in ("udiv", "sdiv")
        return Step(
            size=self.found.size,
            kind=kind | (SIGNED if name == "sdiv" else 0),
            count=covered,
            written=_mask(written),
            first=targets[0] if targets else 14 if 14 in written else NONE,
            divisor=self._number(self.listed[-1]) if divides else NONE,
        )


_CONDITIONS = frozenset(
    ("eq", "ne", "cs", "hs", "cc", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
)


def _mask(registers: set[int]) -> int:
    return sum(1 << number for number in registers if number < PC)
