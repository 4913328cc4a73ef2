"""`doctor` fills the build cache and tries the emulator; what cannot be built is told with what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tinymlsec.doctor as doctor_module
from tinymlsec.context import silent
from tinymlsec.doctor import Check, State
from tinymlsec.emulate import warm as module
from tinymlsec.emulate.compiler_run import run_compiler, zig_folder
from tinymlsec.emulate.compilers import Toolchain, find_gcc, find_zig
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.warm import LIBRARIES, Warmed, self_test, warm
from tinymlsec.errors import BuildError, MachineError, ToolchainError

needs_zig = pytest.mark.skipif(find_zig() is None, reason="needs tinymlsec[firmware]")


def python(code: str) -> Toolchain:
    """A compiler of our own."""
    return Toolchain("gcc", "0", (sys.executable, "-c", code))


def checks(progress: Any = silent) -> dict[str, Check]:
    return {check.name: check for check in doctor_module._builds(progress)}


@needs_zig
def test_everything_is_built_and_told_before() -> None:
    tools = find_zig()
    assert tools is not None
    told: list[tuple[int, int, str]] = []
    made = list(warm(tools, lambda *step: told.append(step)))
    assert [each.what for each in made] == [*CORES, *(name for name, _, _ in LIBRARIES)]
    assert [each.problem for each in made] == [""] * len(made)
    assert [done for done, _, _ in told] == list(range(len(made)))
    assert {total for _, total, _ in told} == {len(made)}
    assert told[0][2] == "building for cortex-m0plus"
    assert told[-1][2] == "building the tracer"


@needs_zig
def test_emulator_runs_what_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
    tools = find_zig()
    assert tools is not None
    assert self_test(tools) == "cortex-m4 and rv32imc"
    monkeypatch.setattr("tinymlsec.emulate.machine.Machine.read", lambda *_: bytes(16))
    with pytest.raises(MachineError, match="cortex-m4 goes wrong"):
        self_test(tools)


@pytest.mark.skipif(find_gcc() is None, reason="arm-none-eabi-gcc is not on the PATH")
def test_gcc_builds_for_arm_only() -> None:
    tools = find_gcc()
    assert tools is not None
    made = [each.what for each in warm(tools)]
    assert "cortex-m4" in made
    assert "rv32imc" not in made


def test_builds_that_take_too_long_are_not_followed_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SECONDS", -1.0)
    monkeypatch.setattr(module, "_timed", lambda *_: pytest.fail("begun all the same"))
    made = list(warm(python("")))
    assert all("not tried" in each.problem for each in made)


def test_problems_are_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "LIBRARIES", (("library", "tinymlsec.emulate.warm", "_no_library"),))
    monkeypatch.setattr(module, "_no_library", _cannot_load, raising=False)
    made = list(warm(python("import sys; sys.stderr.write('main.c:1: error: no\\n'); sys.exit(1)")))
    assert made[0].problem.startswith("gcc 0 refuses the sources: main.c:1: error: no")
    assert made[-1].problem == "failed to map segment"
    assert "TINYMLSEC_CACHE" in made[-1].fix


def _cannot_load() -> None:
    raise OSError("failed to map segment")


def test_full_disk_is_no_mistake_in_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path / "cache"))
    for words in ("warning(zcu): unable to write errors.zig: NoSpaceLeft", "cc1: fatal error: No space left on device"):
        tools = python(f"import sys; print({words!r} + chr(10)); sys.exit(1)")
        with pytest.raises(ToolchainError, match="cannot be written") as caught:
            run_compiler(tools, [], tmp_path, 60.0)
        assert not isinstance(caught.value, BuildError)
        assert "free space" in str(caught.value.next_step)
    silently = python("import sys; sys.exit(1)")
    with pytest.raises(BuildError, match="no message"):
        run_compiler(silently, [], tmp_path, 60.0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(ToolchainError, match="cannot be written"):
        run_compiler(silently, [], tmp_path, 60.0)
    monkeypatch.setattr(module, "LIBRARIES", ())
    made = list(warm(tools))
    assert made[0].fix.startswith("free space")


def test_a_compiler_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BuildError, match="did not finish within"):
        run_compiler(python("import time; time.sleep(60)"), [], tmp_path, 0.5)


def test_zigs_cache_moves_where_its_folder_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path / "cache"))
    tell = python("import os, pathlib; pathlib.Path('told').write_text(os.environ['ZIG_GLOBAL_CACHE_DIR'])")
    run_compiler(tell, [], tmp_path, 60.0)
    assert (tmp_path / "told").read_text() == str(zig_folder())
    zig_folder().chmod(0o777)  # anybody could put objects there that are linked into firmware
    run_compiler(tell, [], tmp_path, 60.0)
    assert (tmp_path / "told").read_text() == str(tmp_path / ".zig-global")
    zig_folder().chmod(0o700)
    monkeypatch.setattr("os.access", lambda *_: False)
    (tmp_path / "told").unlink()
    run_compiler(tell, [], tmp_path, 60.0)
    assert (tmp_path / "told").read_text() == str(tmp_path / ".zig-global")


@pytest.fixture
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinymlsec.emulate.toolchain.find_toolchain", lambda: python(""))


@pytest.mark.usefixtures("_tools")
def test_doctor_says_where_builds_are_kept_and_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path))
    failed = Warmed("cortex-m3", 0.0, "no room", "make some"), Warmed("cortex-m4", 0.0, "no room either")
    monkeypatch.setattr(module, "warm", lambda *_: iter((Warmed("cortex-m0plus", 0.1), *failed)))
    found = checks()
    assert found["build cache"] == Check("build cache", State.OK, str(tmp_path / "builds"))
    builds = found["firmware builds"]
    assert (builds.state, builds.fix) == (State.PROBLEM, "make some")
    assert builds.detail == "cortex-m3, cortex-m4: no room"
    assert "firmware emulator" not in found


@pytest.mark.usefixtures("_tools")
def test_doctor_tells_of_a_cache_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(module, "warm", lambda *_: iter((Warmed("cortex-m4", 0.1),)))
    monkeypatch.setattr(module, "self_test", _goes_wrong)
    monkeypatch.setattr(doctor_module, "_version", lambda name: "2.1.4")
    found = checks()
    assert found["build cache"].state is State.MISSING
    assert "TINYMLSEC_CACHE" in found["build cache"].fix
    assert found["firmware emulator"].state is State.PROBLEM
    assert "dead" in found["firmware emulator"].detail


def _goes_wrong(_: Toolchain) -> str:
    raise MachineError("the worker is dead")


def test_doctor_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Toolchain:
        raise ToolchainError("no compiler for firmware")

    monkeypatch.setattr("tinymlsec.emulate.toolchain.find_toolchain", none)
    (only,) = checks().values()
    assert (only.state, only.fix) == (State.MISSING, 'pip install "tinymlsec[firmware]"')
