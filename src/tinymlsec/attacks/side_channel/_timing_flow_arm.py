"""What Thumb instructions read, write and pass on, for following what depends on the inputs. Capstone reads the bits.

Wherever it leaves something open, more is taken for read than may be, and less for overwritten: then nothing that
depends on the inputs is lost.
"""

from __future__ import annotations

import re
from typing import Any

from tinymlsec.attacks.side_channel._timing_flow_parts import COUNTER, NO_REGISTER, Flow, FlowDecoder, NoInstruction
from tinymlsec.emulate.engine.step import BRANCH, IT, LOAD, NONE, STORE, Step

ZERO_NEGATIVE, CARRY_OVERFLOW, GREATER, FLOAT_FLAGS = (1 << i for i in range(48, 52))
FLAGS = ZERO_NEGATIVE | CARRY_OVERFLOW | GREATER | FLOAT_FLAGS
FLOAT = 16
"""Number of s0; d0 is s0 and s1."""

_ARITHMETIC = frozenset(("add", "sub", "rsb", "adc", "sbc", "cmp", "cmn", "neg"))
"""Write all of N, Z, C and V; others leave C as it was, or V."""
_WITH_CARRY = frozenset(("adc", "sbc", "rrx"))
_ACCUMULATES = re.compile(
    r"[su]mlal\w*|umaal|smlsld\w*|movt|bfi|bfc|v(f?n?ml[as]|f?n?m[as])\w*|vsel\w*|vins\w*|mcr|mrc"
)
"""Read what they write, whatever Capstone says."""
_ZERO_OR_SIGN = ("eq", "ne", "mi", "pl")
_CONDITIONAL = re.compile(r"b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)")
_TO_REGISTER = ("bx", "blx", "bxns", "blxns")
_WRITTEN = 2
"""How Capstone calls an operand that is written and not read."""


def arm_flows(core_operands: frozenset[str]) -> FlowDecoder:
    """A decoder of Thumb instructions.

    Args:
        core_operands: classes of the cycle table whose time depends on operands.
    """
    import capstone
    from capstone import arm

    from tinymlsec.emulate.cycles.decode_arm import arm_decoder
    from tinymlsec.emulate.engine.thumb import thumb_decoder

    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    engine.detail = True
    steps, classes = thumb_decoder(), arm_decoder()

    def decode(address: int, data: bytes) -> Flow:
        found, step = next(engine.disasm(data, address, 1), None), steps(address, data)
        if found is None or step is None:
            raise NoInstruction(address, data)
        varies = classes(address, data).kind in core_operands
        return _Reader(found, step, arm, varies).flow()

    return decode


class _Reader:
    """One instruction."""

    def __init__(self, found: Any, step: Step, arm: Any, varies: bool) -> None:
        self.found, self.step, self.arm, self.varies = found, step, arm, varies
        self.full = str(found.mnemonic).split(".")[0]
        self.name = self.full[:-1] if found.update_flags and self.full.endswith("s") else self.full
        self.registers = [o.reg for o in found.operands if o.type == arm.ARM_OP_REG]

    def flow(self) -> Flow:
        """What it passes on."""
        if self.step.kind & IT:
            return Flow(self.step.size, block=self.step.count, reads=self._condition())
        if self.step.kind & (LOAD | STORE):
            return self._memory()
        return self._computes()

    def bits(self, register: int) -> int:
        """Bits of a register: a core register, or the words of one for real numbers."""
        name = str(self.found.reg_name(register))
        special = {"sp": 1 << 13, "lr": 1 << 14, "sb": 1 << 9, "sl": 1 << 10, "fp": 1 << 11, "ip": 1 << 12}
        if name in special:
            return special[name]
        kind, number = name[:1], name[1:]
        if not number.isdigit():
            return 0
        if kind == "r":
            return 1 << int(number)
        words = {"s": 1, "d": 2}.get(kind, 0)
        first = FLOAT + int(number) * words
        if first + words > FLOAT + 32:  # no core here has more
            raise NoInstruction(int(self.found.address), bytes(self.found.bytes))
        return ((1 << words) - 1) << first

    def _bits(self, registers: Any) -> int:
        found = 0
        for register in registers:
            found |= self.bits(register)
        return found

    def _condition(self) -> int:
        arm, code = self.arm, self.found.cc
        names = {getattr(arm, f"ARM_CC_{name.upper()}") for name in _ZERO_OR_SIGN}
        return ZERO_NEGATIVE if code in names else ZERO_NEGATIVE | CARRY_OVERFLOW

    def _memory(self) -> Flow:
        step = self.step
        base = sum(1 << r for r in {step.base, step.index} if r != NONE)
        back = 1 << step.base if step.base != NONE and step.written >> step.base & 1 else 0
        words = self._words()
        status = 0
        if self.full.startswith(("strex", "stlex")):
            status = self.bits(self.registers[0])
        return Flow(
            step.size, loads=bool(step.kind & LOAD), stores=bool(step.kind & STORE), base=base, partly=back,
            writes=status | (1 << COUNTER if step.kind & BRANCH else 0), width=step.width, words=words,
        )  # fmt: skip

    def _words(self) -> tuple[int, ...]:
        """The register of each transfer, in order of addresses."""
        if self.full in ("tbb", "tbh"):
            return (COUNTER,)
        registers = list(self.registers)
        if self.full.startswith(("ldm", "stm", "vldm", "vstm")) or self.full.startswith(("strex", "stlex")):
            registers = registers[1:]
        found: list[int] = []
        for register in registers:
            bits = self.bits(register)
            found += [i for i in range(64) if bits >> i & 1] or [
                COUNTER if self.found.reg_name(register) == "pc" else NO_REGISTER
            ]
        return tuple(found[: self.step.count])

    def _computes(self) -> Flow:
        reads_listed, writes_listed = self.found.regs_access()
        written = self.step.written | self._bits(writes_listed)
        # whatever Capstone does not take for written alone counts as read
        unsure = [o.reg for o in self.found.operands if o.type == self.arm.ARM_OP_REG and o.access != _WRITTEN]
        reads = self._bits(reads_listed) | self._bits(unsure)
        if _ACCUMULATES.fullmatch(self.full) or _ACCUMULATES.fullmatch(self.name):
            reads |= written
        writes, partly = self._flags(written)
        branch = bool(self.step.kind & BRANCH)
        return Flow(
            self.step.size, reads=self._chosen_by(branch, reads | self._flags_read()), varies=self.varies,
            writes=writes | (1 << COUNTER if branch else 0), partly=partly, chooses=self._chooses(branch),
        )  # fmt: skip

    def _flags_read(self) -> int:
        name = self.full
        if name == "vmrs":
            return FLOAT_FLAGS
        if name == "mrs" or name.startswith("vsel"):
            return FLAGS
        if name == "sel":
            return GREATER
        return CARRY_OVERFLOW if self.name in _WITH_CARRY else 0

    def _flags(self, written: int) -> tuple[int, int]:
        """What is overwritten, and what is changed in part."""
        name = self.full
        if name.startswith("vcmp"):
            return written | FLOAT_FLAGS, 0
        if name == "vmrs":
            flags = ZERO_NEGATIVE | CARRY_OVERFLOW if self.found.update_flags else 0
            return written | flags, 0
        if name in ("msr", "svc", "bkpt"):
            return written, FLAGS
        if self.name in _ARITHMETIC and (self.found.update_flags or self.name in ("cmp", "cmn")):
            return written | ZERO_NEGATIVE | CARRY_OVERFLOW, 0
        if self.name in ("tst", "teq") or (self.found.update_flags and self.name != self.full):
            return written | ZERO_NEGATIVE, CARRY_OVERFLOW
        return written, GREATER if self.found.update_flags else 0

    def _chosen_by(self, branch: bool, reads: int) -> int:
        if branch and _CONDITIONAL.fullmatch(self.full):
            return self._condition()
        return reads

    def _chooses(self, branch: bool) -> bool:
        if not branch:
            return False
        if self.full in ("cbz", "cbnz") or _CONDITIONAL.fullmatch(self.full):
            return True
        return self.full not in ("b", "bl") and (self.full not in _TO_REGISTER or bool(self.registers))
