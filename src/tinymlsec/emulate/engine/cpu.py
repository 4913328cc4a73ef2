"""Numbers of the engine for the registers and modes of a core."""

from __future__ import annotations

from typing import Any

from tinymlsec.emulate.engine.step import Decode


class Cpu:
    """One kind of core in Unicorn's terms.

    Args:
        machine: arm or riscv32.
        model: name of the engine's processor model.
    """

    def __init__(self, machine: str, model: str) -> None:
        import unicorn
        from unicorn import arm_const, riscv_const

        self.arm = machine == "arm"
        const: Any = arm_const if self.arm else riscv_const
        self.architecture = unicorn.UC_ARCH_ARM if self.arm else unicorn.UC_ARCH_RISCV
        self.mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS if self.arm else unicorn.UC_MODE_RISCV32
        self.model = int(getattr(const, model))
        if self.arm:
            names = [f"R{i}" for i in range(13)] + ["SP", "LR"]
            self.registers = tuple(int(getattr(const, f"UC_ARM_REG_{name}")) for name in names)
            self.pc, self.status = int(const.UC_ARM_REG_PC), int(const.UC_ARM_REG_XPSR_NZCVQ)
            self.arguments: tuple[int, ...] = (0, 1, 2, 3)
            self.link = 14
        else:
            self.registers = tuple(int(getattr(const, f"UC_RISCV_REG_X{i}")) for i in range(32))
            self.pc, self.status = int(const.UC_RISCV_REG_PC), 0
            self.arguments = tuple(range(10, 18))
            self.link = 1

    def decoder(self) -> Decode:
        """A decoder of its instructions."""
        if self.arm:
            from tinymlsec.emulate.engine.thumb import thumb_decoder

            return thumb_decoder()
        from tinymlsec.emulate.engine.rv32 import rv32_decoder

        return rv32_decoder()
