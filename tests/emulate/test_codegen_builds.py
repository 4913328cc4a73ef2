"""Generated firmware through real compilers: no warnings, the instructions that a style promises, memories that fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulate.codegen_models import COUNTS, STREAMING
from lift.models import FILES, small_network
from tinymlsec.emulate.build_cache import BuildCache
from tinymlsec.emulate.codegen import Program, Style, firmware_files, generate
from tinymlsec.emulate.compilers import Toolchain, find_gcc, find_zig
from tinymlsec.emulate.contract import Core, MemoryMap, Region
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import OPTIMIZE, build_firmware
from tinymlsec.errors import BuildError, InputError
from tinymlsec.target.firmware.load import load_image
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model, read_model_file

WARNINGS = ("-Wall", "-Wextra", "-Wundef", "-Wshadow", "-Wstrict-prototypes", "-Werror")
WITH_DSP = ("cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33")
WITHOUT = ("cortex-m0plus", "cortex-m3", "rv32imc")
TOOLS = ("zig", "gcc")


def toolchain(name: str, core: Core) -> Toolchain:
    found = find_zig() if name == "zig" else find_gcc()
    if found is None or (name == "gcc" and not core.gcc_flags):
        pytest.skip(f"no compiler {name} for the {core.title} is installed")
    return found


def built(program: Program, core: Core, tool: str, optimize: str = "O2", cache: BuildCache | None = None) -> Path:
    files, tools = firmware_files(program, core, memory_map(None, core)), toolchain(tool, core)
    made = build_firmware(files, core, toolchain=tools, optimize=optimize, extra_flags=WARNINGS, cache=cache)
    return made.elf


def small() -> Model:
    return read_model(small_network().tobytes())


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("core", CORES)
def test_a_small_network_builds_without_warnings(core: str, tool: str) -> None:
    styles = list(Style) if core == "cortex-m4" else [Style.DSP if CORES[core].dsp else Style.PLAIN]
    for style in styles:
        assert built(generate(small(), style), CORES[core], tool).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", [*COUNTS, *STREAMING])
def test_models_build_without_warnings(name: str, core: str, tool: str, shared_data: Path, tmp_path: Path) -> None:
    model, _ = read_model_file(shared_data / (FILES | STREAMING)[name])
    for style in Style if CORES[core].dsp else (Style.PLAIN, Style.UNROLLED):
        program, cache = generate(model, style), BuildCache(tmp_path / style)
        for optimize in OPTIMIZE:
            assert built(program, CORES[core], tool, optimize, cache).stat().st_size > 0


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("core", WITH_DSP)
def test_the_dsp_style_has_the_instructions_of_the_dsp_extension(core: str, tool: str) -> None:
    capstone = pytest.importorskip("capstone", reason="disassembling needs tinymlsec[firmware]")
    machine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8)

    def mnemonics(style: Style, function: str) -> set[str]:
        image = load_image(built(generate(small(), style), CORES[core], tool))
        symbol = image.symbols[function]
        code = b"".join(
            segment.data[symbol.address - segment.address :][: symbol.size]
            for segment in image.segments
            if segment.address <= symbol.address < segment.address + len(segment.data)
        )
        return {each.mnemonic for each in machine.disasm(code, symbol.address)}

    assert {"smlad", "sxtb16", "sxtab16"} <= mnemonics(Style.DSP, "tms_conv_sums")
    assert {"smlabb", "smlatt"} <= mnemonics(Style.DSP, "tms_depthwise_sums")
    assert {"smlad", "sxtb16"} <= mnemonics(Style.DSP, "tms_dense_row")
    for style in (Style.PLAIN, Style.UNROLLED) if core == "cortex-m4" else ():
        assert not {name for name in mnemonics(style, "tms_conv_sum") if name.startswith(("smla", "sxtb16"))}


@pytest.mark.parametrize("core", WITHOUT)
def test_the_dsp_style_is_refused_where_there_is_no_such_extension(core: str) -> None:
    program = generate(small(), Style.DSP)
    with pytest.raises(InputError, match="has no DSP instructions") as caught:
        firmware_files(program, CORES[core], memory_map(None, CORES[core]))
    assert CORES[core].title in str(caught.value)


def board(flash: int, ram: int) -> MemoryMap:
    regions = (Region("flash", 0x08000000, flash, "rx"), Region("ram", 0x20000000, ram, "rwx"))
    return MemoryMap(regions, "made for a test")


def test_what_does_not_fit_names_the_memory_and_the_bytes() -> None:
    program, core = generate(small()), CORES["cortex-m4"]
    need = program.arena.bytes + 8192 + 16
    with pytest.raises(InputError, match=r"ram is short by 1 bytes") as caught:
        firmware_files(program, core, board(1 << 20, need - 1))
    assert f"activation arena {program.arena.bytes}, stack 8192" in str(caught.value)
    firmware_files(program, core, board(1 << 20, need))
    with pytest.raises(InputError, match=r"flash is short by \d+ bytes") as caught:
        firmware_files(program, core, board(2048, 1 << 20))
    assert f"weights and tables {program.weights_bytes}" in str(caught.value)


@pytest.mark.parametrize("tool", TOOLS)
def test_code_that_only_the_linker_knows_of_does_not_fit(tool: str) -> None:
    """Weights and the least code fit, the whole does not."""
    program, core = generate(small()), CORES["cortex-m4"]
    files = firmware_files(program, core, board(program.weights_bytes + 1024, 1 << 20))
    with pytest.raises(BuildError, match=r"(?s)does not fit.*FLASH.*short by \d+ bytes") as caught:
        build_firmware(files, core, toolchain=toolchain(tool, core))
    assert "more memory" in str(caught.value)
