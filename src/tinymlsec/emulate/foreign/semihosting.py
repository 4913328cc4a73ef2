"""Semihosting: firmware asks its debugger to print or to end, by a breakpoint instruction.

Source: Arm, "Semihosting for AArch32 and AArch64"; RISC-V International, "RISC-V Semihosting". Only what prints and
ends is done; opening any file gives a console, and everything else fails as a debugger without files would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinymlsec.emulate.foreign.peek import read_or_nothing, text_at

MAX_TEXT = 4096
"""Most bytes of one request."""
OPEN, CLOSE, WRITEC, WRITE0, WRITE, READ, ISTTY = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x09
EXIT, EXIT_EXTENDED, CLOCK, TIME = 0x18, 0x20, 0x10, 0x11
APPLICATION_EXIT = 0x20026
_ARM_BREAKPOINT = 0xBEAB
_RISCV_SEQUENCE = bytes.fromhex("1310f001 73001000 13507040")
"""slli x0, x0, 0x1f; ebreak; srai x0, x0, 7"""


class Semihosting:
    """Answers requests on an engine.

    Args:
        uc: the engine, before it runs.
        arm: an Arm core; else RISC-V.
        collect: takes a name and text.
        exited: takes the code that the firmware ends with.
    """

    def __init__(
        self, uc: Any, arm: bool, collect: Callable[[str, bytes], None], exited: Callable[[int], None]
    ) -> None:
        from unicorn import UC_HOOK_INSN_INVALID, UC_HOOK_INTR

        self.arm, self.collect, self.exited = arm, collect, exited
        self.answered = False
        """A request was answered that has ended the engine; firmware can go on."""
        self._hooks = (self._interrupt, self._invalid)
        uc.hook_add(UC_HOOK_INTR, self._hooks[0])
        if not arm:
            uc.hook_add(UC_HOOK_INSN_INVALID, self._hooks[1])

    def _invalid(self, uc: Any, data: Any) -> bool:
        """The engine takes EBREAK for an undefined instruction, and does not go on behind one."""
        from unicorn.riscv_const import UC_RISCV_REG_PC

        if self._is_request(uc, uc.reg_read(UC_RISCV_REG_PC)):
            self._interrupt(uc, 0, data)
            self.answered = True
        return False

    def _interrupt(self, uc: Any, number: int, data: Any) -> None:
        from unicorn import arm_const as a
        from unicorn import riscv_const as r

        operation, argument, counter = (
            (a.UC_ARM_REG_R0, a.UC_ARM_REG_R1, a.UC_ARM_REG_PC)
            if self.arm
            else (r.UC_RISCV_REG_A0, r.UC_RISCV_REG_A1, r.UC_RISCV_REG_PC)
        )
        at = uc.reg_read(counter)
        if not self._is_request(uc, at):
            uc.emu_stop()
            return
        uc.reg_write(operation, self._answer(uc, uc.reg_read(operation), uc.reg_read(argument)) & 0xFFFFFFFF)
        uc.reg_write(counter, at + 2 | 1 if self.arm else at + 4)

    def _is_request(self, uc: Any, at: int) -> bool:
        if self.arm:
            return int.from_bytes(read_or_nothing(uc, at, 2), "little") == _ARM_BREAKPOINT
        return read_or_nothing(uc, at - 4, 12) == _RISCV_SEQUENCE

    def _answer(self, uc: Any, operation: int, argument: int) -> int:
        if operation == WRITEC:
            self.collect("semihosting", read_or_nothing(uc, argument, 1))
        elif operation == WRITE0:
            self.collect("semihosting", text_at(uc, argument, MAX_TEXT))
        elif operation == WRITE:
            _, buffer, size = (int.from_bytes(read_or_nothing(uc, argument + 4 * i, 4), "little") for i in range(3))
            self.collect("semihosting", read_or_nothing(uc, buffer, min(size, MAX_TEXT)))
            return 0
        elif operation in (EXIT, EXIT_EXTENDED):
            self.exited(self._exit_code(uc, operation, argument))
        elif operation in (OPEN, ISTTY):
            return 1
        elif operation not in (CLOSE, CLOCK, TIME):
            return -1
        return 0

    @staticmethod
    def _exit_code(uc: Any, operation: int, argument: int) -> int:
        """The reason itself on 32-bit cores, or a block of reason and code."""
        if operation == EXIT:
            return 0 if argument == APPLICATION_EXIT else 1
        reason, code = (int.from_bytes(read_or_nothing(uc, argument + 4 * i, 4), "little") for i in range(2))
        return code if reason == APPLICATION_EXIT else 1
