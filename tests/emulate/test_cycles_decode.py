"""The decoders: ours of RISC-V against Capstone on random bits, and the classes of Arm mnemonics."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from tinymlsec.emulate.cycles.decode_arm import arm_decoder
from tinymlsec.emulate.cycles.decode_riscv import riscv_decoder
from tinymlsec.emulate.cycles.instruction import UnknownInstruction
from tinymlsec.emulate.cycles.table import KINDS

KIND_OF = {
    "load": {"lb", "lh", "lw", "lbu", "lhu", "c.lw", "c.lwsp"},
    "store": {"sb", "sh", "sw", "c.sw", "c.swsp"},
    "branch": {"beq", "bne", "blt", "bge", "bltu", "bgeu", "beqz", "bnez", "blez", "bgez", "bltz", "bgtz",
               "c.beqz", "c.bnez"},
    "multiply": {"mul"},
    "multiply_long": {"mulh", "mulhu", "mulhsu"},
    "divide": {"div", "divu", "rem", "remu"},
    "alu": {"add", "sub", "sll", "slt", "sltu", "xor", "srl", "sra", "or", "and", "addi", "slti", "sltiu", "xori",
            "ori", "andi", "slli", "srli", "srai", "lui", "auipc", "mv", "not", "neg", "seqz", "snez", "sltz", "sgtz",
            "nop", "c.addi", "c.li", "c.lui", "c.srli", "c.srai", "c.andi", "c.sub", "c.xor", "c.or", "c.and", "c.slli",
            "c.mv", "c.add", "c.addi16sp", "c.addi4spn", "c.nop"},
}  # fmt: skip


def test_riscv_agrees_with_capstone_on_random_bits() -> None:
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
    decode = riscv_decoder()
    kinds = {name: kind for kind, names in KIND_OF.items() for name in names}
    rng = np.random.default_rng(4)
    seen: set[str] = set()
    for word in rng.integers(0, 1 << 32, 60_000, dtype=np.uint64):
        data = int(word).to_bytes(4, "little")
        theirs = next(engine.disasm(data, 0, 1), None)
        if theirs is None or theirs.mnemonic not in kinds:
            continue
        try:
            ours = decode(0, data)
        except UnknownInstruction:
            # reserved encodings that Capstone names all the same
            assert int(word) >> 25 not in (0, 1, 32) or int(word) & 3 != 3, data.hex()
            continue
        if ours.size == 4 and int(word) & 0x7F == 0x33 and int(word) >> 25 not in (0, 1, 32):
            continue
        assert (ours.size, ours.kind) == (theirs.size, kinds[theirs.mnemonic]), f"{data.hex()} {theirs.mnemonic}"
        seen.add(theirs.mnemonic)
    assert len(seen) > 55


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("09000000", None), ("8280", "jump"), ("0295", "call"), ("6f000000", "jump"), ("ef000000", "call"),
        ("67800000", "jump"), ("0f00f00f", "barrier"), ("73000000", "system"), ("01a0", "jump"), ("0128", "call"),
        ("0290", "system"), ("0000", None),
    ],
)  # fmt: skip
def test_riscv_control_flow(code: str, kind: str | None) -> None:
    data = bytes.fromhex(code)
    if kind is None and code == "0000":
        with pytest.raises(UnknownInstruction):
            riscv_decoder()(0, data)
    elif kind is not None:
        found = riscv_decoder()(0, data)
        assert found.kind == kind
        assert found.always_taken == (kind in ("jump", "call"))


@pytest.mark.parametrize(
    ("code", "kind", "always", "transfers"),
    [
        ("7047", "jump", True, 0), ("fff7feff", "call", True, 0), ("00f001b8", "jump", True, 0),
        ("f8d1", "branch", False, 0), ("08b1", "branch", False, 0), ("dfe800f0", "table_branch", True, 0),
        ("10bd", "load_many", True, 2), ("5df804fb", "load", True, 0), ("2de9f047", "store_many", False, 8),
        ("0fcb", "load_many", False, 4), ("0fc3", "store_many", False, 4), ("c0e90012", "store_many", False, 2),
        ("24fb0321", "dsp", False, 0), ("2ffa80f0", "dsp", False, 0), ("4018", "alu", False, 0),
        ("c0f30720", "alu", False, 0), ("0844", "alu", False, 0), ("bff34f8f", "barrier", False, 0),
        ("08bf", "it", False, 0), ("b0ee410a", "float", False, 0), ("20ee200a", "float", False, 0),
        ("00ee200a", "float_accumulate", False, 0), ("80ee200a", "float_divide", False, 0),
        ("90ed000a", "load_many", False, 1), ("90ed000b", "load_many", False, 2), ("90fa11f2", "dsp", False, 0),
        ("c0fb0123", "accumulate_long", False, 0), ("4843", "multiply", False, 0), ("f746", "jump", True, 0),
    ],
)  # fmt: skip
def test_arm_classes(code: str, kind: str, always: bool, transfers: int) -> None:
    found = arm_decoder()(0x100, bytes.fromhex(code))
    if code == "f746":  # mov pc, lr: no branch by name, and it never goes on
        assert (found.kind, found.always_taken) == ("alu", True)
        return
    assert (found.kind, found.always_taken) == (kind, always)
    assert found.kind in KINDS
    if transfers:
        assert found.transfers == transfers


def test_literal_loads_are_seen() -> None:
    assert arm_decoder()(0x100, bytes.fromhex("0448")).literal
    assert not arm_decoder()(0x100, bytes.fromhex("0868")).literal
