"""`tinymlsec doctor --firmware`: what it finds in our firmwares, with symbols and without, and what it suggests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from emulate.foreign.foreign_builds import build, digits, interpreter_answers, interpreter_header, model_file, network
from emulate.foreign.foreign_texts import GADGET, broken, gadget
from tinymlsec.cli import main
from tinymlsec.emulate.foreign.description import description_of
from tinymlsec.emulate.foreign.examination_json import data_of
from tinymlsec.emulate.foreign.examination_text import lines_of
from tinymlsec.emulate.foreign.examine import Examination, Question, examine, parsed
from tinymlsec.emulate.foreign.first_run import Limits
from tinymlsec.emulate.foreign.session import Session
from tinymlsec.emulate.foreign.suggest import FILL_IN
from tinymlsec.errors import CapabilityMissing
from tinymlsec.target.firmware import load_image
from tinymlsec.target.firmware.write import write_bin, write_hex, write_uf2
from tinymlsec.target.oracle import runtime_available

LAYERS = ["RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED"]


def doctor(*arguments: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinymlsec", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=os.environ)


class Told(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def told_in_process(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Told:
    """The same without a process of its own, which is quicker."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *map(str, arguments)])
    out = capsys.readouterr()
    return Told(int(ended.value.code or 0), out.out, out.err)


def check_interpreter(found: Examination) -> None:
    """What must be found in the interpreter, whatever its file tells."""
    findings, run = found.findings, found.run
    assert findings.blob is not None
    assert findings.blob.data == model_file(network())[: len(findings.blob.data)]  # without padding at its end
    padding = len(model_file(network())) - len(findings.blob.data)
    assert padding < 16
    assert findings.registrations is not None
    assert findings.registrations.exact
    assert findings.tensors is not None
    assert findings.tensors.complete
    assert findings.interpreter is not None
    assert findings.interpreter.model - findings.blob.address < len(findings.blob.data)
    assert run is not None
    assert run.confirmed
    assert [window.operator for window in run.windows] == LAYERS
    assert [window.hit for window in run.windows] == [1, 1, 2]
    graph = findings.blob.model.main
    for window, op in zip(run.windows, graph.operators, strict=True):
        assert tuple(t.index for t in window.inputs if t) == op.inputs
        assert tuple(t.index for t in window.outputs if t) == op.outputs
        assert all(t.address for t in (*window.inputs, *window.outputs) if t)
    assert found.trial is not None
    assert found.trial.ending.ok
    if runtime_available()[0]:
        assert (found.trial.equal, found.trial.compared) == (3, 3)


@pytest.fixture(scope="module")
def with_symbols(interpreter_elf: Path) -> Examination:
    return examine(Question(interpreter_elf))


@pytest.fixture(scope="module")
def stripped(stripped_interpreter_elf: Path) -> Examination:
    return examine(Question(stripped_interpreter_elf))


def test_everything_is_found_without_symbols(stripped: Examination, with_symbols: Examination) -> None:
    check_interpreter(stripped)
    check_interpreter(with_symbols)
    assert stripped.image.stripped
    assert "no symbols: the image is stripped" in stripped.findings.missing
    assert with_symbols.findings.missing == ()


def test_what_is_found_lies_where_the_symbols_say(with_symbols: Examination, interpreter_elf: Path) -> None:
    image = load_image(interpreter_elf)

    def symbol(name: str) -> int:
        return image.symbols_named(name)[0].address

    findings, run = with_symbols.findings, with_symbols.run
    assert findings.blob is not None
    assert findings.arena is not None
    assert run is not None
    assert findings.blob.address == symbol("model_file")
    arena = image.symbols_named("mini::tensor_arena")[0]
    assert arena.address <= findings.arena.address < findings.arena.end <= arena.address + arena.size
    assert run.windows[0].invoke == symbol("mini::reshape")
    assert run.windows[1].invoke == run.windows[2].invoke == symbol("mini::dense")
    resolver = image.symbols_named("mini::resolver")[0]
    assert findings.registrations is not None
    assert resolver.address <= findings.registrations.address < resolver.address + resolver.size
    assert "SysTick" in "\n".join(lines_of(with_symbols))
    roles = {place.role: place.name for place in findings.names}
    assert "tensor_arena" in roles["arena"]


def test_the_uart_is_heard(stripped: Examination) -> None:
    run = stripped.run
    assert run is not None
    assert set(run.report.text) == {"0x40004428"}
    assert "register = 0x40004428" in stripped.suggestion
    assert run.report.ticks > 0
    assert f"handler = 0x{load_image_systick(stripped):08x}" in stripped.suggestion


def load_image_systick(found: Examination) -> int:
    assert found.image.vectors is not None
    return found.image.vectors.vectors[15] & ~1


@pytest.mark.parametrize("kind", ["hex", "uf2", "bin"])
def test_other_kinds_of_files(stripped_interpreter_elf: Path, tmp_path: Path, kind: str) -> None:
    image = load_image(stripped_interpreter_elf)
    data = {"hex": write_hex, "uf2": write_uf2, "bin": write_bin}[kind](image)
    path = tmp_path / f"firmware.{kind}"
    path.write_bytes(data)
    found = examine(Question(path))
    check_interpreter(found)
    assert found.image.kind == {"bin": "raw"}.get(kind, kind)
    assert "a guess" in found.core_reason
    x = digits(6)
    with Session.open(path, parsed(found.suggestion)) as session:
        assert np.array_equal(session.infer(x), interpreter_answers(network(), x))


def test_on_a_cortex_m0plus(tmp_path: Path) -> None:
    elf = build(tmp_path, "interpreter", interpreter_header(network()), core="cortex-m0plus", strip=True)
    found = examine(Question(elf))
    check_interpreter(found)
    assert found.core.id == "cortex-m0plus"


def test_a_device_gives_core_and_memories(stripped_interpreter_elf: Path) -> None:
    found = examine(Question(stripped_interpreter_elf, device="stm32l4r5zi"))
    check_interpreter(found)
    assert found.suggestion.startswith('device = "stm32l4r5zi"\n')
    assert {region.name: region.size for region in found.memory.regions}["flash"] == 2 << 20


def test_firmware_without_a_model(gadget_elf: Path) -> None:
    """Its network is code: nothing is claimed, names are pointed at, and what it prints is told."""
    found = examine(Question(gadget_elf))
    assert found.findings.blob is None
    assert found.run is not None
    assert found.run.windows == ()
    assert found.run.instructions < 100_000_000
    assert "compiled into code" in " ".join(found.findings.missing)
    assert FILL_IN in found.suggestion
    assert "gadget::classify_frame" in found.suggestion
    assert "gadget::frame (64 bytes)" in found.suggestion
    assert found.trial is None
    text = "\n".join(lines_of(found))
    assert "'ready\\ngo\\n" in text
    assert "still running" in text


def test_what_is_suggested_for_the_gadget_works_when_filled_in(gadget_elf: Path) -> None:
    text = examine(Question(gadget_elf)).suggestion
    text = text.replace('until = "FILL_IN"', 'until = "gadget::main_loop"')
    text = text.replace('function = "FILL_IN"', 'function = "gadget::classify_frame"')
    for role, name, size in (("input", "frame", 64), ("output", "scores", 10)):
        text = text.replace(f'[{role}]\nat = "FILL_IN"\nbytes = 1', f'[{role}]\nat = "gadget::{name}"\nbytes = {size}')
    assert FILL_IN not in text
    from emulate.foreign.foreign_builds import gadget_answers

    x = digits(5)
    with Session.open(gadget_elf, parsed(text)) as session:
        assert np.array_equal(session.infer(x), gadget_answers(network(), x))


def test_firmware_that_dies_while_starting(tmp_path: Path) -> None:
    """What it reaches for outside of all memories is taken for registers; then it goes on."""
    found = examine(Question(build(tmp_path, "broken", "", define="DIES_AT_START")))
    assert found.run is not None
    assert found.run.extra == (0x70000000,)
    assert found.run.ending.title == "still running"
    assert "address = 0x70000000" in found.suggestion


def test_json_holds_it_all_and_is_stable(stripped: Examination, stripped_interpreter_elf: Path) -> None:
    data = json.loads(json.dumps(data_of(stripped)))
    again = json.loads(json.dumps(data_of(examine(Question(stripped_interpreter_elf)))))
    for volatile in ("seconds",):
        data.pop(volatile)
        again.pop(volatile)
    assert data["run"].pop("instructions") == again["run"].pop("instructions")
    assert data == again
    assert data["image"]["stripped"] is True
    assert [window["operator"] for window in data["run"]["windows"]] == LAYERS
    assert data["models"][0]["operators"] == LAYERS
    assert data["inference"]["ok"] is True


def test_the_command(stripped_interpreter_elf: Path, tmp_path: Path) -> None:
    """Text, JSON, and the suggested description fed back through --firmware-config."""
    told = doctor("--firmware", stripped_interpreter_elf)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    assert "3 layers, confirmed by running" in told.stdout
    description = tmp_path / "suggested.toml"
    description.write_text(told.stdout.split("a target description to start from:\n")[1])
    ran = doctor("--firmware", stripped_interpreter_elf, "--firmware-config", description, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    data = json.loads(ran.stdout)
    assert data["inference"]["ok"] is True
    assert data["run"] is None
    assert data["description"] == ""


def _toml(data: dict[str, Any], path: Path) -> Path:
    """A description as a file; JSON's texts, numbers and lists are TOML's, tables are written inline."""

    def value(each: Any) -> str:
        if isinstance(each, dict):
            return "{" + ", ".join(f"{k} = {value(v)}" for k, v in each.items()) + "}"
        if isinstance(each, list):
            return "[" + ", ".join(map(value, each)) + "]"
        return json.dumps(each)

    path.write_text("\n".join(f"{key} = {value(each)}" for key, each in data.items()))
    return path


def test_an_inference_that_fails_is_a_finding(
    broken_elfs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elf = broken_elfs["cortex-m4"]
    for function, words in (("writes_flash", "write to read-only memory"), ("never_returns", "did not get there")):
        config = _toml(broken(function=function), tmp_path / f"{function}.toml")
        told = told_in_process(capsys, "--firmware", elf, "--firmware-config", config)
        assert told.returncode == 1, told.stderr
        assert words in told.stdout
        assert "broken.cpp:" in told.stdout
    config = _toml(broken(boot={"until": "never_returns", "instructions": 50_000}), tmp_path / "boot.toml")
    told = told_in_process(capsys, "--firmware", elf, "--firmware-config", config)
    assert told.returncode == 1
    assert "does not start" in told.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inference": {"function": "gadget::clasify_frame"}}, "did you mean"),
        ({"input": {"at": "gadget::frame", "bytes": 63}}, "64 bytes, as the symbol table says"),
        ({"core": "rv32imc"}, "the image is not for RV32IMC"),
        ({"core": "cortex-m9"}, "unknown core"),
        ({"inputs": 3}, "unknown key"),
    ],
)
def test_a_description_that_does_not_fit_is_bad_input(
    gadget_elf: Path, tmp_path: Path, changes: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _toml(gadget(**changes), tmp_path / "bad.toml")
    told = told_in_process(capsys, "--firmware", gadget_elf, "--firmware-config", config)
    assert told.returncode == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout == ""


def test_bad_input(gadget_elf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "gadget.toml"
    config.write_text(GADGET)
    x86 = tmp_path / "x86.elf"
    data = bytearray(gadget_elf.read_bytes())
    data[18:20] = (62).to_bytes(2, "little")
    x86.write_bytes(data)
    empty = tmp_path / "empty.elf"
    empty.write_bytes(b"")
    short = tmp_path / "short.elf"
    short.write_bytes(gadget_elf.read_bytes()[:300])
    noise = tmp_path / "noise.bin"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    cases: list[tuple[list[str | Path], str]] = [
        (["--firmware", tmp_path / "none.elf"], "cannot be read"),
        (["--firmware", tmp_path], "not a file"),
        (["--firmware", x86], "x86"),
        (["--firmware", empty], "empty"),
        (["--firmware", short], "truncated"),
        (["--firmware", noise], "give the base address"),
        (["--firmware", gadget_elf, "--core", "cortex-m44"], "did you mean 'cortex-m4'"),
        (["--firmware", gadget_elf, "--core", "rv32imc"], "not for RV32IMC"),
        (["--firmware", gadget_elf, "--core", "cortex-m4", "--device", "stm32l4r5zi"], "not both"),
        (["--firmware", gadget_elf, "--device", "esp32"], "emulate"),
        (["--firmware", gadget_elf, "--device", "no-such-device"], "no-such-device"),
        (["--firmware", gadget_elf, "--firmware-config", config, "--core", "cortex-m4"], "leave --core"),
        (["--firmware", gadget_elf, "--firmware-base", "here"], "no address"),
        (["--firmware", gadget_elf, "--firmware-base", "0"], "base address"),
        (["--firmware", gadget_elf, "--format", "xml"], "text or json"),
        (["--core", "cortex-m4"], "--firmware only"),
    ]
    for arguments, words in cases:
        told = told_in_process(capsys, *arguments)
        assert told.returncode == 2, (arguments, told.stdout, told.stderr)
        assert words.lower() in told.stderr.lower(), (arguments, told.stderr)
        assert "Traceback" not in told.stderr


def test_without_an_emulator(
    stripped_interpreter_elf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found without running is told all the same; an inference that cannot be run is exit 3."""

    def missing() -> list[str]:
        raise CapabilityMissing("firmware cannot be emulated", next_step='pip install "tinymlsec[firmware]"')

    monkeypatch.setattr("tinymlsec.emulate.machine_link.command", missing)
    told = told_in_process(capsys, "--firmware", stripped_interpreter_elf)
    assert told.returncode == 0
    assert "RESHAPE, FULLY_CONNECTED x 2" in told.stdout
    assert "none: firmware cannot be emulated" in told.stdout
    config = tmp_path / "gadget.toml"
    config.write_text(
        'core = "cortex-m4"\nboot = { start = "none" }\ninference = { function = 0x0800060c }\n'
        "input = { at = 0x20000080, bytes = 4 }\noutput = { at = 0x20000080, bytes = 4 }\n"
    )
    told = told_in_process(capsys, "--firmware", stripped_interpreter_elf, "--firmware-config", config)
    assert told.returncode == 3
    assert "tinymlsec[firmware]" in told.stderr


def test_time_is_bounded(broken_elfs: dict[str, Path]) -> None:
    """Firmware that holds a model, but never builds an interpreter."""
    found = examine(Question(broken_elfs["cortex-m4"], limits=Limits(instructions=3_000_000, seconds=20)))
    assert found.run is not None
    assert found.run.instructions < 3_001_000
    assert found.run.ending.title == "still running"


def test_the_words_of_a_file_reach_no_terminal_as_they_are(tmp_path: Path, gadget_elf: Path) -> None:
    """A symbol name with an escape sequence."""
    data = gadget_elf.read_bytes().replace(b"classify_frame", b"classi\x1b[2Jrame")
    path = tmp_path / "evil.elf"
    path.write_bytes(data)
    told = doctor("--firmware", path, "--seconds", "5")
    assert told.returncode == 0, told.stderr
    assert "\x1b" not in told.stdout + told.stderr
    found = examine(Question(path, limits=Limits(seconds=5)))
    assert "\x1b" not in found.suggestion
    description_of({"core": "cortex-m4"} | gadget())
