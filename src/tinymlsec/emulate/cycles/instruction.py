"""What the cycle model must know of one instruction, whatever the instruction set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tinymlsec.errors import InputError

SINGLE_ACCESSES = frozenset(("load", "store", "store_register"))
"""Classes that move one register to or from memory."""

LOADS = frozenset(("load", "load_many"))
STORES = frozenset(("store", "store_register", "store_many"))

BRANCHES = frozenset(("branch", "jump", "call", "table_branch"))
"""Classes whose purpose is to write the program counter."""

COMPUTES = frozenset(
    ("alu", "multiply", "multiply_accumulate", "multiply_long", "accumulate_long", "dsp", "divide")
)  # fmt: skip
"""Classes that put a computed value into a register."""

EMPTY: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction. Registers are the decoder's numbers, alike within one image."""

    address: int
    size: int
    kind: str
    """One of `tinymlsec.emulate.cycles.table.KINDS`."""
    transfers: int = 0
    """Registers moved to or from memory."""
    reads: frozenset[int] = field(default=EMPTY)
    writes: frozenset[int] = field(default=EMPTY)
    address_registers: frozenset[int] = field(default=EMPTY)
    """Registers that form the address of its memory access."""
    literal: bool = False
    """Loads relative to the program counter."""
    always_taken: bool = False
    """Never goes on to the next instruction."""
    from_memory: bool = False
    """Its new program counter comes from memory."""
    block: int = 0
    """How many instructions after it it makes conditional."""


Decoder = Callable[[int, bytes], Instruction]
"""From address and bytes (at least 4 where the image has them) to the instruction there."""


class UnknownInstruction(InputError):
    """Bytes that ran, and that are no instruction of the core."""


def unknown(address: int, data: bytes) -> UnknownInstruction:
    """The error for bytes that no decoder knows."""
    return UnknownInstruction(
        f"no instruction at 0x{address:08x}",
        found=data[:4].hex() or "nothing",
        expected="an instruction of the core",
        next_step="check that image and core belong together",
    )
