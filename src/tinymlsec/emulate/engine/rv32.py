"""RV32IMC instructions for the tracer, from their bits (The RISC-V Instruction Set Manual, volume I)."""

from __future__ import annotations

from tinymlsec.emulate.engine.step import BRANCH, LOAD, NONE, SIGNED, STORE, SYNC, WAITS, Decode, Step

_RA, _SP = 1, 2
_WFI = 0x10500073


def rv32_decoder() -> Decode:
    """A decoder of RV32IMC instructions; what it does not know (floating point, atomics) has no memory access."""

    def decode(address: int, data: bytes) -> Step | None:
        if len(data) < 2 or data[:2] == b"\0\0":
            return None
        half = int.from_bytes(data[:2], "little")
        if half & 3 != 3:
            return _short(half)
        return _long(int.from_bytes(data[:4], "little")) if len(data) == 4 else None

    return decode


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def _writes(target: int) -> dict[str, int]:
    return {"written": 1 << target, "first": target} if target else {}


def _load(size: int, width: int, base: int, offset: int, target: int) -> Step:
    return Step(size, LOAD, width, base=base, offset=offset, **_writes(target))


def _store(size: int, width: int, base: int, offset: int, source: int) -> Step:
    return Step(size, STORE, width, base=base, offset=offset, stored=source)


def _long(word: int) -> Step:
    opcode, function = word >> 2 & 31, word >> 12 & 7
    target, first, second = word >> 7 & 31, word >> 15 & 31, word >> 20 & 31
    if opcode == 0x00:
        return _load(4, 1 << (function & 3), first, _signed(word >> 20, 12), target)
    if opcode == 0x08:
        offset = _signed(word >> 25 << 5 | target, 12)
        return _store(4, 1 << (function & 3), first, offset, second)
    if opcode == 0x18:
        return Step(4, BRANCH)
    if opcode in (0x19, 0x1B):
        return Step(4, BRANCH, **_writes(target))
    if opcode in (0x04, 0x05, 0x0D):
        return Step(4, 0, **_writes(target))
    if opcode == 0x0C:
        divides = word >> 25 == 1 and function >= 4
        signed = SIGNED if function in (4, 6) else 0
        return Step(4, signed if divides else 0, divisor=second if divides else NONE, **_writes(target))
    if opcode == 0x1C and function:
        return Step(4, 0, **_writes(target))
    if word == _WFI:
        return Step(4, WAITS)
    return Step(4, SYNC | (BRANCH if opcode == 0x1C else 0))


def _bits(word: int, *places: tuple[int, int]) -> int:
    """Bits of a word put together: (bit of the word, bit of the result)."""
    return sum((word >> source & 1) << target for source, target in places)


def _short(half: int) -> Step | None:
    quadrant, function = half & 3, half >> 13
    low = 8 + (half >> 2 & 7)
    base = 8 + (half >> 7 & 7)
    if quadrant == 0:
        offset = _bits(half, (5, 6), (6, 2), (10, 3), (11, 4), (12, 5))
        if function == 0:
            return Step(2, 0, **_writes(low))
        if function == 2:
            return _load(2, 4, base, offset, low)
        return _store(2, 4, base, offset, low) if function == 6 else None
    if quadrant == 1:
        return _arithmetic(half, function)
    return _stack(half, function)


def _arithmetic(half: int, function: int) -> Step:
    target, low = half >> 7 & 31, 8 + (half >> 7 & 7)
    if function in (1, 5):
        return Step(2, BRANCH, **(_writes(_RA) if function == 1 else {}))
    if function in (6, 7):
        return Step(2, BRANCH)
    return Step(2, 0, **_writes(low if function == 4 else target))


def _stack(half: int, function: int) -> Step | None:
    target, second = half >> 7 & 31, half >> 2 & 31
    if function == 0:
        return Step(2, 0, **_writes(target))
    if function == 2:
        offset = _bits(half, (2, 6), (3, 7), (4, 2), (5, 3), (6, 4), (12, 5))
        return _load(2, 4, _SP, offset, target)
    if function == 6:
        offset = _bits(half, (7, 6), (8, 7), (9, 2), (10, 3), (11, 4), (12, 5))
        return _store(2, 4, _SP, offset, second)
    if function != 4:
        return None
    if second:
        return Step(2, 0, **_writes(target))
    if not target:
        return Step(2, SYNC | BRANCH)  # ebreak
    return Step(2, BRANCH, **(_writes(_RA) if half >> 12 & 1 else {}))
