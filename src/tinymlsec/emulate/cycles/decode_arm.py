"""Thumb instructions of the Cortex-M cores as the cycle model sees them. Capstone reads the bits."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tinymlsec.emulate.cycles.instruction import BRANCHES, EMPTY, Decoder, Instruction, unknown

_PATTERNS = (
    ("it", r"it[te]{0,3}"),
    ("table_branch", r"tb[bh]"),
    ("call", r"bl"),
    ("branch", r"cbn?z|b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)"),
    ("jump", r"b|bl?x(ns)?"),
    ("barrier", r"dmb|dsb|isb|csdb|ssbb"),
    ("system", r"mrs|msr|cps\w*|svc|bkpt|wfi|wfe|sev|udf|clrex|vmrs|vmsr|tt[at]*"),
    ("divide", r"[su]div"),
    ("float_divide", r"vdiv|vsqrt"),
    ("float_accumulate", r"vf?n?ml[as]|vf?n?m[as]"),
    ("load_many", r"ldm\w*|pop|vldm\w*|vpop|ldrd|vldr"),
    ("store_many", r"stm\w*|push|vstm\w*|vpush|strd|vstr"),
    ("load", r"ldr\w*|ldrex\w*|lda\w*"),
    ("store", r"str\w*|stl\w*"),
    ("float", r"v\w+"),
    ("multiply_accumulate", r"ml[as]"),
    ("accumulate_long", r"[su]mlal|umaal"),
    ("multiply_long", r"[su]mull"),
    ("multiply", r"muls?"),
    ("dsp", r"smla\w+|smls\w+|smul\w+|smua\w+|smus\w+|smm\w+|[su]xta?b16|[suq]h?(add|sub|asx|sax)(8|16)?|uq\w+|uh\w+"
            r"|sh\w+|s(add|sub|asx|sax)\w*|u(add|sub|asx|sax)\w*|q(add|sub|dadd|dsub|asx|sax)\w*|sel|usada?8|pkh\w+"
            r"|[su]sat16"),
)  # fmt: skip
_CLASSES = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


@cache
def _kind(mnemonic: str) -> str:
    """The class of a mnemonic; whatever is no memory access, branch or multiplication computes."""
    name = mnemonic.split(".")[0]
    return next((kind for kind, pattern in _CLASSES if pattern.fullmatch(name)), "alu")


def _words(engine: Any, registers: list[int]) -> int:
    """Words that a list of registers takes: registers of double precision take two."""
    return sum(2 if engine.reg_name(register).startswith("d") else 1 for register in registers)


def arm_decoder() -> Decoder:
    """A decoder of Thumb instructions, those of Armv8-M included."""
    import capstone
    from capstone import arm

    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    engine.detail = True
    counter = arm.ARM_REG_PC

    def decode(address: int, data: bytes) -> Instruction:
        found = next(engine.disasm(data, address, 1), None)
        if found is None:
            raise unknown(address, data)
        kind = _kind(found.mnemonic)
        reads, writes = (frozenset(registers) for registers in found.regs_access())
        memory = next((each.mem for each in found.operands if each.type == arm.ARM_OP_MEM), None)
        listed = [each.reg for each in found.operands if each.type == arm.ARM_OP_REG]
        parts = frozenset((memory.base, memory.index)) - {0} if memory is not None else EMPTY
        transfers = 0
        if kind in ("load_many", "store_many"):
            based = found.mnemonic.startswith(("ldm", "stm", "vldm", "vstm"))  # these list their base as well
            transfers = _words(engine, listed[1:] if based else listed)
            parts = parts or frozenset(listed[:1] if based else (arm.ARM_REG_SP,))
        elif kind == "store" and memory is not None and memory.index:
            kind = "store_register"
        to_counter = counter in writes and kind not in BRANCHES
        return Instruction(
            address=address,
            size=found.size,
            kind=kind,
            transfers=transfers,
            reads=reads,
            writes=writes,
            address_registers=parts - {counter},
            literal=memory is not None and memory.base == counter and kind in ("load", "load_many"),
            always_taken=to_counter or kind in ("jump", "call", "table_branch"),
            from_memory=to_counter and kind in ("load", "load_many"),
            block=len(found.mnemonic) - 1 if kind == "it" else 0,
        )

    return decode
