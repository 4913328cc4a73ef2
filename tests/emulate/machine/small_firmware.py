"""Small firmware of our own for tests of the machine: assembly or C beside a minimal start."""

from __future__ import annotations

from pathlib import Path

from tinymlsec.emulate.contract import Core, MemoryMap, Region
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.toolchain import build_firmware
from tinymlsec.target.firmware.image import FirmwareImage
from tinymlsec.target.firmware.load import load_image

HERE = Path(__file__).parent
FLASH, RAM = 0x08000000, 0x20000000
MEMORY = MemoryMap((Region("flash", FLASH, 0x10000, "rx"), Region("ram", RAM, 0x8000, "rwx")), "test")

_START = """
#include <stdint.h>
extern uint8_t top[];
void begin(void);
uint32_t zoo_data[64] = {{ {values} }};
volatile uint32_t zoo_sink;
__attribute__((noinline, used)) void idle(void) {{ for (;;) __asm__ volatile(""); }}
__attribute__((used)) void begin(void) {{
    extern uint8_t data_from[], data_start[], data_end[];
    for (uint32_t i = 0; i < (uint32_t)(data_end - data_start); i++)
        ((volatile uint8_t *)data_start)[i] = ((volatile uint8_t *)data_from)[i];
    zoo_sink = zoo_data[0];
    idle();
}}
#if defined(__arm__)
__asm__(".syntax unified\\n.thumb\\n.section .text.start,\\"ax\\",%progbits\\n.global start\\n.type start,%function\\n"
        ".thumb_func\\nstart:\\n ldr r0, =top\\n mov sp, r0\\n"
#if defined(__ARM_FP)
        " ldr r0, =0xe000ed88\\n ldr r1, =0x00f00000\\n str r1, [r0]\\n dsb\\n isb\\n"
#endif
        " bl begin\\n b .\\n .pool\\n.text\\n");
#else
__asm__(".section .text.start,\\"ax\\",%progbits\\n.global start\\nstart:\\n"
        " la sp, top\\n call begin\\n1: j 1b\\n.text\\n");
#endif
"""

_SCRIPT = """
ENTRY(start)
MEMORY {{ FLASH (rx) : ORIGIN = {flash:#x}, LENGTH = 0x10000
          RAM (rw) : ORIGIN = {ram:#x}, LENGTH = 0x8000 }}
SECTIONS {{
    .text : {{
        KEEP(*(.text.start)) KEEP(*(.text.zoo)) KEEP(*(.text.kept))
        *(.text .text.*) *(.rodata .rodata.*)
    }} > FLASH
    .stack (NOLOAD) : {{ . += 0x800; . = ALIGN(16); top = .; }} > RAM
    .data : ALIGN(16) {{
        data_start = .; KEEP(*(.data .data.* .sdata .sdata.*)) . = ALIGN(4); data_end = .;
    }} > RAM AT > FLASH
    data_from = LOADADDR(.data);
    .bss (NOLOAD) : {{ *(.bss .bss.* .sbss .sbss.* COMMON) }} > RAM
    /DISCARD/ : {{ *(.ARM.exidx .ARM.exidx.* .ARM.extab .ARM.extab.* .eh_frame .eh_frame_hdr .comment .note.*) }}
}}
"""


def build(core: Core, files: dict[str, str], *, optimize: str = "O2") -> FirmwareImage:
    """Firmware with a start that ends in `idle`."""
    values = ", ".join(f"{(2654435761 * (i + 1)) % (1 << 32)}u" for i in range(64))
    own = {"start.c": _START.format(values=values), "link.ld": _SCRIPT.format(flash=FLASH, ram=RAM)}
    return load_image(build_firmware({**own, **files}, core, optimize=optimize).elf)


def zoo(core_id: str) -> FirmwareImage:
    """Firmware with the instruction zoo of a core."""
    core = CORES[core_id]
    name = "zoo_riscv" if core.machine == "riscv32" else "zoo_arm_small" if core_id == "cortex-m0plus" else "zoo_arm"
    return build(core, {"zoo.S": (HERE / f"{name}.S").read_text()})
