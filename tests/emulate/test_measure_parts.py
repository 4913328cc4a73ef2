"""The parts of a measurement: fit, memory, stack, inputs, costs, energy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymlsec.emulate.codegen import Style, firmware_files, generate
from tinymlsec.emulate.codegen.program import Port
from tinymlsec.emulate.compilers import find_gcc
from tinymlsec.emulate.contract import MemoryMap, Region
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.cycles import Span
from tinymlsec.emulate.cycles.flash_cache import FlashReads
from tinymlsec.emulate.cycles.flash_timing import flash_timing
from tinymlsec.emulate.cycles.table import cycle_table
from tinymlsec.emulate.measure_build import build_fitting
from tinymlsec.emulate.measure_costs import Priced, cost_of
from tinymlsec.emulate.measure_facts import clock_of, energy_of, unchecked
from tinymlsec.emulate.measure_fit import DoesNotFit, check_fits
from tinymlsec.emulate.measure_inputs import _random, make_feed
from tinymlsec.emulate.measure_records import Range
from tinymlsec.emulate.measure_reference import agreement
from tinymlsec.emulate.measure_run import PATTERN, used_stack
from tinymlsec.emulate.toolchain import find_toolchain
from tinymlsec.errors import DataError
from tinymlsec.target.device import load_device
from tinymlsec.target.device_facts import PowerFigure
from tinymlsec.target.tflite.reader import read_model_file


def small(flash: int, ram: int) -> MemoryMap:
    regions = (Region("flash", 0x0800_0000, flash, "rx"), Region("ram", 0x2000_0000, ram, "rwx"))
    return MemoryMap(regions, "made")


def test_both_short_memories_are_named_with_their_bytes(shared_data: Path) -> None:
    model, _ = read_model_file(shared_data / "mlperf_tiny_ic" / "pretrainedResnet_quant.tflite")
    program = generate(model, Style.PLAIN)
    with pytest.raises(DoesNotFit) as caught:
        check_fits(program, "toy", small(64 << 10, 20 << 10), 8192)
    ram, flash = caught.value.shortages
    assert ram.missing == program.arena.bytes + 8192 + 16 - (20 << 10)
    assert flash.missing == program.weights_bytes + 1024 - (64 << 10)
    assert f"short by {ram.missing:,} bytes" in str(caught.value)
    assert f"short by at least {flash.missing:,} bytes" in str(caught.value)
    assert caught.value.exit_code == 2
    check_fits(program, "toy", small(256 << 10, 128 << 10), 8192)


@pytest.mark.parametrize("tools", ["zig", "gcc"])
def test_what_only_the_linker_knows_is_told_in_the_same_words(shared_data: Path, tools: str) -> None:
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    if tools == "gcc" and find_gcc() is None:
        pytest.skip("no arm-none-eabi-gcc")
    model, _ = read_model_file(shared_data / "tflm_hello_world" / "hello_world_int8.tflite")
    program, core = generate(model, Style.PLAIN), CORES["cortex-m4"]
    found: list[int] = []
    for flash in (program.weights_bytes + 1024, program.weights_bytes + 1024 + 64):
        memory = small(flash, 32 << 10)
        check_fits(program, "toy", memory, 8192)
        files = firmware_files(program, core, memory)
        with pytest.raises(DoesNotFit) as caught:
            build_fitting(files, core, "toy", memory, "O0", find_toolchain(tools))
        (short,) = caught.value.shortages
        assert short.memory == "flash (flash)"
        assert not short.at_least
        found.append(short.missing)
    assert found[0] - found[1] == 64


@pytest.mark.parametrize("depth", [0, 4, 40, 256])
def test_stack_is_read_from_what_the_pattern_lost(depth: int) -> None:
    full = PATTERN * 64
    data = full[: 256 - depth] + bytes(range(depth)) if depth < 256 else bytes(256)
    assert used_stack(data) == depth


def test_holes_in_the_stack_do_not_hide_what_lies_deeper() -> None:
    data = bytearray(PATTERN * 64)
    data[100] ^= 1
    assert used_stack(bytes(data)) == 256 - 100


def test_random_inputs_span_their_type() -> None:
    rng = np.random.default_rng(1)
    for dtype in ("int8", "uint8", "int16", "int32"):
        array = _random(Port(0, 0, dtype, (64, 32), 0), 4, rng)
        assert array.shape == (4, 64, 32)
        assert array.dtype == dtype
        limits = np.iinfo(dtype)
        assert array.min() < limits.min * 0.9 + 1
        assert array.max() > limits.max * 0.9
    assert _random(Port(0, 0, "float32", (100,), 0), 3, rng).std() == pytest.approx(1, abs=0.2)
    assert set(_random(Port(0, 0, "bool", (100,), 0), 3, rng).ravel().tolist()) == {True, False}


def test_samples_of_a_file_come_in_its_order(shared_data: Path, tmp_path: Path) -> None:
    model, _ = read_model_file(shared_data / "mlperf_tiny_kws" / "kws_ref_model.tflite")
    program = generate(model, Style.PLAIN)
    x = np.arange(3 * 490, dtype=np.int64).reshape(3, 49, 10, 1) % 200 - 100
    np.savez(tmp_path / "data.npz", x=x.astype(np.int8))
    feed = make_feed(program, model, data=tmp_path / "data.npz", count=2, seed=0)
    assert feed.count == 2
    assert feed.sample(1) == (x[1].astype(np.int8).tobytes(),)
    np.savez(tmp_path / "wrong.npz", x=np.zeros((3, 7), np.int8))
    with pytest.raises(DataError):
        make_feed(program, model, data=tmp_path / "wrong.npz", count=2, seed=0)


def test_equal_outputs_are_counted_by_bytes() -> None:
    theirs = [np.array([[1, 2], [3, 4], [5, 6]], np.int8)]
    mine = [(b"\x01\x02",), (b"\x03\x05",), (b"\x05\x06",)]
    found = agreement(mine, theirs)
    assert (found.exact, found.close) == (2, 2)
    assert "1 of 3 outputs differ" in found.note
    assert agreement(mine[:1], [theirs[0][:1]]) == (1, 1, "")


def test_real_outputs_may_differ_in_the_last_bit_and_that_is_said() -> None:
    exact = np.array([[0.1, 0.9], [0.4, 0.6], [0.5, np.nan]], np.float32)
    mine = exact.copy()
    mine[0, 0] = np.nextafter(mine[0, 0], 1)
    found = agreement([(row.tobytes(),) for row in mine], [exact])
    assert (found.exact, found.close) == (2, 3)
    assert "1 of 3 outputs differ from the runtime's by at most" in found.note
    mine[1, 0] += np.float32(1e-4)
    mine[2, 0] = 0.25
    found = agreement([(row.tobytes(),) for row in mine], [exact])
    assert (found.exact, found.close) == (0, 1)
    assert "do not trust" in found.note


def test_costs_span_the_inputs_and_the_flash_term_counts_per_input() -> None:
    timing = flash_timing("stm32l4r5zi")
    runs = [Priced(90, Span(100, 150), FlashReads(10, 30)), Priced(80, Span(90, 160), FlashReads(1, 1))]
    found = cost_of(runs, timing)
    assert (found.instructions.low, found.instructions.high) == (80, 90)
    assert (found.zero_wait.low, found.zero_wait.high) == (90, 160)
    assert (found.cycles.low, found.cycles.high) == (90, 150 + 5 * 40)
    assert found.flash_reads == Range(low=2, high=40)
    without = cost_of([Priced(90, Span(100, 150))], None)
    assert without.flash_reads is None
    assert without.cycles == without.zero_wait


def test_clock_of_the_flash_model_goes_before_that_of_the_device() -> None:
    assert clock_of(load_device("stm32l4r5zi"), flash_timing("stm32l4r5zi")) == (120.0, "")
    assert clock_of(load_device("rp2040"), None) == (133.0, "")


def test_energy_needs_a_sourced_figure_for_the_clock() -> None:
    device, time = load_device("rp2040"), Range(low=2.0, high=3.0)
    assert energy_of(device, 133.0, time) == (None, "not printed: no sourced power figure")
    figure = {"state": "active, from flash", "mhz": 133.0, "milliwatts": 80.0, "source": "a bench", "confidence": "A"}
    powered = device.model_copy(update={"power": (PowerFigure.model_validate(figure),)})
    found, words = energy_of(powered, 133.0, time)
    assert found == Range(low=160.0, high=240.0)
    assert "a bench" in words
    assert energy_of(powered, 48.0, time)[0] is None
    doubtful = device.model_copy(update={"power": (PowerFigure.model_validate(figure | {"confidence": "C"}),)})
    assert energy_of(doubtful, 133.0, time)[0] is None


def test_unchecked_costs_are_named_by_what_ran() -> None:
    words = unchecked(cycle_table("cortex-m4"), {"alu": 75, "branch": 25, "float": 0})
    assert "25%" in words
    assert "branch" in words
    assert "float" not in words
    assert unchecked(cycle_table("cortex-m4"), {"alu": 75}) == ""
