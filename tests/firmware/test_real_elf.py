"""ELF files of a real compiler and linker, against pyelftools and against the source."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from firmware.zig_firmware import SOURCE, compile_firmware
from tinymlsec.target.firmware import FirmwareImage, load_image, write_bin, write_hex, write_uf2

CASES = {
    "cortex-m4 dwarf 4": ("cortex-m4", 0x0800_0000, ("-g", "-gdwarf-4")),
    "cortex-m4 dwarf 5": ("cortex-m4", 0x0800_0000, ("-g", "-gdwarf-5")),
    "cortex-m4 at 0": ("cortex-m4", 0, ("-g",)),
    "cortex-m0plus": ("cortex-m0plus", 0x1000_0000, ("-g",)),
    "rv32imc": ("rv32imc", 0x0800_0000, ("-g",)),
}


@pytest.fixture(scope="module", params=CASES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    core, flash, flags = CASES[request.param]
    return compile_firmware(tmp_path_factory.mktemp("zig"), core, *flags, flash=flash)


@pytest.fixture(scope="module")
def image(built: Path) -> FirmwareImage:
    return load_image(built)


@pytest.fixture(scope="module")
def oracle(built: Path) -> Any:
    elffile = pytest.importorskip("elftools.elf.elffile", reason="needs tinymlsec[firmware]")
    with built.open("rb") as stream:
        yield elffile.ELFFile(stream)


def code_of(image: FirmwareImage, name: str) -> range:
    symbol = image.symbols[name]
    return range(symbol.address, symbol.address + symbol.size)


def lines_of(image: FirmwareImage, name: str) -> set[str]:
    return {image.line_at(address) for address in code_of(image, name)}


def test_segments_are_those_of_pyelftools(image: FirmwareImage, oracle: Any) -> None:
    loads = [s for s in oracle.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_memsz"]]
    expected = sorted((s["p_paddr"], s["p_vaddr"], s["p_memsz"], s.data()) for s in loads)
    assert [(s.address, s.virtual_address, s.memory_size, s.data) for s in image.segments] == expected


def test_symbols_are_those_of_pyelftools(image: FirmwareImage, oracle: Any) -> None:
    expected = set()
    for symbol in oracle.get_section_by_name(".symtab").iter_symbols():
        kind, thumb = symbol["st_info"]["type"], oracle["e_machine"] == "EM_ARM"
        if symbol.name and not symbol.name.startswith("$") and kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE"):
            value = symbol["st_value"] & ~1 if thumb and kind == "STT_FUNC" else symbol["st_value"]
            expected.add((symbol.name, value, symbol["st_size"]))
    found = {(s.name, s.address, s.size) for s in image.all_symbols}
    assert found == expected
    assert {"helper", "table", "counter", "Reset_Handler"} <= image.symbols.keys()
    assert image.symbols["helper"].binding == "local"


def test_sections_are_those_of_pyelftools(image: FirmwareImage, oracle: Any) -> None:
    expected = [(s.name, s["sh_addr"], s["sh_size"]) for s in oracle.iter_sections()]
    assert [(s.name, s.address, s.size) for s in image.sections] == expected


def oracle_rows(oracle: Any) -> dict[int, int]:
    """Address -> line by pyelftools; the last row of an address counts, tables of dropped functions are left out."""
    rows: dict[int, int] = {}
    text = oracle.get_section_by_name(".text")
    start, end = text["sh_addr"], text["sh_addr"] + text["sh_size"]
    dwarf = oracle.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        states = [entry.state for entry in dwarf.line_program_for_CU(unit).get_entries() if entry.state is not None]
        first = None
        for state, following in zip(states, [*states[1:], None], strict=True):
            first = state.address if first is None else first
            if state.end_sequence:
                first = None
                continue
            for address in range(state.address, following.address if following else state.address):
                if first and start <= first < end and start <= address < end:
                    rows[address] = state.line
    return rows


def test_lines_are_those_of_pyelftools(image: FirmwareImage, oracle: Any) -> None:
    rows = oracle_rows(oracle)
    assert len(rows) > 40
    for address, line in rows.items():
        found = image.line_at(address)
        assert (int(found.rsplit(":", 1)[1]) if found else 0) == line, hex(address)
    assert image.lines.notes == ()


def test_lines_are_those_of_the_source(image: FirmwareImage) -> None:
    marked = {number: text for number, text in enumerate(SOURCE.splitlines(), 1) if f"line {number} " in text}
    assert list(marked) == [7, 8, 9, 15, 17]
    helper, reset = lines_of(image, "helper"), lines_of(image, "Reset_Handler")
    assert {f"firmware.c:{n}" for n in (7, 8, 9)} <= helper
    assert {f"firmware.c:{n}" for n in (15, 17)} <= reset
    assert all(line.startswith("firmware.c:") for line in (helper | reset) - {""})
    assert {int(line.split(":")[1]) for line in helper - {""}} <= set(range(6, 11))


def test_the_dropped_function_has_neither_symbol_nor_lines(image: FirmwareImage) -> None:
    assert "dropped" not in image.symbols
    every = {image.line_at(address) for s in image.segments for address in range(s.virtual_address, s.virtual_end)}
    assert "firmware.c:12" not in every
    assert len(every) > 4


def test_symbol_at(image: FirmwareImage) -> None:
    for name in ("helper", "Reset_Handler", "table", "counter"):
        symbol = image.symbols[name]
        assert image.symbol_at(symbol.address) == (name, 0)
        assert image.symbol_at(symbol.address + symbol.size - 1) == (name, symbol.size - 1)


def test_initialized_data_lies_in_flash(image: FirmwareImage) -> None:
    address = image.symbols["table"].address
    assert 0x2000_0000 <= address < 0x2002_0000
    segment = next(s for s in image.segments if s.virtual_address <= address < s.virtual_end and s.data)
    assert segment.address < 0x2000_0000
    stored = image.read(segment.address + address - segment.virtual_address, 16)
    assert stored is not None
    assert struct.unpack("<4i", stored) == (11, 22, 33, 44)


def test_vectors(image: FirmwareImage) -> None:
    if image.machine != "arm":
        assert image.vectors is None
        return
    assert image.vectors is not None
    assert image.vectors.plausible, image.vectors.reason
    assert image.vectors.initial_sp == 0x2002_0000 == image.symbols["_estack"].address
    assert image.vectors.reset == image.symbols["Reset_Handler"].address == image.entry


def test_round_trips(image: FirmwareImage, tmp_path: Path) -> None:
    for kind, written in (("hex", write_hex(image)), ("uf2", write_uf2(image, "RP2040"))):
        (tmp_path / "image").write_bytes(written)
        found = load_image(tmp_path / "image")
        assert found.kind == kind
        assert found.stored() == image.stored()
        assert found.stripped
        if image.machine == "arm":
            assert found.machine == "arm"
            assert found.vectors == image.vectors
    start = image.stored()[0][0]
    flat = load_image(write_bin(image), base=start)
    assert all(flat.read(address, len(data)) == data for address, data in image.stored())


def test_producer(image: FirmwareImage) -> None:
    assert "clang version" in image.producer
    assert "LLD" in image.producer


def test_stripped_file(tmp_path: Path) -> None:
    image = load_image(compile_firmware(tmp_path, "cortex-m4", "-s"))
    assert image.stripped
    assert image.line_at(image.entry or 0) == ""
    assert image.symbol_at(image.entry or 0) is None
    assert image.vectors is not None
    assert image.vectors.plausible


def test_relocatable_object_is_refused(tmp_path: Path) -> None:
    from tinymlsec.errors import FirmwareError

    path = compile_firmware(tmp_path, "cortex-m4", "-c")
    with pytest.raises(FirmwareError, match="no executable") as caught:
        load_image(path)
    assert "link it" in str(caught.value.next_step)


def test_build_id(tmp_path: Path) -> None:
    image = load_image(compile_firmware(tmp_path, "cortex-m4", "-Wl,--build-id=sha1"))
    assert len(image.build_id) == 40
    assert int(image.build_id, 16)
