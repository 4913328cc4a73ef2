"""Counts of the machine beside those of the plain one, and measurements on the machine."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")

from emulate.direct_machine import DirectMachine
from tinymlsec.emulate.codegen import firmware_files
from tinymlsec.emulate.contract import READS, Probe
from tinymlsec.emulate.cycles.flash_cache import FlashCache
from tinymlsec.emulate.cycles.flash_timing import FlashTiming, flash_timing
from tinymlsec.emulate.cycles.model import image_bytes
from tinymlsec.emulate.machine import Machine
from tinymlsec.emulate.measure_build import build_fitting
from tinymlsec.emulate.measure_fit import main_flash
from tinymlsec.emulate.measure_model import MeasureOptions, Subject, measure, subject_of
from tinymlsec.emulate.measure_run import Runner
from tinymlsec.target.firmware import FirmwareImage, load_image
from tinymlsec.target.oracle import OraclePool, runtime_available

HELLO = Path("tflm_hello_world/hello_world_int8.tflite")
BUILDS = [
    ("stm32l4r5zi", "plain", "O2"), ("stm32l4r5zi", "dsp", "O2"), ("stm32l4r5zi", "unrolled", "O0"),
    ("rp2040", "plain", "O2"), ("stm32f103c8", "unrolled", "O2"), ("nrf5340", "dsp", "O2"),
    ("stm32h743zi", "plain", "O3"), ("esp32-c3", "plain", "O2"),
]  # fmt: skip


def built(path: Path, device: str, style: str, optimize: str) -> tuple[Subject, FirmwareImage]:
    subject = subject_of(path, device, style)
    files = firmware_files(subject.program, subject.core, subject.memory)
    return subject, load_image(build_fitting(files, subject.core, device, subject.memory, optimize, None).elf)


@pytest.mark.parametrize(("device", "style", "optimize"), BUILDS)
def test_counts_equal_those_of_the_plain_machine(shared_data: Path, device: str, style: str, optimize: str) -> None:
    subject, image = built(shared_data / HELLO, device, style, optimize)
    plain = Runner(DirectMachine(image, subject.core, subject.memory), image, subject.program)  # type: ignore[arg-type]
    with Machine(image, subject.core, subject.memory) as machine:
        runner = Runner(machine, image, subject.program)
        for code in np.array([-128, -3, 90], np.int8):
            mine, theirs = runner.run((code.tobytes(),)), plain.run((code.tobytes(),))
            assert mine.outputs == theirs.outputs
            assert mine.stack == theirs.stack
            assert dict(mine.whole.counts) == dict(theirs.whole.counts)
            for a, b in zip(mine.layers, theirs.layers, strict=True):
                assert dict(a.counts) == dict(b.counts)


@pytest.mark.parametrize("device", ["stm32l4r5zi", "stm32f103c8"])
def test_flash_lines_equal_those_of_the_recorded_addresses(shared_data: Path, device: str) -> None:
    subject, image = built(shared_data / HELLO, device, "plain", "O2")
    timing, lines = flash_timing(device), subject.flash_lines
    assert timing is not None
    assert lines is not None
    with Machine(image, subject.core, subject.memory) as machine:
        machine.boot(image.symbols["tms_idle"].address)
        result = machine.call("tms_infer", 0, 0, probe=Probe(addresses=True, counts=True, flash=lines))
    records = result.records
    read = np.where(records["flags"] & READS, [_bytes_read(int(pc), image) for pc in records["pc"]], 0)
    sizes = np.array([_decoded(int(pc), image).size for pc in records["pc"]])
    cache = FlashCache(lines)
    cache.feed(records["pc"], sizes, records["address"], read)
    assert result.flash_reads == (cache.reads.code, cache.reads.data)
    assert cache.reads.data > 20


def _decoded(address: int, image: FirmwareImage):  # type: ignore[no-untyped-def]
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    return next(engine.disasm(image_bytes(image, address, 4), address, 1))


def _bytes_read(address: int, image: FirmwareImage) -> int:
    found = _decoded(address, image)
    name = found.mnemonic.split(".")[0]
    if name.startswith(("pop", "ldm", "vpop", "vldm")):
        return 4 * len(re.findall(r"[{,]", found.op_str[found.op_str.index("{") :]))
    width = {"ldrb": 1, "ldrsb": 1, "ldrh": 2, "ldrsh": 2, "ldrd": 8}
    return width.get(name, 4)


def test_a_slower_flash_costs_more(shared_data: Path) -> None:
    ours = flash_timing("stm32l4r5zi")
    assert ours is not None
    slow = FlashTiming.model_validate(ours.model_dump() | {"wait_states": 9, "mhz": 60.0})
    path, options = shared_data / HELLO, MeasureOptions(inputs=2)
    usual = measure(path, "stm32l4r5zi", options=options)
    found = measure(path, "stm32l4r5zi", options=MeasureOptions(inputs=2, flash=slow))
    assert usual.total.flash_reads == found.total.flash_reads
    assert usual.total.flash_reads is not None
    assert found.total.cycles.high == usual.total.cycles.high + 4 * usual.total.flash_reads.high
    assert found.mhz == 60.0


def test_a_model_with_state_goes_on_from_step_to_step(shared_data: Path) -> None:
    path = shared_data / "microwakeword" / "vad.tflite"
    subject, image = built(path, "stm32l4r5zi", "dsp", "O2")
    port = subject.program.inputs[0]
    steps = np.random.default_rng(3).integers(-128, 128, (8, *port.shape), dtype=np.int8)
    steps[5:] = steps[4]
    with Machine(image, subject.core, subject.memory) as machine:
        runner = Runner(machine, image, subject.program)
        outputs = [runner.run((step.tobytes(),)).outputs[0] for step in steps]
    assert len(set(outputs[4:])) > 1, "the same step again, and another state"
    if runtime_available()[0]:
        with OraclePool() as pool:
            handle = pool.open(path.read_bytes(), stateful=True, fresh=True)
            expected = handle.run_sequences(steps[None])[0]
        assert outputs == [np.ascontiguousarray(row).tobytes() for row in expected]
    found = measure(path, "stm32l4r5zi", style="dsp", options=MeasureOptions(inputs=4))
    assert found.inputs.exact == (4 if runtime_available()[0] else None)
    assert any("consecutive steps" in note for note in found.notes)
    assert found.layers[0].op == "CALL_ONCE"
    assert found.layers[0].cost.instructions.high <= 2, "it ran at start-up"


def test_a_float_model_agrees_within_the_last_bits(shared_data: Path) -> None:
    path = shared_data / "mlperf_tiny_ic" / "pretrainedResnet.tflite"
    found = measure(path, "stm32l4r5zi", options=MeasureOptions(inputs=1))
    assert found.inputs.close == (1 if runtime_available()[0] else None)
    assert found.inputs.wrong == 0


def test_real_samples_of_a_model_that_people_use(shared_data: Path) -> None:
    folder = shared_data / "mlperf_tiny_kws"
    options = MeasureOptions(inputs=2, data=folder / "kws01.npz")
    found = measure(folder / "kws_ref_model.tflite", "stm32l4r5zi", style="dsp", options=options)
    assert found.inputs.exact == (2 if runtime_available()[0] else None)
    assert [layer.op for layer in found.layers][-2:] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert sum(layer.cost.instructions.low for layer in found.layers) == pytest.approx(
        found.total.instructions.low, rel=1e-3
    )
    macs = 2_656_768  # multiplications of the model
    assert 2 * macs < found.total.zero_wait.low < 20 * macs
    assert found.memory.ram.arena <= 1.1 * 16_000
    assert main_flash(subject_of(folder / "kws_ref_model.tflite", "stm32l4r5zi").memory).size == 2 << 20
