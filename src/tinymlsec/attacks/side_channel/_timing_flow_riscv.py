"""What RV32IMC instructions read, write and pass on."""

from __future__ import annotations

from tinymlsec.attacks.side_channel._timing_flow_parts import NO_REGISTER, Flow, FlowDecoder, NoInstruction
from tinymlsec.emulate.cycles.decode_riscv import riscv_decoder
from tinymlsec.emulate.cycles.instruction import Instruction
from tinymlsec.emulate.engine.rv32 import rv32_decoder
from tinymlsec.emulate.engine.step import NONE, Step

FIRST = 32
"""Number of x0; lower ones are those of Arm's core registers."""
_TO_REGISTER = ("jump", "call")


def riscv_flows(core_operands: frozenset[str]) -> FlowDecoder:
    """A decoder of RV32IMC instructions.

    Args:
        core_operands: classes of the cycle table whose time depends on operands.
    """
    steps, instructions = rv32_decoder(), riscv_decoder()

    def decode(address: int, data: bytes) -> Flow:
        step = steps(address, data)
        if step is None:
            raise NoInstruction(address, data)
        found = instructions(address, data)
        if found.kind in ("load", "store"):
            return _memory(found, step)
        chooses = found.kind == "branch" or (found.kind in _TO_REGISTER and bool(found.reads))
        return Flow(
            found.size, reads=_bits(found.reads), writes=_bits(found.writes), chooses=chooses,
            varies=found.kind in core_operands,
        )  # fmt: skip

    return decode


def _memory(found: Instruction, step: Step) -> Flow:
    loads = found.kind == "load"
    listed = found.writes if loads else frozenset({step.stored} - {NONE, 0})
    word = next((FIRST + register for register in listed), NO_REGISTER)
    return Flow(
        found.size, loads=loads, stores=not loads, base=_bits(found.address_registers), width=step.width, words=(word,)
    )


def _bits(registers: frozenset[int]) -> int:
    return sum(1 << FIRST + register for register in registers)
