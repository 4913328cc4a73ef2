"""Compiles small C files for a microcontroller with the pinned toolchain, where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

LINKER_SCRIPT = """ENTRY(Reset_Handler)
MEMORY
{
  FLASH (rx) : ORIGIN = %(flash)s, LENGTH = 512K
  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 128K
}
_estack = ORIGIN(RAM) + LENGTH(RAM);
SECTIONS
{
  .isr_vector : { KEEP(*(.isr_vector)) } > FLASH
  .text : { *(.text .text.*) *(.rodata .rodata.*) } > FLASH
  .ARM.exidx : { *(.ARM.exidx*) } > FLASH
  .data : { *(.data .data.*) *(.sdata*) } > RAM AT > FLASH
  .bss (NOLOAD) : { *(.bss .bss.*) *(.sbss*) *(COMMON) } > RAM
}
"""

SOURCE = """extern unsigned _estack;
typedef void (*vector)(void);
static volatile int table[4] = {11, 22, 33, 44};
int counter;

__attribute__((noinline)) static int helper(int x) {
    int y = x * 3;              /* line 7 */
    table[1] = y;               /* line 8 */
    return y + table[2];        /* line 9 */
}

__attribute__((noinline)) int dropped(int x) { return x + table[3]; }

void Reset_Handler(void) {
    counter = helper(counter);  /* line 15 */
    for (;;) {
        table[0] = counter;     /* line 17 */
    }
}

__attribute__((used, section(".isr_vector")))
const vector vectors[16] = {(vector)&_estack, Reset_Handler, Reset_Handler, Reset_Handler};
"""

TARGETS = {
    "cortex-m4": ("thumb-freestanding-eabi", "cortex_m4"),
    "cortex-m0plus": ("thumb-freestanding-eabi", "cortex_m0plus"),
    "rv32imc": ("riscv32-freestanding-none", "generic_rv32+m+c"),
}


def cache() -> dict[str, str]:
    """The compiler's own caches, kept between runs of the tests."""
    folder = Path(tempfile.gettempdir()) / f"tinymlsec-tests-zig-{os.getuid()}"
    return {
        "ZIG_GLOBAL_CACHE_DIR": os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(folder / "global")),
        "ZIG_LOCAL_CACHE_DIR": os.environ.get("ZIG_LOCAL_CACHE_DIR", str(folder / "local")),
    }


def compile_firmware(folder: Path, core: str, *flags: str, flash: int = 0x0800_0000, source: str = SOURCE) -> Path:
    """An ELF file for a core; skips the test where the toolchain is not installed."""
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "firmware.c").write_text(source)
    (folder / "link.ld").write_text(LINKER_SCRIPT % {"flash": hex(flash)})
    target, cpu = TARGETS[core]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={cpu}", "-O1", "-ffreestanding"]
    command += ["-fno-sanitize=all", "-ffunction-sections", "-Wl,--gc-sections", "-T", "link.ld", *flags]
    command += ["firmware.c", "-o", "firmware.elf"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **cache()}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "firmware.elf"
