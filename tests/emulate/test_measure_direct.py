"""Counting, layers and outputs on the plainest machine: every instruction seen, nothing inferred."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")

from emulate.direct_machine import DirectMachine
from tinymlsec.emulate.codegen import Style, firmware_files, generate
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.cycles import cycle_model
from tinymlsec.emulate.cycles.flash_timing import flash_timing
from tinymlsec.emulate.measure_costs import cost_of, function_costs, price
from tinymlsec.emulate.measure_fit import main_flash
from tinymlsec.emulate.measure_memory import memory_use
from tinymlsec.emulate.measure_run import run_samples, stack_size
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import build_firmware
from tinymlsec.target.device import load_device
from tinymlsec.target.firmware import load_image
from tinymlsec.target.oracle import OraclePool, runtime_available
from tinymlsec.target.tflite.reader import read_model_file


@pytest.mark.parametrize("device", ["stm32l4r5zi", "rp2040", "stm32f103c8", "esp32-c3"])
def test_hello_world_layer_by_layer(shared_data: Path, device: str) -> None:
    path = shared_data / "tflm_hello_world" / "hello_world_int8.tflite"
    model, data = read_model_file(path)
    program = generate(model, Style.PLAIN)
    core = {"stm32l4r5zi": "cortex-m4f", "rp2040": "cortex-m0plus", "stm32f103c8": "cortex-m3", "esp32-c3": "rv32imc"}
    chosen = CORES[core[device]]
    memory = memory_map(load_device(device), chosen)
    image = load_image(build_firmware(firmware_files(program, chosen, memory), chosen).elf)
    codes = np.array([-128, 0, 127], np.int8).reshape(3, 1, 1)
    timing = flash_timing(device)
    flash = timing.lines_of(main_flash(memory)) if timing is not None else None
    machine = DirectMachine(image, chosen, memory)
    runs = list(run_samples(machine, image, program, [(row.tobytes(),) for row in codes], flash))  # type: ignore[arg-type]
    prices = cycle_model(chosen)
    if runtime_available()[0]:
        with OraclePool() as pool:
            expected = pool.open(data).run(codes)
        assert [run.outputs[0] for run in runs] == [row.tobytes() for row in expected]
    for run in runs:
        _layers_and_glue_make_the_whole(run, image, prices)
        assert 16 <= run.stack < 1024
        assert stack_size(image) == 8192
    total = cost_of([price(*run.whole, prices, image) for run in runs], timing)
    assert total.instructions.low <= total.zero_wait.low * 1.01
    assert total.zero_wait.high <= total.cycles.high
    assert (total.flash_reads is not None) == (timing is not None)
    functions = function_costs([run.whole.counts for run in runs], prices, image)
    assert sum(f.cost.zero_wait.low for f in functions) <= total.zero_wait.low + 1e-6
    assert sum(f.cost.zero_wait.high for f in functions) >= total.zero_wait.high - 1e-6
    assert {"tms_infer", *(layer.symbol for layer in program.layers)} <= {f.name for f in functions}
    use = memory_use(image, program, memory, stack=runs[0].stack, stack_reserved=8192)
    assert use.ram.arena == program.arena.bytes
    assert use.flash.total == sum(len(s.data) for s in image.segments if s.data)
    assert use.flash.code > 300


def _layers_and_glue_make_the_whole(run, image, prices) -> None:  # type: ignore[no-untyped-def]
    """What the inference executes is what its layers execute, and its own few instructions between them."""
    whole = sum(n for n, _ in run.whole.counts.values())
    layers = sum(n for counts, _ in run.layers for n, _ in counts.values())
    own = sum(n for address, (n, _) in run.whole.counts.items() if image.symbol_at(address)[0] == "tms_infer")
    assert layers + own == whole
