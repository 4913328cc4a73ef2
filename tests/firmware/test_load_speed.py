"""Large files are read soon: 4 MiB of flash with 50,000 symbols in less than a second of processor time."""

from __future__ import annotations

import time

from firmware.elf_builder import FUNC, GLOBAL, Elf, Load, Sec, Sym
from firmware.sound_firmware import FLASH
from tinymlsec.target.firmware import load_image, write_hex, write_uf2

SYMBOLS = 50_000
SIZE = 4 << 20


def large() -> Elf:
    step = SIZE // SYMBOLS // 4 * 4
    symbols = [
        Sym(f"_ZN6tflite7kernels12function{i:04}EPKav", FLASH + i * step | 1, step, FUNC, GLOBAL)
        for i in range(SYMBOLS)
    ]
    data = bytes(range(256)) * (SIZE // 256)
    return Elf([Load(FLASH, data)], [Sec(".text", flags=6, addr=FLASH, size=SIZE)], symbols, entry=FLASH | 1)


def test_large_elf() -> None:
    data = large().build()
    assert len(data) > SIZE
    start = time.process_time()
    image = load_image(data)
    seconds = time.process_time() - start
    assert len(image.symbols) == SYMBOLS
    assert seconds < 1.0
    start = time.process_time()
    assert image.symbol_at(FLASH + 5) == ("_ZN6tflite7kernels12function0000EPKav", 5)
    assert time.process_time() - start < 0.5, "the index is built at the first question"
    start = time.process_time()
    names = [image.symbol_at(address) for address in range(FLASH, FLASH + 40_000, 4)]
    assert time.process_time() - start < 0.2
    assert None not in names
    print(f"loaded in {seconds:.3f} s")


def test_large_hex_and_uf2() -> None:
    """1 MiB as a microcontroller has it."""
    image = load_image(Elf([Load(FLASH, bytes(range(256)) * 4096)], entry=FLASH).build())
    for written in (write_hex(image), write_uf2(image)):
        start = time.process_time()
        assert load_image(written).stored() == image.stored()
        assert time.process_time() - start < 2.0
