"""What single Thumb instructions do to constants in registers: enough to follow how start-up code makes addresses.

What is not decoded makes its likely destination unknown, so that a stale constant is not believed.

Source: Arm Architecture Reference Manual, Armv7-M (DDI 0403), A5.2, A5.3 and A7.7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Known = Mapping[int, int]
"""Register -> constant that it holds."""
Result = tuple[int | None, int | None]
"""(register that is written, its new constant); None for none, and for unknown."""
Literal = Callable[[int], int | None]
"""Distance from the aligned program counter -> the word there."""
Use = tuple[int, int | None, bool]
"""(address, value that is stored, whether it stores)."""


def is_wide(h: int) -> bool:
    """Whether a halfword begins an instruction of two."""
    return h >> 11 in (0b11101, 0b11110, 0b11111)


def leaves(h: int, second: int) -> bool:
    """Whether what comes next in memory is not what runs next: unconditional branches and returns."""
    if is_wide(h):
        branch = h >> 11 == 0b11110 and second & 0xD000 == 0x9000
        return branch or (h == 0xE8BD and bool(second & 0x8000))
    return h >> 11 == 0b11100 or h & 0xFF87 == 0x4700 or h >> 8 == 0xBD


def movw(h: int, second: int) -> tuple[int, int] | None:
    """(register, value) of MOVW; None for anything else."""
    return (second >> 8 & 15, _imm16(h, second)) if h & 0xFBF0 == 0xF240 and not second & 0x8000 else None


def result(h: int, second: int, known: Known, literal: Literal) -> Result:
    """What an instruction writes."""
    return _wide(h, second, known, literal) if is_wide(h) else _short(h, known, literal)


def use(h: int, second: int, known: Known) -> Use | None:
    """What an instruction loads or stores relative to a known register; None for anything else."""
    if is_wide(h):
        return _wide_use(h, second, known)
    if h >> 12 != 6 or (h >> 3 & 7) not in known:
        return None
    store = not h >> 11 & 1
    return known[h >> 3 & 7] + 4 * (h >> 6 & 31), known.get(h & 7) if store else None, store


def _short(h: int, known: Known, literal: Literal) -> Result:
    top = h >> 11
    if top == 0b00000:  # LSLS Rd, Rm, #imm5
        return h & 7, _shifted(known.get(h >> 3 & 7), h >> 6 & 31)
    if h >> 10 == 0b000111:  # ADDS or SUBS Rd, Rn, #imm3
        return h & 7, _sum(known.get(h >> 3 & 7), (h >> 6 & 7) * (-1 if h & 0x200 else 1))
    if top == 0b00100:  # MOVS Rd, #imm8
        return h >> 8 & 7, h & 0xFF
    if top in (0b00110, 0b00111):  # ADDS or SUBS Rdn, #imm8
        return h >> 8 & 7, _sum(known.get(h >> 8 & 7), (h & 0xFF) * (1 if top == 0b00110 else -1))
    if top == 0b01001:
        return h >> 8 & 7, literal(4 * (h & 0xFF))
    if h >> 8 == 0x46:  # MOV Rd, Rm
        return (h & 7) | (h >> 4 & 8), known.get(h >> 3 & 15)
    if _writes_nothing(h):
        return None, None
    return (h >> 8 & 7) if top in (0b10011, 0b10100, 0b10101) else h & 7, None


def _writes_nothing(h: int) -> bool:
    """Compares, tests, stores, branches, hints."""
    top = h >> 11
    compare = top == 0b00101 or h >> 8 == 0x45 or (h >> 8 == 0x42 and h >> 6 & 3 != 1)
    store = top in (0b01100, 0b01110, 0b10000, 0b10010) or h >> 9 in (0b0101000, 0b0101001, 0b0101010)
    return compare or store or h >> 12 in (0xB, 0xD, 0xE)


def _wide(h: int, second: int, known: Known, literal: Literal) -> Result:
    low = movw(h, second)
    if low is not None:
        return low
    register = second >> 8 & 15
    if h & 0xFBF0 == 0xF2C0:  # MOVT
        old = known.get(register)
        return register, None if old is None else (old & 0xFFFF) | _imm16(h, second) << 16
    if h & 0xFBFF == 0xF04F and not second & 0x8000:
        return register, modified_immediate(h, second)
    if h & 0xFBF0 in (0xF100, 0xF1A0) and not second & 0x8000:  # ADD.W, SUB.W with a modified immediate
        value = modified_immediate(h, second)
        return register, _sum(known.get(h & 15), value if h & 0xF0 == 0 else -value)
    if h & 0xFF7F == 0xF85F:
        return second >> 12, literal((second & 0xFFF) * (1 if h & 0x80 else -1))
    if h & 0xFE10 == 0xF800 or h & 0xFE50 == 0xE840:
        return None, None  # stores
    return second >> 12 if h & 0xFE00 == 0xF800 else register, None


def _wide_use(h: int, second: int, known: Known) -> Use | None:
    """STR.W and LDR.W with an offset of 12 bits or of 8 with a sign, and STRD (the first of its words)."""
    if h & 15 not in known:
        return None
    base, source = known[h & 15], second >> 12
    store = not h & 0x10
    value = known.get(source) if store else None
    if h & 0xFFE0 == 0xF8C0:
        return base + (second & 0xFFF), value, store
    if h & 0xFFE0 == 0xF840 and second & 0x0C00 == 0x0C00:
        return base + (second & 0xFF) * (1 if second & 0x200 else -1), value, store
    if h & 0xFF50 == 0xE940 and store:
        return base + 4 * (second & 0xFF) * (1 if h & 0x80 else -1), value, True
    return None


def modified_immediate(h: int, second: int) -> int:
    """The constant that data-processing instructions spell in 12 bits (ThumbExpandImm)."""
    byte, form = second & 0xFF, (h >> 10 & 1) << 3 | second >> 12 & 7
    if form < 4:
        return byte * (1, 0x00010001, 0x01000100, 0x01010101)[form]
    turn = form << 1 | byte >> 7
    value = 0x80 | byte & 0x7F
    return (value >> turn | value << (32 - turn)) & 0xFFFFFFFF


def _imm16(h: int, second: int) -> int:
    return (h & 15) << 12 | (h >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF


def _sum(value: int | None, other: int) -> int | None:
    return None if value is None else (value + other) & 0xFFFFFFFF


def _shifted(value: int | None, count: int) -> int | None:
    return None if value is None else value << count & 0xFFFFFFFF
