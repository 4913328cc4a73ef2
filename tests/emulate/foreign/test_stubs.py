"""Stubs run on an engine: each value, at each alignment, on the smallest core of each machine."""

from __future__ import annotations

from typing import Any

import pytest

from tinymlsec.emulate.foreign.description import DescriptionError
from tinymlsec.emulate.foreign.stubs import stub_code, with_stubs
from tinymlsec.target.firmware.image import FirmwareImage, Section, Segment, Symbol

unicorn = pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")

FLASH, IDLE = 0x08000000, 0x0800F000
VALUES = (0, 1, 255, 256, 0x7FF, 0x800, 0xFFF, 0x12345678, 0x7FFFFFFF, 0x80000000, 0xFFFFF800, 0xFFFFFFFF)


def returned(machine: str, address: int, value: int) -> int:
    """What a call of the stub returns."""
    from unicorn import arm_const as a
    from unicorn import riscv_const as r

    arm = machine == "arm"
    mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS if arm else unicorn.UC_MODE_RISCV32
    uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM if arm else unicorn.UC_ARCH_RISCV, mode)
    uc.ctl_set_cpu_model(a.UC_CPU_ARM_CORTEX_M0 if arm else r.UC_CPU_RISCV32_ANY)
    uc.mem_map(FLASH, 0x10000)
    uc.mem_write(address, stub_code(machine, address, value))
    uc.reg_write(a.UC_ARM_REG_LR if arm else r.UC_RISCV_REG_RA, IDLE | arm)
    uc.reg_write(a.UC_ARM_REG_R0 if arm else r.UC_RISCV_REG_A0, 0xDEADBEEF)
    uc.emu_start(address | arm, IDLE, count=10)
    assert uc.reg_read(a.UC_ARM_REG_PC if arm else r.UC_RISCV_REG_PC) == IDLE
    return int(uc.reg_read(a.UC_ARM_REG_R0 if arm else r.UC_RISCV_REG_A0))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("machine", ["arm", "riscv32"])
def test_a_stub_returns_its_value(machine: str, offset: int, value: int) -> None:
    assert returned(machine, FLASH + 0x100 + offset, value) == value


def image(size: int) -> FirmwareImage:
    symbol = Symbol("f", FLASH + 16, size, "function", "global", ".text")
    segments = (Segment(FLASH, bytes(range(64)), 64, "rx"),)
    sections = (Section(".text", FLASH, 64, "ax"),)
    return FirmwareImage("elf", "arm", FLASH, segments, {"f": symbol}, (symbol,), sections)


def test_only_the_function_is_replaced() -> None:
    before = image(8)
    after = with_stubs(before, {FLASH + 16: 5})
    data = after.segments[0].data
    assert data[16:20] == stub_code("arm", FLASH + 16, 5)
    assert data[:16] + data[20:] == bytes(range(16)) + bytes(range(20, 64))
    assert before.segments[0].data == bytes(range(64))


def test_a_function_that_is_too_short_for_its_value() -> None:
    assert with_stubs(image(4), {FLASH + 16: 255})
    with pytest.raises(DescriptionError, match="too short") as caught:
        with_stubs(image(4), {FLASH + 16: 256})
    assert "4 bytes" in str(caught.value)
    assert "at least 8 bytes" in str(caught.value)


@pytest.mark.parametrize("address", [FLASH - 4, FLASH + 62, FLASH + 64, 0])
def test_a_stub_outside_of_the_image(address: int) -> None:
    with pytest.raises(DescriptionError, match="outside of the image"):
        with_stubs(image(8), {address: 1})
