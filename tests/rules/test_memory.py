"""MEM: each protection that is missing gives its finding, at its place, and nothing else does."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from firmware.elf_builder import FUNC, Elf, Load, Sec, Sym
from rules.image_builder import (
    CODE,
    DATA,
    FLASH,
    RAM,
    SYMBOLS,
    Firmware,
    findings,
    function,
    ids,
    movt,
    movw,
    store,
    without_canaries,
)
from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._memory_facts import memory_facts
from tinymlsec.rules._thumb import Code
from tinymlsec.rules._thumb_values import modified_immediate
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.target.firmware import load_image

GOOD = Firmware()
RAM_CODE = (Load(RAM + 0x1000, b"code", flags=7, paddr=FLASH + 0x4000),)
LOW_RAM = (Load(RAM, b"", flags=6, memsz=0x400),)
NO_MPU = b"\x00\xbf" * 4
CASES = {
    "no canaries": ("MEM-01", without_canaries(GOOD), CODE),
    "writable and executable": ("MEM-02", replace(GOOD, ram=RAM_CODE), FLASH + 0x4000),
    "stack above variables": (
        "MEM-03",
        replace(GOOD, code=NO_MPU, stack=RAM + 0x8000, device="stm32f103c8", ram=LOW_RAM),
        FLASH,
    ),
    "no unit enabled": ("MEM-04", replace(GOOD, code=NO_MPU), CODE),
    "unit switched off": ("MEM-04", replace(GOOD, code=store(0xE000ED94, 0)), CODE),
    "one world": ("MEM-05", replace(GOOD, device="stm32l552ze"), CODE),
    "strcpy": ("MEM-06", function("strcpy"), CODE + 68),
    "gets": ("MEM-06", function("_gets"), CODE + 68),
    "semihosting": ("MEM-08", replace(GOOD, code=GOOD.code + b"\x04\x20\xab\xbe"), CODE + len(GOOD.code) + 2),
    "semihosting function": ("MEM-08", replace(GOOD, code=GOOD.code + b"\xab\xbe\x70\x47"), CODE + len(GOOD.code)),
}  # fmt: skip


def test_the_good_image_is_clean() -> None:
    assert ids(GOOD.file()) == []


@pytest.mark.parametrize("name", CASES)
def test_the_bad_image_gives_its_rule_alone_at_its_place(name: str) -> None:
    rule_id, firmware, address = CASES[name]
    found = findings(firmware.file())
    assert [f.id for f in found] == [rule_id], [(f.id, f.message) for f in found]
    assert found[0].location.address == address
    if FLASH <= address < FLASH + 0x1000:
        assert found[0].location.file_offset == firmware.offset(address)


def test_vectors_in_ram_are_found_where_nothing_guards_them() -> None:
    moved = replace(GOOD, code=store(0xE000ED08, RAM), device="stm32f103c8")
    found = findings(moved.file())
    assert [f.id for f in found] == ["MEM-07"]
    assert "0x20000000" in found[0].message
    guarded = replace(GOOD, code=store(0xE000ED08, RAM) + GOOD.code, device="stm32f103c8")
    assert ids(guarded.file()) == []
    assert ids(replace(GOOD, code=store(0xE000ED08, FLASH), device="stm32f103c8").file()) == []


def test_gets_is_graver_than_strcpy() -> None:
    gets, strcpy = findings(function("gets").file())[0], findings(function("strcpy").file())[0]
    assert (gets.severity, strcpy.severity) == (Severity.HIGH, Severity.LOW)


class TestStripped:
    def test_canaries_of_a_stripped_image_are_told_by_messages(self) -> None:
        guarded = replace(GOOD, content=b"\0*** stack smashing detected ***\0").raw()
        assert "MEM-01" not in ids(guarded)

    def test_without_any_sign_it_is_a_weak_finding(self) -> None:
        found = next(f for f in findings(GOOD.raw()) if f.id == "MEM-01")
        assert (found.severity, found.confidence) == (Severity.LOW, Confidence.LOW)

    def test_a_guard_that_several_functions_load_is_a_canary(self) -> None:
        entry = struct.pack(
            "<10HI", 0xB510, 0x4804, 0x6801, 0x9103, 0xBF00, 0x6801, 0x9A03, 0x4051, 0xBD10, 0xBF00, RAM + 16
        )  # PUSH; LDR r0, =G; LDR r1, [r0]; STR r1, [SP, #12]; NOP; LDR r1, [r0]; LDR r2, [SP, #12]; EORS; POP
        facts = memory_facts(replace(GOOD, code=GOOD.code + entry * 3).raw().image)
        assert facts.canaries is True
        assert "3 functions" in facts.canary_reason
        assert memory_facts(replace(GOOD, code=GOOD.code + entry * 2).raw().image).canaries is None


class TestThumb:
    @pytest.mark.parametrize(
        "code",
        [
            store(0xE000ED94, 5),
            b"\x01\x48\x05\x21\x41\x60\x00\xbf" + struct.pack("<I", 0xE000ED90),  # LDR r0, =MPU; MOVS; STR [r0, #4]
            b"\x01\x48\x05\x21\x04\x38\x01\x60" + struct.pack("<I", 0xE000ED98),  # ... SUBS r0, #4; STR [r0]
            bytes.fromhex("4ff0e020 0521 c0f8941d"),  # MOV.W r0, #0xE000E000; STR.W [r0, #0xD94]
            movw(0, 0xED98) + movt(0, 0xE000) + bytes.fromhex("0521 40f8041c"),  # STR.W r1, [r0, #-4]
        ],
    )
    def test_stores_of_every_form_are_found(self, code: bytes) -> None:
        found = [a for a in Code(CODE, code + bytes(16)).accesses() if a.store]
        assert [(hex(a.register), a.value) for a in found] == [("0xe000ed94", 5)]

    def test_a_load_is_no_store(self) -> None:
        load = movw(0, 0xED94) + movt(0, 0xE000) + b"\x01\x68"
        assert [a.store for a in Code(CODE, load).accesses()] == [False]

    def test_what_is_not_known_is_not_believed(self) -> None:
        overwritten = movw(0, 0xED94) + movt(0, 0xE000) + b"\x88\x68" + b"\x01\x60"  # LDR r0, [r1, #8]; STR r1, [r0]
        assert Code(CODE, overwritten).accesses() == []

    def test_behind_a_return_nothing_is_followed(self) -> None:
        returned = movw(0, 0xED94) + movt(0, 0xE000) + b"\x70\x47\x01\x60"
        assert Code(CODE, returned).accesses() == []

    def test_modified_immediates(self) -> None:
        for text, value in (
            ("4ff05500", 0x55),
            ("4ff0e020", 0xE000E000),
            ("4ff00050", 0x20000000),
            ("4ff48030", 0x10000),
        ):
            first, second = struct.unpack("<HH", bytes.fromhex(text))
            assert modified_immediate(first, second) == value

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 5])
    def test_tiny_code_is_no_trouble(self, size: int) -> None:
        assert Code(CODE, bytes(size)).accesses() == []
        assert Code(CODE, b"\xff" * size).accesses() == []

    def test_random_bytes_give_no_store_to_the_unit(self) -> None:
        import numpy as np

        data = np.random.default_rng(3).bytes(2 << 20)
        stores = [a for a in Code(FLASH, data).accesses() if a.store and a.register == 0xE000ED94]
        assert stores == []


def riscv(code: bytes) -> ImageFile:
    elf = Elf(
        loads=[Load(0x4200_0000, code)], sections=[Sec(".text", flags=6, addr=0x4200_0000, size=len(code))],
        symbols=[Sym("_start", 0x4200_0000, len(code), FUNC), Sym("__stack_chk_fail", 0x4200_0000, 4, FUNC)],
        machine=243, entry=0x4200_0000,
    )  # fmt: skip
    data = elf.build()
    from tinymlsec.target.device import load_device

    return ImageFile("riscv.elf", data, load_image(data), load_device("esp32-c3"))


def test_riscv_protection_is_a_write_of_its_registers() -> None:
    csrw = struct.pack("<I", 0x3A0 << 20 | 10 << 15 | 1 << 12 | 0x73)  # csrw pmpcfg0, a0
    assert [f.id for f in findings(riscv(csrw + bytes(12)))] == []
    assert [f.id for f in findings(riscv(bytes(16)))] == ["MEM-04"]


def test_facts_are_json_values() -> None:
    import json

    from tinymlsec.scan.image_facts import image_facts, seen_in

    file = replace(GOOD, symbols=(*SYMBOLS, Sym("malloc", DATA | 1, 4, FUNC))).file()
    told = json.loads(json.dumps(image_facts(file)))
    assert told["memory"]["allocators"] == ["malloc"]
    assert told["memory"]["mpu_enabled"] is True
    assert seen_in(file)["image.canaries"] == "yes"
