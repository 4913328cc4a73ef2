"""`tinymlsec measure`, as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")

from tinymlsec.emulate import measure_model
from tinymlsec.emulate.measure_model import CannotMeasure, check_packages
from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.target.oracle import runtime_available

HELLO = Path("tflm_hello_world/hello_world_int8.tflite")
IC = Path("mlperf_tiny_ic/pretrainedResnet_quant.tflite")
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs `tinymlsec measure` with arguments in an empty folder."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tinymlsec", "measure", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **more}
        )

    return run


def test_text_on_the_terminal_is_the_default(call: Call, shared_data: Path) -> None:
    done = call(shared_data / HELLO, "--device", "stm32l4r5zi", "--inputs", "2")
    assert done.returncode == 0, done.stderr
    assert "one inference:" in done.stdout
    assert "FULLY_CONNECTED" in done.stdout
    assert "not validated on silicon" in done.stdout
    assert "not printed: no sourced power figure" in done.stdout
    assert not done.stderr, "no progress where nobody looks"


def test_json_is_the_record_and_the_same_each_time(call: Call, shared_data: Path) -> None:
    arguments = (shared_data / HELLO, "--device", "rp2040", "--inputs", "3", "--seed", "5", "--format", "json")
    first, second = call(*arguments), call(*arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    found = Measurement.model_validate_json(first.stdout)
    assert found.device == "rp2040"
    assert found.core == "cortex-m0plus"
    assert found.inputs.exact == (3 if runtime_available()[0] else None)


def test_files_go_into_a_folder(call: Call, shared_data: Path, tmp_path: Path) -> None:
    done = call(shared_data / HELLO, "--device", "esp32-c3", "--inputs", "1", "--format", "html,svg,md", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "measurement.html", "measurement.svg", "measurement.md"
    }  # fmt: skip
    assert "one inference:" in done.stdout
    quiet = call(shared_data / HELLO, "--device", "esp32-c3", "--inputs", "1", "-o", "quiet", "--quiet")
    assert quiet.returncode == 0
    assert not quiet.stdout
    assert json.loads((tmp_path / "quiet" / "measurement.json").read_text())["device"] == "esp32-c3"


def test_a_model_that_does_not_fit_is_told_before_any_build(call: Call, shared_data: Path, tmp_path: Path) -> None:
    done = call(shared_data / IC, "--device", "stm32f103c8", TINYMLSEC_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "RAM (ram) is short by" in done.stderr
    assert "flash (flash) is short by at least" in done.stderr
    assert "bytes" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_device_without_an_engine_is_told_with_the_reason(call: Call, shared_data: Path) -> None:
    done = call(shared_data / HELLO, "--device", "esp32")
    assert done.returncode == 3
    assert "Xtensa: the emulator does not run it" in done.stderr


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--device", "stm32l4r5zi", "--style", "curly"), "plain, unrolled, dsp"),
        (("--device", "rp2040", "--style", "dsp"), "no DSP instructions"),
        (("--device", "stm32l4r5zi", "--optimize", "O9"), "O0, O1, O2, O3, Os"),
        (("--device", "stm32l4r5zi", "--toolchain", "icc"), "zig or gcc"),
        (("--device", "esp32-c3", "--toolchain", "gcc"), "gcc"),
        (("--device", "stm32l4r5zi", "--format", "pdf"), "text, json, md, html, svg"),
        (("--device", "stm32l4r5zi", "--format", "json,svg"), "-o FOLDER"),
        (("--device", "stm32l4r5zi", "--data", "nowhere.npz"), "nowhere.npz"),
        (("--device", "stm32l4r5zi", "--flash", "nowhere.toml"), "nowhere.toml"),
        (("--device", "stm32l4r5zi", "--inputs", "0"), "--inputs"),
        (("--device", "stm32l4r5zi", "--stack", "1001"), "multiple of 8"),
        (("--device", "no-such-board"), "no-such-board"),
    ],
)
def test_what_cannot_be_used_is_told(call: Call, shared_data: Path, more: tuple[str, ...], word: str) -> None:
    done = call(shared_data / HELLO, *more)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_told(call: Call) -> None:
    done = call("nothing.tflite", "--device", "rp2040")
    assert done.returncode == 2
    assert "nothing.tflite" in done.stderr


def test_data_of_another_shape_is_told(call: Call, shared_data: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", x=np.zeros((3, 7), np.int8))
    done = call(shared_data / HELLO, "--device", "rp2040", "--data", "wrong.npz")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_stack_that_is_too_small_is_an_error_or_shown(call: Call, shared_data: Path) -> None:
    done = call(shared_data / HELLO, "--device", "stm32l4r5zi", "--stack", "256", "--inputs", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["memory"]["ram"]["stack_reserved"] == 256


def test_a_missing_package_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_model, "find_spec", lambda name: None if name == "unicorn" else True)
    with pytest.raises(CannotMeasure, match="unicorn") as caught:
        check_packages()
    assert caught.value.exit_code == 3
    assert "tinymlsec[firmware]" in str(caught.value)


BOARD = """
id = "my-board"
name = "My board"
class = "TinyML"
[provenance]
cores = {{ confidence = "A", source = "manual" }}
memories = {{ confidence = "A", source = "manual" }}
features = {{ confidence = "B", source = "page" }}
[features]
[[cores]]
name = "Cortex-M4F"
isa = "Armv7E-M"
mhz = 48
[[memories]]
name = "SRAM"
kind = "sram"
bytes = {ram}
[[memories]]
name = "Flash"
kind = "flash"
bytes = 262144
[[power]]
state = "active, from flash"
mhz = 48.0
milliwatts = 12.0
source = "own bench, 2026"
confidence = "A"
"""
FLASH = """
device = "my-board"
mhz = 48.0
wait_states = 2
line_bytes = 8
source = "own manual"
confidence = "A"
[code]
lines = 0
[data]
lines = 0
"""


def test_a_board_of_ones_own_with_power_and_flash(call: Call, shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(BOARD.format(ram=65536))
    (tmp_path / "flash.toml").write_text(FLASH)
    common = (shared_data / HELLO, "--device", "board.toml", "--inputs", "2", "--format", "json")
    plain = Measurement.model_validate_json(call(*common).stdout)
    waits = Measurement.model_validate_json(call(*common, "--flash", "flash.toml").stdout)
    assert plain.total.flash_reads is None
    assert waits.total.flash_reads is not None
    assert waits.total.cycles.high == waits.total.zero_wait.high + 2 * waits.total.flash_reads.high
    assert waits.total.zero_wait == plain.total.zero_wait
    assert waits.microjoules is not None
    assert waits.milliseconds is not None
    assert waits.microjoules.high == pytest.approx(12.0 * waits.milliseconds.high)
    assert "own bench" in waits.energy_note
    other = call(shared_data / HELLO, "--device", "rp2040", "--flash", "flash.toml")
    assert other.returncode == 2
    assert "my-board" in other.stderr


def test_a_board_that_lacks_only_ram(call: Call, shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(BOARD.format(ram=40960))
    done = call(shared_data / IC, "--device", "board.toml", "--style", "dsp")
    assert done.returncode == 2
    assert "RAM (ram) is short by" in done.stderr
    assert "flash (flash)" not in done.stderr
