"""Fuzz target of the loaders: damaged firmware ends in an image or an InputError, soon and in little memory.

    python tests/fuzz/fuzz_firmware.py --count 10000 --seed 1 [--keep FOLDER] [firmware ...]

Ends with 1 and keeps the file when anything else is raised, what was read contradicts itself, or a file takes too long.
What is read is used as well: every look-up, and the writers.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from firmware.sound_firmware import SEEDS
from fuzz.campaign import run_campaign
from fuzz.mutate_firmware import FirmwareMutator
from tinymlsec.errors import InputError
from tinymlsec.target.firmware import FirmwareImage, load_image, write_bin, write_hex, write_uf2
from tinymlsec.target.firmware.limits import MAX_MEMORY
from tinymlsec.target.firmware.load import kind_of

MEGABYTES = 512
MAX_WRITTEN = 1 << 18
"""Larger images are not written again, which would take most of the time."""
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "elf": ({}, {}, {"machine": "arm"}, {"machine": "riscv32"}),
    "hex": ({}, {}, {"machine": "arm"}, {"machine": "riscv32"}),
    "raw": ({}, {}, {"base": 0x0800_0000}, {"base": 0xFFFF_FF00, "machine": "arm"}, {"base": 1, "machine": "riscv32"}),
    "uf2": ({}, {}, {"machine": "arm"}, {"family": "RP2040"}, {"family": "0x6db66082", "machine": "riscv32"}),
}


def exercise(data: bytes, options: dict[str, Any] | None = None) -> str:
    """Reads a file and uses what was read; returns what became of it."""
    try:
        image = load_image(data, **(options or {}))
    except InputError as error:
        return "refused: " + re.sub(r"\d[0-9a-fx]*", "N", re.sub(r" \(file offset.*", "", error.message))
    check_segments(image)
    look_up(image)
    write(image)
    return f"read: {image.kind}"


def check_segments(image: FirmwareImage) -> None:
    """What every image promises."""
    assert 0 < image.memory_size <= MAX_MEMORY
    assert image.entry is None or image.entry % 2 == 0
    end = 0
    for address, content in image.stored():
        assert address >= end
        assert image.read(address, len(content)) == content
        assert image.read(address, len(content) + 1) is None
        end = address + len(content)
    assert end <= 1 << 32
    for segment in image.segments:
        assert len(segment.data) <= segment.memory_size
        assert segment.virtual_end <= 1 << 32
        assert set(segment.access) <= set("rwx")


def look_up(image: FirmwareImage) -> None:
    """Asks for symbols, lines and vectors at many addresses."""
    edges = [a for s in image.segments[:64] for a in (s.address, s.virtual_address, s.virtual_end - 1, s.virtual_end)]
    symbols = image.all_symbols[:: max(len(image.all_symbols) // 64, 1)]
    for address in (0, 0xFFFFFFFF, *edges, *(symbol.address for symbol in symbols)):
        found = image.symbol_at(address)
        assert found is None or (found[0].isprintable() and found[1] >= 0)
        assert image.line_at(address).isprintable()
        image.read(address, 4)
    for symbol in symbols[:8]:
        assert image.symbols_named(symbol.name)
        assert symbol in image.symbols_named(symbol.short) or symbol.short in image.symbols
    if image.vectors is not None:
        assert 0 < len(image.vectors.vectors) <= 256
        assert image.vectors.reason
    for text in (*image.notes, *image.lines.notes, image.producer, image.build_id, image.architecture, image.family):
        assert text.isprintable()
        assert len(text) < 2000
    assert all(section.size >= 0 and section.name.isprintable() for section in image.sections)
    assert len(image.lines) >= 0


def write(image: FirmwareImage) -> None:
    """What is written is read again as the same."""
    stored = image.stored()
    if not stored or sum(len(content) for _, content in stored) > MAX_WRITTEN:
        return
    assert load_image(write_hex(image)).stored() == stored
    family = image.family or None
    assert load_image(write_uf2(image, family)).stored() == stored
    if stored[-1][0] - stored[0][0] <= MAX_WRITTEN:
        flat = write_bin(image)
        assert all(flat[at - stored[0][0] :][: len(content)] == content for at, content in stored)


def built_firmware() -> list[bytes]:
    """The bundled digits model as firmware by the project's own toolchain, as ELF, HEX, UF2 and binary.

    Raises:
        ToolchainError: there is no compiler.
    """
    from tinymlsec.emulate.codegen import generate
    from tinymlsec.emulate.codegen.layout import firmware_files
    from tinymlsec.emulate.compilers import find_gcc
    from tinymlsec.emulate.cores import CORES
    from tinymlsec.emulate.memory_maps import memory_map
    from tinymlsec.emulate.toolchain import build_firmware, find_toolchain
    from tinymlsec.examples import digits_model
    from tinymlsec.target.tflite.reader import read_model

    program = generate(read_model(digits_model()))
    tools = [find_toolchain(), *filter(None, [find_gcc()])]
    seeds = []
    for core in (CORES["cortex-m0plus"], CORES["cortex-m4"], CORES["rv32imc"]):
        files = firmware_files(program, core, memory_map(None, core))
        for tool in tools:
            if tool.name == "zig" or core.gcc_flags:
                seeds.append(build_firmware(files, core, toolchain=tool).elf.read_bytes())
    image = load_image(seeds[0])
    return [*seeds, write_hex(image), write_uf2(image, "RP2040"), write_bin(image)]


def campaign(seeds: list[bytes], count: int, seed: int, keep: Path | None) -> dict[str, object]:
    """Tries `count` damaged files; see `run_campaign`."""
    rng = np.random.default_rng(seed)
    mutator = FirmwareMutator(seeds, rng)

    def use(data: bytes) -> str:
        return exercise(data, mutator.pick(OPTIONS[kind_of(data)]))

    return run_campaign(mutator.next, use, count, f"seed {seed}", keep, ".firmware")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firmware", nargs="*", type=Path, help="sound files to start from, beside the hand-made ones")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--built", action="store_true", help="start from firmware that is built here as well")
    parser.add_argument("--keep", type=Path, help="folder for files that make a loader fail")
    options = parser.parse_args()
    seeds = [make() for make in SEEDS.values()] + [path.read_bytes() for path in options.firmware]
    seeds += built_firmware() if options.built else []
    summary = campaign(seeds, options.count, options.seed, options.keep)
    print(json.dumps(summary, indent=1))
    return 1 if summary["failures"] or int(str(summary["peak_megabytes"])) > MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
