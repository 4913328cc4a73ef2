"""RV32IMC instructions as the cycle model sees them, from their bits: the instruction set is small enough."""

from __future__ import annotations

from tinymlsec.emulate.cycles.instruction import EMPTY, Decoder, Instruction, unknown

_RA, _SP = 1, 2


def riscv_decoder() -> Decoder:
    """A decoder of RV32IMC instructions."""

    def decode(address: int, data: bytes) -> Instruction:
        if len(data) < 2 or data[:2] == b"\0\0":
            raise unknown(address, data)
        half = int.from_bytes(data[:2], "little")
        if half & 3 != 3:
            return _short(address, half, data)
        if len(data) < 4 or half & 0x1C == 0x1C:
            raise unknown(address, data)
        return _long(address, int.from_bytes(data[:4], "little"), data)

    return decode


def _set(*registers: int) -> frozenset[int]:
    """Registers without x0, which is neither written nor waited for."""
    return frozenset(registers) - {0}


def _long(address: int, word: int, data: bytes) -> Instruction:
    """An instruction of 32 bits."""
    opcode, function = word >> 2 & 0x1F, word >> 12 & 7
    target, first, second = word >> 7 & 31, word >> 15 & 31, word >> 20 & 31
    if opcode == 0x00:
        return Instruction(address, 4, "load", 1, _set(first), _set(target), _set(first))
    if opcode == 0x08:
        return Instruction(address, 4, "store", 1, _set(first, second), EMPTY, _set(first))
    if opcode == 0x18:
        return Instruction(address, 4, "branch", reads=_set(first, second))
    if opcode in (0x19, 0x1B):
        kind = "call" if target else "jump"
        return Instruction(
            address, 4, kind, reads=_set(first) if opcode == 0x19 else EMPTY, writes=_set(target), always_taken=True
        )
    if opcode in (0x03, 0x1C):
        return Instruction(address, 4, "barrier" if opcode == 0x03 else "system", writes=_set(target))
    if opcode in (0x05, 0x0D):
        return Instruction(address, 4, "alu", writes=_set(target))
    if opcode == 0x04:
        return Instruction(address, 4, "alu", reads=_set(first), writes=_set(target))
    if opcode == 0x0C:
        multiplies = word >> 25 == 1
        kind = ("multiply" if function == 0 else "multiply_long" if function < 4 else "divide") if multiplies else "alu"
        return Instruction(address, 4, kind, reads=_set(first, second), writes=_set(target))
    raise unknown(address, data)


def _short(address: int, half: int, data: bytes) -> Instruction:
    """A compressed instruction of 16 bits."""
    quadrant, function = half & 3, half >> 13
    target, second = half >> 7 & 31, half >> 2 & 31
    low_first, low_second = 8 + (half >> 7 & 7), 8 + (half >> 2 & 7)
    if quadrant == 0:
        if function == 0:
            return Instruction(address, 2, "alu", reads=_set(_SP), writes=_set(low_second))
        if function == 2:
            return Instruction(address, 2, "load", 1, _set(low_first), _set(low_second), _set(low_first))
        if function == 6:
            return Instruction(address, 2, "store", 1, _set(low_first, low_second), EMPTY, _set(low_first))
        raise unknown(address, data)
    if quadrant == 1:
        return _short_arithmetic(address, half)
    if function == 0:
        return Instruction(address, 2, "alu", reads=_set(target), writes=_set(target))
    if function == 2:
        return Instruction(address, 2, "load", 1, _set(_SP), _set(target), _set(_SP))
    if function == 6:
        return Instruction(address, 2, "store", 1, _set(_SP, second), EMPTY, _set(_SP))
    if function == 4:
        return _short_register(address, half, target, second)
    raise unknown(address, data)


def _short_arithmetic(address: int, half: int) -> Instruction:
    """Quadrant 1: constants, arithmetic, jumps and branches relative to the program counter."""
    function, target = half >> 13, half >> 7 & 31
    low_first, low_second = 8 + (half >> 7 & 7), 8 + (half >> 2 & 7)
    if function in (1, 5):
        writes = _set(_RA) if function == 1 else EMPTY
        return Instruction(address, 2, "call" if function == 1 else "jump", writes=writes, always_taken=True)
    if function in (6, 7):
        return Instruction(address, 2, "branch", reads=_set(low_first))
    if function == 4:
        both = half >> 10 & 3 == 3
        reads = _set(low_first, low_second) if both else _set(low_first)
        return Instruction(address, 2, "alu", reads=reads, writes=_set(low_first))
    return Instruction(address, 2, "alu", reads=_set(target) if function in (0, 3) else EMPTY, writes=_set(target))


def _short_register(address: int, half: int, target: int, second: int) -> Instruction:
    """Quadrant 2, function 4: moves, additions and jumps to a register."""
    adds = bool(half >> 12 & 1)
    if second:
        return Instruction(address, 2, "alu", reads=_set(second, target if adds else 0), writes=_set(target))
    if not target:
        return Instruction(address, 2, "system")
    kind = "call" if adds else "jump"
    return Instruction(address, 2, kind, reads=_set(target), writes=_set(_RA) if adds else EMPTY, always_taken=True)
