"""`export-c` as a user meets it: the README's commands are run as they stand, what they build is run, and mistakes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emulate.codegen_models import on_runtime, real_model
from lift.models import FILES, small_network
from tinymlsec.emulate.contract import RunEnd
from tinymlsec.emulate.cores import core_for
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.target.device import load_device
from tinymlsec.target.firmware.load import load_image
from tinymlsec.target.oracle import OraclePool, runtime_available

Call = Callable[..., "subprocess.CompletedProcess[str]"]
STRICT = "-std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Werror"
needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs `tinymlsec export-c` in an empty folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tinymlsec", "export-c", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    return run


def needs(*programs: str) -> None:
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def follow_readme(project: Path, number: int) -> None:
    """Runs the commands of one block of the README, with this Python; pip has nothing left to do here."""
    block = re.findall(r"```sh\n(.*?)```", (project / "README.md").read_text(encoding="utf-8"), re.DOTALL)[number]
    script = "\n".join(line for line in block.splitlines() if not line.startswith("pip "))
    words = f"set -e\npython() {{ '{sys.executable}' \"$@\"; }}\n{script}"
    environment = os.environ | {"CFLAGS": STRICT}
    done = subprocess.run(
        ["bash", "-c", words], cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def example(project: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [str(project / "build" / "tms_example"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_runtime
@pytest.mark.parametrize("style", ["plain", "dsp"])
def test_a_project_for_this_computer(
    style: str, call: Call, tmp_path: Path, shared_data: Path, pool: OraclePool
) -> None:
    needs("cmake", "cc", "bash")
    real, project = real_model(shared_data, "kws").first(5), tmp_path / "kws"
    done = call(shared_data / FILES["kws"], "-o", project, "--style", style)
    assert (done.returncode, done.stderr) == (0, "")
    assert "13 layers" in done.stdout
    follow_readme(project, 0)
    for row, expected in zip(real.inputs, on_runtime(real, pool), strict=True):
        (tmp_path / "input.bin").write_bytes(row.tobytes())
        printed = example(project, tmp_path / "input.bin").stdout
        assert bytes.fromhex(printed.split(":")[1]) == expected.tobytes()
    (tmp_path / "input.bin").write_bytes(b"short")
    short = example(project, tmp_path / "input.bin")
    assert short.returncode == 1
    assert "cannot read 490 bytes" in short.stderr


@needs_runtime
@pytest.mark.parametrize(
    ("device", "style", "programs", "elf"),
    [
        ("stm32l4r5zi", "dsp", ("cmake", "arm-none-eabi-gcc"), "build-device/tms_firmware.elf"),
        ("esp32-c3", "plain", (), "tms_firmware.elf"),
    ],
)
def test_a_project_for_a_device(
    device: str, style: str, programs: tuple[str, ...], elf: str, call: Call, tmp_path: Path, shared_data: Path,
    pool: OraclePool,
) -> None:  # fmt: skip
    needs("bash", *programs)
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
    from tinymlsec.emulate.machine import Machine

    real, project = real_model(shared_data, "kws").first(2), tmp_path / "kws"
    done = call(shared_data / FILES["kws"], "-o", project, "--style", style, "--device", device)
    assert (done.returncode, done.stderr) == (0, "")
    follow_readme(project, 1)
    image, record = load_image(project / elf), load_device(device)
    core = core_for(record).core
    assert core is not None
    with Machine(image, core, memory_map(record, core)) as machine:
        machine.boot(image.symbols["tms_idle"].address)
        pointers = [machine.read(image.symbols[name].address, 4) for name in ("tms_input", "tms_output")]
        source, target = (int.from_bytes(data, "little") for data in pointers)
        for row, expected in zip(real.inputs, on_runtime(real, pool), strict=True):
            assert machine.call("tms_infer", 0, 0, inputs={source: row.tobytes()}).end is RunEnd.DONE
            assert machine.read(target, expected.size) == expected.tobytes()


def test_the_header_is_cpp_too(call: Call, tmp_path: Path) -> None:
    needs("c++")
    (tmp_path / "small.tflite").write_bytes(small_network().tobytes())
    assert call("small.tflite", "-o", "out").returncode == 0
    (tmp_path / "use.cpp").write_text('#include "tms_model.h"\nfloat scale = TMS_INPUT_0_SCALE;\n')
    command = ["c++", "-std=c++11", "-Wall", "-Wpedantic", "-Werror", "-fsyntax-only", "-Iout/src", "use.cpp"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, and an error that says these words; no traceback."""
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    flat = " ".join(done.stderr.split())
    assert [word for word in words if word not in flat] == [], done.stderr


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_network().tobytes())
    return path


def test_a_folder_that_is_taken_is_left_alone(call: Call, tmp_path: Path, small: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    refused(call(small, "-o", "out"), "not empty", "out", "choose another -o")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_written(call: Call, tmp_path: Path, small: Path) -> None:
    refused(call(small, "-o", "missing/out"), "cannot be written", "missing/out", "No such file or directory")
    refused(call(small, "-o", "/proc/out"), "cannot be written", "/proc/out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.tflite"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--style", "fast"), ("unknown style", "fast", "plain, unrolled, dsp")),
        (("--device", "stm99"), ("stm99", "tinymlsec list devices")),
        (("--device", "esp32"), ("no firmware is generated", "Xtensa", "leave --device out")),
        (("--device", "stm32f103c8", "--style", "dsp"), ("Cortex-M3 has no DSP instructions", "style plain")),
    ],
)
def test_choices_that_do_not_exist(
    arguments: tuple[str, ...], words: tuple[str, ...], call: Call, tmp_path: Path, small: Path
) -> None:
    refused(call(small, "-o", "out", *arguments), *words)
    assert not (tmp_path / "out").exists()


def test_models_that_do_not_become_c(call: Call, tmp_path: Path, shared_data: Path) -> None:
    refused(
        call(shared_data / "tflm_micro_speech" / "audio_preprocessor_int8.tflite", "-o", "out"),
        "operator 0 (SignalWindow)", "not covered", "list ops",
    )  # fmt: skip
    refused(call(shared_data / FILES["vww"], "-o", "out", "--device", "stm32f103c8"), "does not fit", "short by")
    (tmp_path / "text.tflite").write_text("no model")
    refused(call("text.tflite", "-o", "out"), "text.tflite")
    refused(call("absent.tflite", "-o", "out"), "absent.tflite")
    assert not (tmp_path / "out").exists()


def test_the_same_model_gives_the_same_files(call: Call, tmp_path: Path, small: Path) -> None:
    for name in ("a", "b"):
        assert call(small, "-o", name, "--device", "stm32l4r5zi").returncode == 0
    a, b = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("a", "b"))
    assert a == b
    assert len(a) > 20
