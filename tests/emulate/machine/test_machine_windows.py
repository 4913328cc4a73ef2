"""Windows by name, on a generated model: run from inside of an inference they do their part of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from tinymlsec.emulate.codegen.generator import generate
from tinymlsec.emulate.codegen.layout import firmware_files
from tinymlsec.emulate.codegen.program import Program
from tinymlsec.emulate.contract import Probe, RunEnd, Window
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.machine import Machine
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import build_firmware
from tinymlsec.emulate.twin import build_twin
from tinymlsec.emulate.windows import enter, named
from tinymlsec.errors import MachineError, UsageError
from tinymlsec.examples import digits_model
from tinymlsec.target.firmware.load import load_image
from tinymlsec.target.tflite.reader import read_model

Ready = tuple[Machine, Program, Window]


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    core = CORES["cortex-m4"]
    program, memory = generate(read_model(digits_model())), memory_map(None, core)
    image = load_image(build_firmware(firmware_files(program, core, memory), core).elf)
    with Machine(image, core, memory) as machine:
        assert machine.boot(image.symbols["tms_idle"].address).end is RunEnd.DONE
        port = program.inputs[0]
        codes = np.random.default_rng(0).integers(-128, 128, port.bytes, np.int8)
        machine.write(image.symbols["tms_arena"].address + (port.offset or 0), codes.tobytes())
        yield machine, program, Window("infer", image.symbols["tms_infer"].address, (0, 0))


def outputs_of(machine: Machine, program: Program, index: int) -> bytes:
    span = program.layers[index].outputs[0]
    return machine.read(machine.image.symbols["tms_arena"].address + (span.offset or 0), span.bytes)


def test_a_layer_run_alone_writes_its_output(ready: Ready) -> None:
    machine, program, inference = ready
    start = machine.snapshot()
    layers = [layer for layer in program.layers if layer.pixel_symbol]
    assert layers
    for layer in layers:
        machine.restore(start)
        window = enter(machine, inference, named(f"op:{layer.index}", machine, program))
        assert machine.run(window, probe=Probe(counts=True)).end is RunEnd.DONE
        alone = outputs_of(machine, program, layer.index)
        machine.restore(start)
        following = [each for each in program.layers if each.index == layer.index + 1]
        stop = machine.address_of(following[0].symbol) if following else None
        machine.run(Window("up to the next layer", inference.start, inference.arguments, stop))
        assert alone == outputs_of(machine, program, layer.index)
        assert any(alone)
    machine.restore(start)
    machine.drop(start)


def test_pixels_together_are_the_layer(ready: Ready) -> None:
    machine, program, inference = ready
    start = machine.snapshot()
    layer = next(layer for layer in program.layers if layer.pixel_symbol)
    rows, columns, channels = layer.pixels
    enter(machine, inference, named(f"op:{layer.index}", machine, program))
    entry = machine.snapshot()
    machine.call(layer.symbol)
    whole = np.frombuffer(outputs_of(machine, program, layer.index), np.int8).reshape(rows, columns, channels)
    for y, x, c in ((0, 0, 0), (rows - 1, columns - 1, channels - 1)):
        machine.restore(start)
        window = enter(machine, inference, named(f"op:{layer.index}@{y},{x},{c}:{c + 1}", machine, program))
        result = machine.run(window, probe=Probe(registers=True))
        assert result.end is RunEnd.DONE
        one = np.frombuffer(outputs_of(machine, program, layer.index), np.int8).reshape(whole.shape)
        assert one[y, x, c] == whole[y, x, c]
    machine.restore(start)
    machine.drop(entry)
    machine.drop(start)


def test_calls_and_addresses(ready: Ready) -> None:
    machine, program, inference = ready
    layer = next(layer for layer in program.layers if layer.pixel_symbol)
    start = machine.snapshot()
    second = enter(machine, inference, named(f"{layer.pixel_symbol}#2", machine))
    assert second.start is None
    assert machine.registers()[:2] == ((0, 1) if layer.pixels[1] > 1 else (1, 0) if layer.pixels[0] > 1 else (0, 0))
    machine.restore(start)
    at = machine.address_of(layer.symbol)
    window = enter(machine, inference, named(f"pc:{at:#x}-{machine.idle:#x}", machine))
    assert machine.registers()[-1] == at
    assert window.stop == machine.idle
    machine.restore(start)
    machine.drop(start)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("op:99", "no operator 99"), ("op:0@99,0,0:1", "pixel"), ("op:x", "no window is called"),
        ("nowhere", "no symbol"),
        ("tms_infer#0", "counts calls from 1"), ("pc:12", "no window is called"),
    ],
)  # fmt: skip
def test_names_that_mean_nothing(ready: Ready, name: str, words: str) -> None:
    machine, program, _ = ready
    with pytest.raises(UsageError, match=words):
        named(name, machine, program)


def test_a_window_that_is_never_reached(ready: Ready) -> None:
    machine, program, inference = ready
    start = machine.snapshot()
    with pytest.raises(MachineError, match="does not come to the window"):
        enter(machine, inference, named("tms_reset#7", machine, program))
    machine.restore(start)
    machine.drop(start)


def test_every_address_of_a_function_ends_a_run_again(ready: Ready) -> None:
    """Blocks that the engine has translated and linked before, in runs with other ends, must not run over an end."""
    machine, program, inference = ready
    start = machine.snapshot()
    layer = next(layer for layer in program.layers if layer.op == "FULLY_CONNECTED")
    machine.restore(start)
    window = enter(machine, inference, named(f"op:{layer.index}", machine, program))
    inside = machine.snapshot()
    seen = machine.run(window, probe=Probe(registers=True)).records["pc"]
    ends, first = np.unique(seen[1:], return_index=True)
    for _ in range(2):
        for end, number in zip(ends.tolist(), first.tolist(), strict=True):
            machine.restore(inside)
            run = machine.run(Window("to", None, (), end), instructions=1_000_000)
            assert (run.end, machine.registers()[-1]) == (RunEnd.DONE, end), (hex(end), number)
        machine.restore(inside)
        assert machine.run(window).end is RunEnd.DONE
    machine.restore(start)


def test_layers_of_a_model_with_state_are_come_to_again(shared_data: Path) -> None:
    """On this firmware the engine ran over every end that earlier runs with other ends had linked."""
    twin = build_twin((shared_data / "microwakeword/vad.tflite").read_bytes(), CORES["cortex-m4f"])
    with twin.start() as running:
        machine = running.machine
        stops = [machine.address_of(layer.symbol) for layer in running.program.layers]
        for stop in (*stops, *stops, *reversed(stops)):
            machine.restore(running.ready)
            window = Window("to", running.inference.start, running.inference.arguments, stop)
            assert machine.run(window, instructions=1_000_000).end is RunEnd.DONE
            assert machine.registers()[-1] == stop
