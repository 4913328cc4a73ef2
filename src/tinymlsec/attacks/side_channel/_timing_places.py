"""Where an instruction stands, in words: function, source line, operator, and what it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tinymlsec.emulate.cycles.decode_arm import arm_decoder
from tinymlsec.emulate.cycles.decode_riscv import riscv_decoder
from tinymlsec.emulate.cycles.instruction import Decoder, Instruction, UnknownInstruction
from tinymlsec.emulate.cycles.model import image_bytes

if TYPE_CHECKING:
    from tinymlsec.emulate.twin import Twin

TEXT = 80
NEAR = 32
"""Bytes before an instruction without a line in which one is looked for."""


@dataclass(frozen=True)
class Spot:
    """One instruction."""

    address: int
    symbol: str
    line: str
    """file:line; of the instruction before it where the compiler gives it none; or empty."""
    exact: bool
    """The line is its own."""
    layer: int
    """Index of the operator, -1 outside of all."""
    op: str
    text: str
    """The instruction in assembly."""

    @property
    def words(self) -> str:
        """For a sentence."""
        of = f" of operator {self.layer} ({self.op})" if self.layer >= 0 else ""
        at = self.line or f"0x{self.address:08x}"
        return (
            f"`{self.text}` {'at' if self.exact or not self.line else 'near'} {at}"
            + (f" in {self.symbol}" if self.symbol else "")
            + of
        )


def spot_of(twin: Twin, address: int, layer: int) -> Spot:
    """The instruction at an address, executed for a layer."""
    found = twin.image.symbol_at(address)
    ops = {each.index: each.op for each in twin.program.layers}
    line = twin.image.line_at(address)
    start = address - found[1] if found else address
    near = line or next(
        filter(None, map(twin.image.line_at, range(address - 2, max(start, address - NEAR) - 1, -2))), ""
    )
    return Spot(
        address, found[0] if found else "", near, bool(line), layer, ops.get(layer, ""), instruction_text(twin, address)
    )


def instructions_at(twin: Twin, addresses: Iterable[int]) -> list[Instruction]:
    """Instructions as the cycle model sees them, in the order of the addresses."""
    decode = riscv_decoder() if twin.core.machine == "riscv32" else _thumb()
    return [decode(address, image_bytes(twin.image, address, 4)) for address in addresses]


@cache
def _thumb() -> Decoder:
    return arm_decoder()


def instruction_text(twin: Twin, address: int) -> str:
    """The instruction in assembly; its bytes where they cannot be read."""
    try:
        data = image_bytes(twin.image, address, 4)
    except UnknownInstruction:
        return "?"
    found = next(disassembler(twin.core.machine).disasm(data, address, 1), None)
    return f"{found.mnemonic} {found.op_str}".strip()[:TEXT] if found is not None else data.hex()


@cache
def disassembler(machine: str) -> Any:
    """A `capstone.Cs` for arm or riscv32."""
    import capstone

    if machine == "riscv32":
        return capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    return capstone.Cs(capstone.CS_ARCH_ARM, mode)
