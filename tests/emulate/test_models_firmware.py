"""Whole models as firmware on every core, in the emulator, against the runtime: every byte of every output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="the emulator needs tinymlsec[firmware]")

from emulate.codegen_firmware import Firmware, differing
from emulate.codegen_models import (
    COUNTS,
    MODELS,
    RealModel,
    layers_on_runtime,
    on_runtime,
    real_model,
    real_numbers,
)
from lift.models import small_network
from tinymlsec.emulate.codegen import Style
from tinymlsec.emulate.compilers import Toolchain, find_gcc, find_zig
from tinymlsec.emulate.cores import CORES
from tinymlsec.target.oracle import OraclePool, runtime_available
from tinymlsec.target.tflite.reader import read_model

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
TARGETS = (
    ("cortex-m0plus", Style.PLAIN),
    ("cortex-m3", Style.UNROLLED),
    ("cortex-m4", Style.PLAIN),
    ("cortex-m4", Style.UNROLLED),
    ("cortex-m4", Style.DSP),
    ("cortex-m4f", Style.DSP),
    ("cortex-m7", Style.DSP),
    ("cortex-m33", Style.DSP),
    ("rv32imc", Style.PLAIN),
)
MATRIX = tuple(
    (core, style, tool)
    for core, style in TARGETS
    if style is not Style.UNROLLED and core != "cortex-m4f"
    for tool in ("zig", "gcc")
    if tool == "zig" or CORES[core].gcc_flags
)
"""What the slow tests run all inputs on."""
BRIEF = {"kws": 2, "ic": 1, "vww": 1, "ad": 3, "micro_speech": 4, "hello_world": 16, "alexa": 1, "vad": 1}
"""Inputs (streams of 50 steps) of each model by default."""
OTHERS = {
    "ic": "rv32imc", "ad": "cortex-m0plus", "vww": "rv32imc", "micro_speech": "cortex-m0plus",
    "hello_world": "rv32imc", "alexa": "rv32imc", "vad": "cortex-m0plus",
}  # fmt: skip
"""Where each model runs by default, beside the Cortex-M33; kws runs everywhere."""


def toolchain(name: str) -> Toolchain:
    found = find_zig() if name == "zig" else find_gcc()
    if found is None:
        pytest.skip(f"the compiler {name} is not installed")
    return found


@pytest.mark.parametrize(("core", "style"), TARGETS)
def test_keyword_spotting_on_every_core(core: str, style: Style, shared_data: Path, pool: OraclePool) -> None:
    real = real_model(shared_data, "kws").first(BRIEF["kws"])
    with Firmware(real, CORES[core], style, toolchain("zig")) as firmware:
        assert differing(firmware.outputs(), on_runtime(real, pool)) == 0


@pytest.mark.parametrize("name", OTHERS)
def test_models_on_two_cores(name: str, shared_data: Path, pool: OraclePool) -> None:
    real = real_model(shared_data, name).first(BRIEF[name])
    expected = on_runtime(real, pool)
    for core, style in (("cortex-m33", Style.DSP), (OTHERS[name], Style.PLAIN)):
        with Firmware(real, CORES[core], style, toolchain("zig")) as firmware:
            assert differing(firmware.outputs(), expected) == 0, core


@pytest.mark.parametrize("tool", ["zig", pytest.param("gcc", marks=pytest.mark.slow)])
def test_real_numbers_on_a_floating_point_unit(tool: str, shared_data: Path, pool: OraclePool) -> None:
    """Multiply-add instructions that round once would be noticed."""
    real = real_numbers(shared_data, 1)
    with Firmware(real, CORES["cortex-m4f"], Style.PLAIN, toolchain(tool)) as firmware:
        found, layers = firmware.outputs().view(np.float32), firmware.layers(0)
    np.testing.assert_allclose(found, on_runtime(real, pool).reshape(found.shape), rtol=1e-6, atol=1e-9)
    inner = [tensor for tensor in layers if tensor not in real.model.main.outputs]
    for tensor, theirs in zip(inner, layers_on_runtime(real, pool, inner), strict=True):
        assert differing(layers[tensor], theirs[0]) == 0, f"tensor {tensor}"


@pytest.mark.parametrize("style", Style)
def test_pixels_do_not_depend_on_each_other(style: Style) -> None:
    """In any order and cut into any channels they give what the layer gives."""
    model, rng = read_model(small_network().tobytes()), np.random.default_rng(3)
    codes = rng.integers(-128, 128, (1, 8, 8, 2)).astype(np.int8)
    with Firmware(RealModel("small", model, b"", codes, 1), CORES["cortex-m4"], style, toolchain("zig")) as firmware:
        whole = firmware.layers(0)
        for layer in [each for each in firmware.program.layers if each.pixel_symbol]:
            (target,) = layer.outputs
            assert target.offset is not None
            place = firmware.arena + target.offset
            firmware.machine.call("tms_init")
            firmware.write_inputs(layer, whole)
            firmware.machine.write(place, bytes(target.bytes))
            for y, x, c0, c1 in pixel_windows(layer.pixels, rng):
                firmware.machine.call(layer.pixel_symbol, y, x, c0, c1)
            found = np.frombuffer(firmware.machine.read(place, target.bytes), np.uint8)
            np.testing.assert_array_equal(found, whole[target.tensor])


def pixel_windows(pixels: tuple[int, int, int], rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Every pixel and channel once, shuffled, cut at random channels."""
    rows, columns, channels = pixels
    windows = []
    for y in range(rows):
        for x in range(columns):
            cuts = sorted({0, channels, *rng.integers(0, channels + 1, 2).tolist()})
            windows += [(y, x, a, b) for a, b in pairwise(cuts)]
    rng.shuffle(windows)
    return windows


def layers_that_differ(real: RealModel, core: str, style: Style, tool: str, pool: OraclePool) -> dict[int, int]:
    """Tensor -> bytes, with layers called one by one as windows of measurements enter them."""
    with Firmware(real, CORES[core], style, toolchain(tool)) as firmware:
        found = firmware.layers(0)
    expected = layers_on_runtime(real, pool, list(found))
    counts = {t: differing(ours, theirs[0]) for (t, ours), theirs in zip(found.items(), expected, strict=True)}
    return {tensor: count for tensor, count in counts.items() if count}


@pytest.mark.parametrize("name", ["kws", "vad"])
def test_layers_called_one_by_one(name: str, shared_data: Path, pool: OraclePool) -> None:
    real = real_model(shared_data, name).first(1)
    assert layers_that_differ(real, "cortex-m4", Style.DSP, "zig", pool) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("core", "style", "tool"), MATRIX)
def test_layers_on_every_core(core: str, style: Style, tool: str, shared_data: Path, pool: OraclePool) -> None:
    for name in MODELS:
        real = real_model(shared_data, name)
        third = replace(real, inputs=real.inputs[2:3], steps=1)  # neither all-minimum nor all-maximum
        assert layers_that_differ(third, core, style, tool, pool) == {}, name


@pytest.mark.slow
@pytest.mark.parametrize(("core", "style", "tool"), MATRIX)
@pytest.mark.parametrize("name", MODELS)
def test_models_on_every_core(
    name: str,
    core: str,
    style: Style,
    tool: str,
    shared_data: Path,
    pool: OraclePool,
    record_property: Callable[[str, object], None],
) -> None:
    real, tools = real_model(shared_data, name), toolchain(tool)
    assert len(real.inputs) == COUNTS.get(name, 300)
    expected = on_runtime(real, pool)
    few = real.first(BRIEF[name])
    with Firmware(few, CORES[core], style, tools) as firmware:
        assert differing(firmware.outputs(), expected[: len(few.inputs)]) == 0
    with Firmware(real, CORES[core], style, tools, unaligned_traps=False) as firmware:
        found = firmware.outputs()
        record_property("compiler", firmware.build.compiler)
    record_property("inputs", len(found))
    record_property("bytes", found.size)
    record_property("differing", differing(found, expected))
    record_property("instructions", f"{min(firmware.instructions)} to {max(firmware.instructions)}")
    assert differing(found, expected) == 0


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["O0", "O3", "Os"])
@pytest.mark.parametrize("tool", ["zig", "gcc"])
@pytest.mark.parametrize("core", ["cortex-m4f", "cortex-m0plus"])
def test_other_levels_of_optimization(core: str, tool: str, optimize: str, shared_data: Path, pool: OraclePool) -> None:
    style = Style.DSP if CORES[core].dsp else Style.PLAIN
    for name in MODELS:
        real = real_model(shared_data, name).first(BRIEF[name])
        with Firmware(real, CORES[core], style, toolchain(tool), optimize=optimize) as firmware:
            assert differing(firmware.outputs(), on_runtime(real, pool)) == 0, name


def test_a_changed_byte_of_flash_is_noticed(shared_data: Path, pool: OraclePool) -> None:
    """The comparison would fail for firmware with one wrong weight byte."""
    real = real_model(shared_data, "ad").first(1)
    with Firmware(real, CORES["cortex-m4"], Style.DSP, toolchain("zig")) as firmware:
        weights = firmware.image.symbols["tms_w_000"].address
        flash = bytearray(firmware.machine.read(weights, 640))
        firmware.machine.write(weights, bytes(np.frombuffer(flash, np.uint8) ^ 0x40))
        assert differing(firmware.outputs(), on_runtime(real, pool)) > 0
