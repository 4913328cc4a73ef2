"""Builds of firmware and host libraries: cached by content, the same bytes everywhere, clear errors, nothing left."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinymlsec.emulate import build_cache, compilers
from tinymlsec.emulate.build_cache import BuildCache
from tinymlsec.emulate.compiler_run import check_files, run_compiler
from tinymlsec.emulate.compilers import Toolchain, find_gcc, find_host_compiler, find_toolchain, find_zig
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.toolchain import build_firmware, build_host_library
from tinymlsec.emulate.warm import SMALL
from tinymlsec.errors import BuildError, ToolchainError
from tinymlsec.target.firmware.load import load_image

M4 = CORES["cortex-m4"]
TOOLS = ("zig", "gcc")


def toolchain(name: str) -> Toolchain:
    found = find_zig() if name == "zig" else find_gcc()
    if found is None:
        pytest.skip(f"the compiler {name} is not installed")
    return found


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    return BuildCache(tmp_path / "builds")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_build_is_made_once_and_found_by_its_content(tool: str, cache: BuildCache) -> None:
    tools = toolchain(tool)
    first = build_firmware(SMALL, M4, toolchain=tools, cache=cache)
    again = build_firmware(dict(reversed(SMALL.items())), M4, toolchain=tools, cache=cache)
    assert (first.cached, again.cached) == (False, True)
    assert (again.digest, again.sha256, again.seconds) == (first.digest, first.sha256, first.seconds)
    assert first.compiler.startswith(tool)
    others = [
        build_firmware({**SMALL, "main.c": SMALL["main.c"] + "\n"}, M4, toolchain=tools, cache=cache),
        build_firmware(SMALL, CORES["cortex-m3"], toolchain=tools, cache=cache),
        build_firmware(SMALL, M4, toolchain=tools, cache=cache, optimize="Os"),
        build_firmware(SMALL, M4, toolchain=tools, cache=cache, extra_flags=("-DX=1",)),
    ]
    assert len({first.digest, *(each.digest for each in others)}) == 5
    assert not any(each.cached for each in others)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_bytes_wherever_it_is_built(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = toolchain(tool)
    found = []
    for name in ("a", "bb"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setenv("CPATH", str(tmp_path))
        found.append(build_firmware(SMALL, M4, toolchain=tools, cache=BuildCache(tmp_path / f"cache-{name}")).elf)
    data = [path.read_bytes() for path in found]
    assert data[0] == data[1]
    for path in (str(tmp_path), os.path.expanduser("~"), sys.prefix, tools.home):  # noqa: PTH111
        assert path.encode() not in data[0], f"the firmware has a path of this machine: {path}"


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("core", CORES)
def test_every_core_links_and_starts_where_its_script_says(core: str, tool: str) -> None:
    if tool == "gcc" and not CORES[core].gcc_flags:
        with pytest.raises(ToolchainError, match=r"does not build for RV32IMC\s+next step: use the toolchain zig"):
            build_firmware(SMALL, CORES[core], toolchain=toolchain("gcc"))
        return
    image = load_image(build_firmware(SMALL, CORES[core], toolchain=toolchain(tool)).elf)
    assert image.machine == CORES[core].machine
    assert image.entry == image.symbols["tms_start"].address


@pytest.mark.parametrize("tool", TOOLS)
def test_memory_functions_are_there(tool: str, cache: BuildCache) -> None:
    body = (
        "#include <string.h>\nvolatile size_t n = 9;\nchar a[16], b[16];\nvoid tms_start(void) {\n"
        "memcpy(a, b, n); memmove(a, b, n); memset(a, 1, n); n = (size_t)memcmp(a, b, n) + strlen(a); for (;;); }\n"
    )
    for core in ("cortex-m0plus", "cortex-m33"):
        built = build_firmware({**SMALL, "main.c": body}, CORES[core], toolchain=toolchain(tool), cache=cache)
        assert built.elf.is_file()


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_compiler_says_reaches_the_user(tool: str, cache: BuildCache, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"refuses the sources") as caught:
        build_firmware({**SMALL, "main.c": "int x = y;\n"}, M4, toolchain=toolchain(tool), cache=cache)
    assert "main.c:1:9" in str(caught.value)
    assert "tinymlsec-build" not in str(caught.value), "a path that is gone"
    assert not list((tmp_path / "builds").iterdir())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"../x.c": ""}, "no name for a source file"),
        ({"/x.c": ""}, "no name for a source file"),
        ({"a/../x.c": ""}, "no name for a source file"),
        ({"-x.c": ""}, "no name for a source file"),
        ({"x y.c": ""}, "no name for a source file"),
        ({f"{k}.c": "" for k in range(5000)}, "too many source files"),
    ],
)
def test_names_of_files_stay_in_their_folder(files: dict[str, str], words: str) -> None:
    with pytest.raises(BuildError, match=words):
        check_files(files)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"main.c": ""}, "one linker script"),
        ({**SMALL, "more.ld": ""}, "one linker script"),
        ({"main.c": "", "link.ld": "SECTIONS {}"}, "names no entry"),
    ],
)
def test_scripts_that_cannot_be(files: dict[str, str], words: str, cache: BuildCache) -> None:
    with pytest.raises(BuildError, match=words):
        build_firmware(files, M4, cache=cache, toolchain=toolchain("zig"))
    with pytest.raises(BuildError, match="O2"):
        build_firmware(SMALL, M4, cache=cache, toolchain=toolchain("zig"), optimize="O9")


def test_a_compiler_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    slow = Toolchain("gcc", "0", (sys.executable, "-c", code))
    with pytest.raises(BuildError, match=r"did not finish within 2 s"):
        run_compiler(slow, [], tmp_path, 2.0)
    child = int((tmp_path / ".log").read_text())
    for _ in range(50):
        status = subprocess.run(["ps", "-o", "stat=", "-p", str(child)], capture_output=True, text=True, check=False)
        if status.stdout.strip()[:1] in ("", "Z"):
            return
        time.sleep(0.1)
    raise AssertionError("the child still runs")


def test_compilers_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ToolchainError, match=r"no compiler for firmware[\s\S]*tinymlsec\[firmware\]"):
        find_toolchain()
    with pytest.raises(ToolchainError, match=r"toolchain gcc is not there[\s\S]*install arm-none-eabi-gcc"):
        find_toolchain("gcc")
    with pytest.raises(ToolchainError, match="zig or gcc"):
        find_toolchain("icc")
    with pytest.raises(ToolchainError, match="no compiler for this host"):
        find_host_compiler()


def test_a_library_for_this_host(cache: BuildCache, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "seven.h").write_text("#define SEVEN 7\n")
    files = {"a.c": '#include "seven.h"\nint seven(void) { return SEVEN; }\n'}

    def built() -> Path:
        return build_host_library(files, name="seven", include=[tmp_path / "more"], cache=cache)

    first = built()
    assert ctypes.CDLL(str(first)).seven() == 7
    assert built() == first
    (tmp_path / "more" / "seven.h").write_text("#define SEVEN 8\n")
    assert ctypes.CDLL(str(built())).seven() == 8, "headers are content too"


def test_a_damaged_build_is_built_again(cache: BuildCache) -> None:
    tools = toolchain("zig")
    first = build_firmware(SMALL, M4, toolchain=tools, cache=cache)
    first.elf.write_bytes(first.elf.read_bytes()[:-1] + b"?")
    again = build_firmware(SMALL, M4, toolchain=tools, cache=cache)
    assert not again.cached
    assert again.sha256 == first.sha256


def test_a_full_cache_forgets_what_was_used_longest_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_cache, "GRACE_SECONDS", 0.0)
    cache = BuildCache(tmp_path / "builds", most_bytes=2500)
    for number in range(4):
        (tmp_path / "made").write_bytes(bytes(1000))
        entry = cache.keep(f"{number}", tmp_path / "made", {})
        os.utime(entry.path.parent / "entry.json", (number, number))
    assert sorted(path.name for path in (tmp_path / "builds").iterdir()) == ["2", "3"]
    assert cache.find("0") is None
    assert cache.find("3") is not None
