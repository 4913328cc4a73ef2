"""Facts of real compiled code: the set-up of the memory protection unit is found as compilers write it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from firmware import zig_firmware
from tinymlsec.rules._memory_facts import MemoryFacts, memory_facts
from tinymlsec.target.firmware import load_image

CORES = {
    "cortex-m0plus": "cortex_m0plus", "cortex-m4": "cortex_m4", "cortex-m33": "cortex_m33",
}  # fmt: skip
SET_UP = """
typedef struct { volatile unsigned TYPE, CTRL, RNR, RBAR, RASR; } unit;
#define MPU ((unit *)0xE000ED90)
void Reset_Handler(void) {
    for (int i = 0; i < 3; i++) { MPU->RNR = i; MPU->RBAR = 0x20000000 + i * 4096; MPU->RASR = 0x1300001B; }
    MPU->CTRL = 5;
    __asm volatile ("dsb");
"""
WITH_UNIT = zig_firmware.SOURCE.replace("void Reset_Handler(void) {", SET_UP)


def facts(folder: Path, core: str, source: str, level: str, monkeypatch: pytest.MonkeyPatch) -> MemoryFacts:
    monkeypatch.setitem(zig_firmware.TARGETS, core, ("thumb-freestanding-eabi", CORES[core]))
    return memory_facts(load_image(zig_firmware.compile_firmware(folder, core, level, source=source)))


@pytest.mark.parametrize("level", ["-O1", "-Os"])
@pytest.mark.parametrize("core", CORES)
def test_the_unit_is_found_where_it_is_set_up(
    core: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert facts(tmp_path / "with", core, WITH_UNIT, level, monkeypatch).mpu is True
    assert facts(tmp_path / "without", core, zig_firmware.SOURCE, level, monkeypatch).mpu is False


GUARDED = (
    """
unsigned __stack_chk_guard = 0x1234;
void __stack_chk_fail(void) { for (;;) {} }
"""
    + "\n".join(
        f"__attribute__((noinline)) int fill{n}(volatile char *from) "
        f"{{ volatile char room[32]; for (int i = 0; i < 32; i++) room[i] = from[i]; return room[{n}]; }}"
        for n in range(4)
    )
    + zig_firmware.SOURCE.replace(
        "void Reset_Handler(void) {",
        "void Reset_Handler(void) {\n" + "".join(f"counter += fill{n}((volatile char *)table);" for n in range(4)),
    )
)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_canaries_are_found_with_symbols_and_by_their_pattern(core: str, level: str, tmp_path: Path) -> None:
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        pytest.skip("needs arm-none-eabi-gcc: the pinned toolchain has no stack protector without a C library")
    (tmp_path / "firmware.c").write_text(GUARDED)
    (tmp_path / "link.ld").write_text(zig_firmware.LINKER_SCRIPT % {"flash": "0x08000000"})
    for name, flags in (("with", ["-fstack-protector-all"]), ("without", ["-fno-stack-protector"])):
        for strip in ([], ["-s"]):
            command = [gcc, f"-mcpu={core}", "-mthumb", level, "-ffreestanding", "-nostdlib", *flags, *strip]
            subprocess.run([*command, "-T", "link.ld", "firmware.c", "-o", "firmware.elf"], cwd=tmp_path, check=True)
            found = memory_facts(load_image(tmp_path / "firmware.elf"))
            # With a symbol of a stack protector in it the file says yes, called or not: ask the stripped one.
            assert found.canaries is (True if name == "with" or not strip else None), (name, strip, found.canary_reason)
