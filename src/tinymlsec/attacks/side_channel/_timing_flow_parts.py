"""One instruction as following the inputs must know it, whatever the instruction set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinymlsec.errors import MachineError

NO_REGISTER, COUNTER = 255, 15
"""Of a transfer: none that is followed; the program counter (Arm)."""


@dataclass(frozen=True)
class Flow:
    """What an instruction reads, writes and passes on. Registers are bits: core, real numbers, flags."""

    size: int
    reads: int = 0
    """What its result, its choice or its time depends on; of a memory access nothing but the address and the memory."""
    writes: int = 0
    """What is overwritten; of a load what it loads stands in `words`."""
    partly: int = 0
    """What is changed in part, or only if a condition holds."""
    base: int = 0
    """Registers that form the address."""
    loads: bool = False
    stores: bool = False
    chooses: bool = False
    """It goes on at a place that depends on what it reads."""
    varies: bool = False
    """It takes a time that depends on what it reads."""
    block: int = 0
    """Instructions after it that are conditional on what it reads."""
    width: int = 0
    """Bytes of one transfer."""
    words: tuple[int, ...] = ()
    """Register of each transfer."""


FlowDecoder = Callable[[int, bytes], Flow]


class NoInstruction(MachineError):
    """Bytes that ran, and that the decoder does not know."""

    def __init__(self, address: int, data: bytes) -> None:
        super().__init__(
            f"no instruction is known at 0x{address:08x}", found=data[:4].hex() or "nothing",
            next_step="report this with the firmware: what depends on the inputs cannot be followed",
        )  # fmt: skip
