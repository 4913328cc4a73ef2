"""Inferences on firmware that is not ours: the gadget in its own way, the interpreter in its main loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulate.foreign.foreign_builds import digits, gadget_answers, interpreter_answers, network
from emulate.foreign.foreign_texts import broken, gadget
from tinymlsec.emulate.contract import Fault, Probe, RunEnd
from tinymlsec.emulate.foreign.description import DescriptionError, description_of
from tinymlsec.emulate.foreign.examine import Question, examine, parsed
from tinymlsec.emulate.foreign.outcome import FirmwareRunError
from tinymlsec.emulate.foreign.session import Session
from tinymlsec.errors import DataError, MachineError
from tinymlsec.target.firmware import load_image
from tinymlsec.target.firmware.write import write_bin, write_hex, write_uf2

X = digits(60)


def opened(elf: Path, **changes: Any) -> Session:
    return Session.open(elf, description_of(gadget(**changes)))


def test_many_inferences_of_the_gadget(gadget_elf: Path) -> None:
    with opened(gadget_elf) as session:
        assert np.array_equal(session.infer(X), gadget_answers(network(), X))
        assert session.boot_report.text == {"console": b"ready\n"}
        assert session.boot_report.ticks >= 2


def test_each_inference_starts_from_the_same_state(gadget_elf: Path) -> None:
    """Not just equal outputs: the same instructions, and the counter of runs stays where it was."""
    with opened(gadget_elf) as session:
        made = [session.run(X[:1], Probe(counts=True)) for _ in range(3)]
        session.run(X[1:2])
        made.append(session.run(X[:1], Probe(counts=True)))
        assert len({m.result.instructions for m in made}) == 1
        assert all(m.result.counts == made[0].result.counts for m in made)
        assert all(m.text == {"console": "go\n"} for m in made)


def test_a_function_of_its_own_class_with_arguments_on_the_stack(gadget_elf: Path) -> None:
    """Model::run(this, {input, size}, {output, size}): five words, the last one on the stack; buffers are ours."""
    arguments = ["gadget::model", "input", 64, "output", 10]
    inference = {"function": "gadget::Model::run", "arguments": arguments, "returns": 0x51}
    changes = {"input": {"bytes": 64}, "output": {"bytes": 10}}
    with opened(gadget_elf, inference=inference, **changes) as session:
        assert np.array_equal(session.infer(X), gadget_answers(network(), X))
        region = next(r for r in session.memory.regions if r.address <= session.input_address < r.address + r.size)
        assert region.name == "tinymlsec buffers"
        assert session.input_address != session.output_address


def test_a_function_that_refuses_its_input(gadget_elf: Path) -> None:
    arguments = ["gadget::model", "input", 63, "output", 10]
    inference = {"function": "gadget::Model::run", "arguments": arguments, "returns": 0x51}
    changes = {"input": {"bytes": 64}, "output": {"bytes": 10}}
    with (
        opened(gadget_elf, inference=inference, **changes) as session,
        pytest.raises(FirmwareRunError, match="returned 0x52 instead of 0x51") as caught,
    ):
        session.infer(X[:2])
    assert "inference 0 of 2" in str(caught.value)


def test_on_in_the_main_loop(gadget_elf: Path) -> None:
    """No function is called: the loop goes on from where start-up ended until the second greeting."""
    boot = {"until": "gadget::classify_frame"}
    inference = {"until": "gadget::classify_frame"}
    with opened(gadget_elf, boot=boot, inference=inference) as session:
        assert np.array_equal(session.infer(X), gadget_answers(network(), X))
        assert session.window.start is None


def test_watched_or_not_it_computes_the_same(gadget_elf: Path, stripped_interpreter_elf: Path) -> None:
    """Unwatched runs look at blocks only: ends that are counted, clocks and waits are the same all the same."""
    loop = {"boot": {"until": "gadget::classify_frame"}, "inference": {"until": "gadget::classify_frame", "hit": 4}}
    suggested = parsed(examine(Question(stripped_interpreter_elf)).suggestion)
    for elf, description in (
        (gadget_elf, description_of(gadget(**loop))),
        (gadget_elf, description_of(gadget(**loop, systick={"every": 500, "counter": "board::ticks"}))),
        (stripped_interpreter_elf, suggested),
    ):
        with Session.open(elf, description) as session:
            for row in X[:5]:
                fast, slow = session.run(row[None]), session.run(row[None], Probe(counts=True))
                assert fast.ending.ok
                assert slow.ending.ok
                assert np.array_equal(fast.output, slow.output)
                assert fast.text == slow.text
                # ticks come where a block begins, and watched code has more blocks
                assert abs(fast.result.instructions - slow.result.instructions) <= 200


def test_stubs_take_the_place_of_functions(gadget_elf: Path) -> None:
    """The driver is stubbed, so that no register is needed; waiting for the tick is stubbed, so that no clock is."""
    changes = {
        "systick": None,
        "peripheral": None,
        "uart": [{"name": "log", "function": "board::Uart::print", "takes": "text", "argument": 1}],
        "stub": [{"function": "board::pause"}],
    }
    with opened(gadget_elf, **changes) as session:
        assert np.array_equal(session.infer(X), gadget_answers(network(), X))
        assert session.boot_report.text == {"log": b"ready\n"}
        assert session.run(X[:1]).text == {"log": "go\n"}


def test_a_counter_instead_of_a_handler(gadget_elf: Path) -> None:
    with opened(gadget_elf, systick={"every": 500, "counter": "board::ticks"}) as session:
        assert np.array_equal(session.infer(X[:5]), gadget_answers(network(), X[:5]))


def test_only_a_function_without_start_up(broken_elfs: dict[str, Path]) -> None:
    """start = "none": the stack is set up and the function is called, nothing else."""
    description = description_of(broken(boot={"start": "none"}, systick=None))
    x = np.arange(128, dtype=np.uint8).reshape(2, 64)
    with Session.open(broken_elfs["cortex-m4"], description) as session:
        assert np.array_equal(session.infer(x), x[:, :4] + 1)
        assert session.boot.instructions <= 1


def test_an_init_function_instead_of_start_up(broken_elfs: dict[str, Path]) -> None:
    description = description_of(broken(boot={"start": "none", "init": "counts_ticks_with_interrupts_off"}))
    with Session.open(broken_elfs["cortex-m4"], description) as session:
        assert session.boot.instructions > 20_000


def test_a_buffer_behind_a_pointer(broken_elfs: dict[str, Path]) -> None:
    pointed = {"at": "chosen", "bytes": 64, "type": "uint8", "pointer": True}
    x = np.arange(64, dtype=np.uint8)[None]
    with Session.open(broken_elfs["cortex-m4"], description_of(broken(input=pointed))) as session:
        assert session.input_address == load_image(broken_elfs["cortex-m4"]).symbols["frame"].address
        assert session.infer(x).tolist() == [[1, 2, 3, 4]]


def test_a_pointer_that_leads_nowhere(broken_elfs: dict[str, Path]) -> None:
    pointed = {"at": "nowhere", "bytes": 64, "type": "uint8", "pointer": True}
    with pytest.raises(DescriptionError, match="leads nowhere after start-up") as caught:
        Session.open(broken_elfs["cortex-m4"], description_of(broken(input=pointed)))
    assert "0x00000000, which is no memory" in str(caught.value)


def test_sizes_as_arguments(broken_elfs: dict[str, Path]) -> None:
    inference = {"function": "adds", "arguments": ["input", "output", "input_bytes", "output_bytes"], "returns": 6}
    io = {"input": {"bytes": 6, "type": "uint8"}, "output": {"bytes": 3, "type": "uint8"}}
    x = np.array([[1, 2, 3, 40, 50, 60]], np.uint8)
    for core in ("cortex-m4", "cortex-m0plus"):
        description = description_of(broken(core=core, inference=inference, **io))
        with Session.open(broken_elfs[core], description) as session:
            assert session.infer(x).tolist() == [[61, 52, 43]]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((2, 63), np.int8), "64 values of int8"),
        (np.zeros((2, 8, 9), np.int8), "(2, 8, 9)"),
        (np.zeros((2, 64), np.float32), "float32"),
        (np.zeros((2, 64), np.uint8), "as input.type says"),
        (np.int8(3), "(n, ...)"),
    ],
)
def test_inputs_of_another_size_or_type(gadget_elf: Path, x: np.ndarray, words: str) -> None:
    with opened(gadget_elf) as session, pytest.raises(DataError) as caught:
        session.infer(x)
    assert words in str(caught.value)


def test_shapes_of_all_kinds_of_the_right_size(gadget_elf: Path) -> None:
    with opened(gadget_elf) as session:
        assert np.array_equal(session.infer(X[:3].reshape(3, 8, 8, 1)), gadget_answers(network(), X[:3]))
        assert session.infer(X[:0]).shape == (0, 10)
        with pytest.raises(DataError, match="one input at a time"):
            session.run(X[:2])


def test_faults_and_records(gadget_elf: Path) -> None:
    """A skipped instruction of the last store changes the output; the next inference is right again."""
    with opened(gadget_elf) as session:
        dense = load_image(gadget_elf).symbols_named("gadget::Model::dense")[0]
        probe = Probe(registers=True, ranges=((dense.address, dense.address + dense.size),))
        observed = session.run(X[:1], probe)
        assert len(observed.result.records) > 1000
        right = gadget_answers(network(), X[:1])[0]
        assert np.array_equal(observed.output, right)
        changed = 0
        for index in range(3000, 3040):
            injected = session.run(X[:1], None, Fault("skip", index))
            changed += not injected.ending.ok or not np.array_equal(injected.output, right)
        assert changed
        assert np.array_equal(session.infer(X[:1])[0], right)


def test_hex_and_uf2_and_raw_with_addresses(gadget_elf: Path, tmp_path: Path) -> None:
    """The same firmware without symbols in each kind of file: places are addresses."""
    image = load_image(gadget_elf)

    def at(name: str) -> int:
        return image.symbols_named(name)[0].address

    data = gadget(
        boot={"until": at("gadget::main_loop")},
        inference={"function": at("gadget::classify_frame"), "returns": 0x51},
        input={"at": at("gadget::frame"), "bytes": 64},
        output={"at": at("gadget::scores"), "bytes": 10},
        systick={"every": 2000, "handler": at("SysTick_Handler")},
    )
    start = image.stored()[0][0]
    files = {"gadget.hex": write_hex(image), "gadget.uf2": write_uf2(image), "gadget.bin": write_bin(image)}
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with Session.open(path, description_of(data), base=start if name.endswith("bin") else None) as session:
            assert np.array_equal(session.infer(X[:4]), gadget_answers(network(), X[:4])), name


def test_the_suggestion_for_a_stripped_interpreter_works(stripped_interpreter_elf: Path) -> None:
    """What doctor suggests is fed back and gives the right answers to inputs it has not seen."""
    found = examine(Question(stripped_interpreter_elf))
    with Session.open(stripped_interpreter_elf, parsed(found.suggestion)) as session:
        assert np.array_equal(session.infer(X), interpreter_answers(network(), X))


def test_each_layer_is_a_window(stripped_interpreter_elf: Path) -> None:
    """Without symbols: every layer is entered, run alone, and computes what it computes in the whole."""
    found = examine(Question(stripped_interpreter_elf))
    assert found.run is not None
    with Session.open(stripped_interpreter_elf, parsed(found.suggestion)) as session:
        layers = session.layers()
        assert layers == found.run.windows
        flat = layers[0].outputs[0]
        assert flat is not None
        for layer in layers:
            window = session.enter(layer, X[:1])
            assert session.machine.registers()[-1] == layer.invoke
            made = session.machine.run(window, probe=Probe(registers=True))
            assert made.end is RunEnd.DONE
            assert len(made.records) == made.instructions > 100
            assert session.machine.read(flat.address, flat.bytes) == X[:1].tobytes()
        last = layers[-1].outputs[0]
        assert last is not None
        read = np.frombuffer(session.machine.read(last.address, last.bytes), np.int8)
        assert np.array_equal(read, interpreter_answers(network(), X[:1])[0])


def test_a_campaign_on_one_layer(stripped_interpreter_elf: Path) -> None:
    """The last layer alone, from a snapshot, with other inputs each time: outputs and records of each."""
    with Session.open(
        stripped_interpreter_elf, parsed(examine(Question(stripped_interpreter_elf)).suggestion)
    ) as session:
        layer = session.layers()[2]
        window = session.enter(layer, X[:1])
        source, target = layer.inputs[0], layer.outputs[0]
        assert source is not None
        assert target is not None
        hidden = np.random.default_rng(0).integers(-128, 128, (40, source.bytes)).astype(np.int8)
        made = session.machine.campaign(
            window, [(source.address, hidden.view(np.uint8))], take=("hw",), outputs=[(target.address, target.bytes)]
        )
        net = network()
        total = (hidden.astype(np.int64) + 128) @ net.weights[1].astype(np.int64).T + net.bias[1]
        order = np.argsort(total, axis=1, kind="stable")
        outputs = made.outputs[0].view(np.int8)
        assert len(np.unique(outputs, axis=0)) > 30
        assert (np.diff(np.take_along_axis(outputs, order, axis=1).astype(int), axis=1) >= 0).all()
        assert made.samples["hw"].shape[0] == 40


def test_windows_by_name(gadget_elf: Path) -> None:
    """Functions and addresses; a window that the inference does not come to is told."""
    with opened(gadget_elf) as session:
        dense = session.image.symbols_named("gadget::Model::dense")[0]
        for call in (1, 2):
            window = session.enter(f"{dense.name}#{call}", X[:1])
            assert session.machine.registers()[-1] == dense.address
            assert session.machine.run(window).end is RunEnd.DONE
        with pytest.raises(MachineError, match="does not come to the window"):
            session.enter(f"{dense.name}#3", X[:1])


def test_start_up_that_never_gets_there(broken_elfs: dict[str, Path]) -> None:
    boot = {"until": "never_returns", "instructions": 100_000}
    with pytest.raises(FirmwareRunError, match="does not start: it did not get there") as caught:
        Session.open(broken_elfs["cortex-m4"], description_of(broken(boot=boot)))
    assert "100,000 instructions" in str(caught.value)
    assert "in works" in str(caught.value) or "in main_loop" in str(caught.value)
    assert caught.value.ending is not None
    assert caught.value.ending.end is RunEnd.TIMEOUT
    json.dumps(caught.value.ending.symbol)
