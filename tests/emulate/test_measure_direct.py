"""Counting, layers and outputs on the plainest machine: every instruction seen, nothing inferred."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")

from emulate.direct_machine import DirectMachine
from tinymlsec.emulate.contract import Core, MemoryMap, RunEnd, RunResult
from tinymlsec.emulate.cycles import cycle_model
from tinymlsec.emulate.measure_build import build_fitting
from tinymlsec.emulate.measure_costs import price
from tinymlsec.emulate.measure_model import MeasureOptions, Subject, measure, subject_of
from tinymlsec.emulate.measure_run import Runner, SampleRun
from tinymlsec.errors import FirmwareError
from tinymlsec.target.firmware import FirmwareImage, load_image
from tinymlsec.target.oracle import runtime_available

DEVICES = ("stm32l4r5zi", "rp2040", "stm32f103c8", "esp32-c3")
HELLO = Path("tflm_hello_world/hello_world_int8.tflite")


def built(path: Path, device: str, style: str = "plain") -> tuple[Subject, FirmwareImage]:
    from tinymlsec.emulate.codegen import firmware_files

    subject = subject_of(path, device, style)
    files = firmware_files(subject.program, subject.core, subject.memory)
    return subject, load_image(build_fitting(files, subject.core, device, subject.memory, "O2", None).elf)


def runner_on(subject: Subject, image: FirmwareImage) -> Runner:
    machine = DirectMachine(image, subject.core, subject.memory)
    return Runner(machine, image, subject.program, subject.flash_lines)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", DEVICES)
def test_layers_and_their_glue_make_the_whole(shared_data: Path, device: str) -> None:
    subject, image = built(shared_data / HELLO, device)
    runner = runner_on(subject, image)
    runs = [runner.run((code.tobytes(),)) for code in np.array([-128, 0, 127], np.int8)]
    prices = cycle_model(subject.core)
    for run in runs:
        whole, layers, glue = _instructions(run, image)
        assert layers + glue == whole
        cycles = price(*run.whole, prices, image).cycles
        parts = [price(*layer, prices, image).cycles for layer in run.layers]
        # Layers are priced by the counts of their own run: branches and pairs inside of them are the same.
        assert sum(each.low for each in parts) == pytest.approx(cycles.low, rel=0.02)
        assert sum(each.high for each in parts) <= cycles.high
        assert 16 <= run.stack < 1024
    assert len({run.outputs for run in runs}) > 1


def _instructions(run: SampleRun, image: FirmwareImage) -> tuple[int, int, int]:
    """Executed in the whole inference, in the layers, and in tms_infer itself."""
    whole = sum(n for n, _ in run.whole.counts.values())
    layers = sum(n for counts, _ in run.layers for n, _ in counts.values())
    named = {address: image.symbol_at(address) for address in run.whole.counts}
    own = sum(n for a, (n, _) in run.whole.counts.items() if (named[a] or ("",))[0] == "tms_infer")
    return whole, layers, own


@pytest.mark.parametrize("device", DEVICES)
def test_a_measurement_adds_up(shared_data: Path, device: str) -> None:
    said: list[tuple[int, int, str]] = []
    found = measure(
        shared_data / HELLO, device, machine=DirectMachine,  # type: ignore[arg-type]
        options=MeasureOptions(inputs=3, seed=7), progress=lambda *now: said.append(now),
    )  # fmt: skip
    assert (found.inputs.count, found.inputs.source) == (3, "random codes, seed 7")
    assert found.inputs.exact == (3 if runtime_available()[0] else None)
    total = found.total
    assert 0 < total.zero_wait.low <= total.zero_wait.high <= total.cycles.high
    assert (total.flash_reads is None) == (found.flash_model is None) == (device in ("rp2040", "esp32-c3"))
    if total.flash_reads is not None and found.flash_model is not None:
        waits = found.flash_model.wait_states * total.flash_reads.high
        assert total.zero_wait.high < total.cycles.high <= total.zero_wait.high + waits
    names = {function.name for function in found.functions}
    assert {"tms_infer", *(layer.symbol for layer in found.layers)} <= names
    assert sum(f.cost.zero_wait.low for f in found.functions) <= total.zero_wait.low + 1e-6
    assert sum(f.cost.zero_wait.high for f in found.functions) >= total.zero_wait.high - 1e-6
    assert found.mhz is not None
    assert found.milliseconds is not None
    assert found.milliseconds.high == pytest.approx(total.cycles.high / found.mhz / 1e3)
    assert found.memory.flash.weights > 300
    assert found.memory.ram.arena >= 32
    assert 16 <= found.memory.ram.stack < 1024
    assert [what for *_, what in said][:2] == ["generating C", "building"]
    assert all(0 <= done <= of for done, of, _ in said)


def test_bytes_of_the_image_are_all_accounted_for(shared_data: Path) -> None:
    found = measure(shared_data / HELLO, "stm32l4r5zi", machine=DirectMachine)  # type: ignore[arg-type]
    _, image = built(shared_data / HELLO, "stm32l4r5zi")
    assert found.binary.digest == image.digest
    assert found.memory.flash.total == sum(len(s.data) for s in image.segments if s.data)


def test_another_build_has_other_cycles_and_the_same_outputs(shared_data: Path) -> None:
    def of(style: str, optimize: str) -> tuple[float, int | None]:
        options = MeasureOptions(inputs=2, optimize=optimize)
        found = measure(shared_data / HELLO, "stm32l4r5zi", style=style, options=options, machine=DirectMachine)  # type: ignore[arg-type]
        return found.total.cycles.low, found.inputs.exact

    figures = [of(style, level) for style in ("plain", "dsp") for level in ("O2", "O0")]
    assert len({cycles for cycles, _ in figures}) == 4
    assert {exact for _, exact in figures} == ({2} if runtime_available()[0] else {None})


class Ends(DirectMachine):
    """A machine whose calls end badly."""

    def call(self, name: str, *arguments: int, **others: object) -> RunResult:
        return RunResult(RunEnd.TIMEOUT, 5)


def test_firmware_that_does_not_end_is_an_error_with_its_function(shared_data: Path) -> None:
    def make(image: FirmwareImage, core: Core, memory: MemoryMap) -> DirectMachine:
        return Ends(image, core, memory)

    maker: Callable[..., DirectMachine] = make
    with pytest.raises(FirmwareError, match="tms_infer did not come to an end"):
        measure(shared_data / HELLO, "stm32l4r5zi", machine=maker)  # type: ignore[arg-type]
