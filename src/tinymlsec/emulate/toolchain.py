"""Builds firmware for a core, and libraries for this host, from source texts. Results are cached by content.

    build = build_firmware({"main.c": ..., "link.ld": ...}, CORES["cortex-m4"])
    build.elf

The same content gives the same bytes wherever it is built: no path of a build or of the compiler is in the result.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinymlsec.emulate import support
from tinymlsec.emulate.build_cache import BuildCache, Entry
from tinymlsec.emulate.compiler_run import MAKE_ROOM, TIMEOUT_SECONDS, check_files, laid_out, run_compiler, zig_folder
from tinymlsec.emulate.compilers import Toolchain, find_host_compiler, find_toolchain
from tinymlsec.emulate.contract import Core
from tinymlsec.errors import BuildError, ToolchainError

__all__ = ["Build", "Toolchain", "build_firmware", "build_host_library", "find_toolchain"]

OPTIMIZE = ("O0", "O1", "O2", "O3", "Os")
"""Levels of optimization. With zig, O1 and O2 give the same code."""

_VERSION = 1
"""Raised whenever this module builds otherwise than before: older builds are then not found."""
_SOURCES = (".c", ".cpp", ".S")
_ENTRY = re.compile(r"\bENTRY\s*\(\s*([A-Za-z_.$][\w.$]*)\s*\)")

_COMMON = (
    "-g", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-fno-exceptions", "-fno-common",
    "-ffp-contract=off",  # a fused multiply-add rounds once where the runtime rounds twice
)  # fmt: skip
_ZIG = ("-fno-sanitize=all", "-fomit-frame-pointer")
_GCC = ("-fmax-errors=20", "-ftrack-macro-expansion=0")
_CXX = ("-fno-rtti", "-fno-threadsafe-statics", "-fno-use-cxa-atexit")


@dataclass(frozen=True)
class Build:
    """Firmware that was built."""

    elf: Path
    """In the cache: copy it where it is to stay."""
    digest: str
    """SHA-256 of all that it was built from: files, flags, core, compiler."""
    compiler: str
    """Such as ``zig 0.17.1``."""
    flags: tuple[str, ...]
    """What the compiler was told, without names of files."""
    seconds: float
    """What building took, when it was built."""
    cached: bool
    """It was built before."""
    sha256: str = ""
    """Of the ELF."""


def build_firmware(
    files: Mapping[str, str],
    core: Core,
    *,
    optimize: str = "O2",
    toolchain: Toolchain | None = None,
    extra_flags: Sequence[str] = (),
    timeout: float = TIMEOUT_SECONDS,
    cache: BuildCache | None = None,
) -> Build:
    """Compiles and links firmware.

    Every ``.c``, ``.cpp`` (without exceptions and run-time types) and ``.S`` file is compiled, in order of their names;
    the one ``.ld`` file is the linker script, and its ``ENTRY`` is kept. ``#include`` starts at the folder of all
    files. There is no C library but `memcpy`, `memmove`, `memset`, `memcmp` and `strlen`.

    Args:
        files: relative path -> text.
        core: what it is built for.
        optimize: one of `OPTIMIZE`.
        toolchain: from `find_toolchain`, which is asked by default.
        extra_flags: further flags, such as ``-DNAME=1``.
        timeout: seconds for the compiler.
        cache: where builds are kept; by default in the user's cache folder.

    Raises:
        ToolchainError: no compiler, or none for this core.
        BuildError: the compiler refused the files or took too long.
    """
    check_files(files)
    if optimize not in OPTIMIZE:
        raise BuildError(f"unknown level of optimization {optimize!r}", expected=", ".join(OPTIMIZE))
    tools = toolchain or find_toolchain()
    script, entry = _linker_script(files)
    flags = (*_core_flags(tools, core), *_optimize_flags(tools, optimize), *_tool_flags(tools, files), *extra_flags)
    link = (*_link_flags(tools), f"-Wl,-e,{entry}", "-T", script)
    every = {**support.files_for(tools.name), **files}
    digest = _digest("firmware", every, tools, [core.id, *flags, *link])
    store = cache or BuildCache()
    made = store.find(digest)
    cached = made is not None
    if made is None:
        arguments = [*flags, *_sources(every), *link, *(["-lgcc"] if tools.name == "gcc" else []), "-o", "firmware.elf"]
        made = _make(store, digest, every, tools, arguments, "firmware.elf", timeout)
    seconds = float(made.facts.get("seconds", 0.0))
    return Build(made.path, digest, tools.title, flags, seconds, cached, made.sha256)


def build_host_library(
    files: Mapping[str, str],
    *,
    name: str,
    include: Sequence[Path] = (),
    extra_flags: Sequence[str] = (),
    timeout: float = TIMEOUT_SECONDS,
    cache: BuildCache | None = None,
) -> Path:
    """Compiles a shared library for this host, without a compiler of the host's own where zig is installed.

    Args:
        files: relative path -> text of C sources and headers.
        name: of the library: ``lib<name>.so``.
        include: folders of further headers; their texts count as content.
        extra_flags: further flags.
        timeout: seconds for the compiler.
        cache: where builds are kept; by default in the user's cache folder.

    Raises:
        ToolchainError: no compiler.
        BuildError: the compiler refused the files or took too long.
    """
    check_files({**files, f"lib{name}.so": ""})
    tools = find_host_compiler()
    flags = ("-shared", "-fPIC", "-O2", "-fno-sanitize=all", "-ffp-contract=off", *_host_cpu(tools), *extra_flags)
    headers = _headers(include)
    host = [platform.machine(), sys.platform, *platform.libc_ver()]
    digest = _digest("host", {**headers, **files}, tools, [name, *host, *flags])
    store = cache or BuildCache()
    made = store.find(digest)
    if made is None:
        folders = [f"-I{folder.resolve()}" for folder in include]
        arguments = [*flags, *folders, *_sources(files), "-o", f"lib{name}.so"]
        made = _make(store, digest, files, tools, arguments, f"lib{name}.so", timeout)
    return made.path


def _make(
    store: BuildCache,
    digest: str,
    files: Mapping[str, str],
    tools: Toolchain,
    arguments: Sequence[str],
    result: str,
    timeout: float,
) -> Entry:
    began = time.monotonic()
    try:
        with laid_out(files) as folder:
            run_compiler(tools, [*_path_flags(tools, folder), "-I.", *arguments], folder, timeout)
            if tools.name == "zig":
                _blank_paths(folder / result, (str(folder), tools.home, str(zig_folder())))
            seconds = round(time.monotonic() - began, 3)
            return store.keep(digest, folder / result, {"compiler": tools.title, "seconds": seconds})
    except OSError as error:
        raise ToolchainError("the build cannot be written", found=str(error), next_step=MAKE_ROOM) from None


def _path_flags(tools: Toolchain, folder: Path) -> tuple[str, ...]:
    """Keep the folder of the build and that of gcc's own headers out of the debug information."""
    own = () if tools.name != "gcc" else (f"-ffile-prefix-map={tools.home}=gcc",)
    return (*own, f"-ffile-prefix-map={folder}=.")


def _blank_paths(result: Path, paths: Sequence[str]) -> None:
    """Overwrites paths of this machine, which zig's runtime library has in its debug information."""
    data = result.read_bytes()
    for path in sorted(filter(None, paths), key=len, reverse=True):
        old = path.encode()
        data = data.replace(old, (b"zig" + b"/" * len(old))[: len(old)])
    result.write_bytes(data)


def _digest(kind: str, files: Mapping[str, str], tools: Toolchain, words: Sequence[str]) -> str:
    contents = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    plain = [kind, _VERSION, tools.title, list(words), contents]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _sources(files: Mapping[str, str]) -> list[str]:
    found = sorted(name for name in files if name.endswith(_SOURCES))
    if not found:
        raise BuildError("nothing to build", found=f"{len(files)} files", expected="a .c, .cpp or .S file")
    return found


def _linker_script(files: Mapping[str, str]) -> tuple[str, str]:
    """The linker script and the entry it names."""
    scripts = [name for name in files if name.endswith(".ld")]
    if len(scripts) != 1:
        raise BuildError("firmware needs one linker script", found=f"{len(scripts)} .ld files", expected="one")
    entry = _ENTRY.search(files[scripts[0]])
    if entry is None:
        raise BuildError(f"{scripts[0]} names no entry", expected="ENTRY(symbol)")
    return scripts[0], entry[1]


def _core_flags(tools: Toolchain, core: Core) -> tuple[str, ...]:
    if tools.name == "zig":
        return ("-target", core.zig_target, f"-mcpu={core.zig_cpu}")
    if tools.name != "gcc" or not core.gcc_flags:
        raise ToolchainError(f"{tools.title} does not build for {core.title}", next_step="use the toolchain zig")
    return core.gcc_flags


def _optimize_flags(tools: Toolchain, optimize: str) -> tuple[str, ...]:
    """zig takes O1 to O3 for the same; only clang's own option gives more."""
    return ("-O3", "-Xclang", "-O3") if tools.name == "zig" and optimize == "O3" else (f"-{optimize}",)


def _tool_flags(tools: Toolchain, files: Mapping[str, str]) -> tuple[str, ...]:
    cxx = _CXX if any(name.endswith(".cpp") for name in files) else ()
    own = _ZIG if tools.name == "zig" else _GCC
    return (*_COMMON, *cxx, *own, f"-idirafter{support.FOLDER}")


def _link_flags(tools: Toolchain) -> tuple[str, ...]:
    own = () if tools.name == "zig" else ("-nostdlib", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments")
    return (*own, "-Wl,--gc-sections")


def _host_cpu(tools: Toolchain) -> tuple[str, ...]:
    """A processor of 2009 or later, with popcount; not the one this runs on: caches travel with home folders."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return ()
    return ("-mcpu=x86_64_v2",) if tools.name == "zig" else ("-march=x86-64-v2",)


def wide_vectors() -> tuple[str, ...]:
    """Flags of a host library for a processor of 2013 or later, where this is one; its build is another one then.

    For inner loops that gain much by 256-bit vectors. Without them `build_host_library` takes an older processor.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ()
    flags = next((set(line.split()) for line in text.splitlines() if line.startswith("flags")), set())
    if not {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"} <= flags:
        return ()
    return ("-mcpu=x86_64_v3",) if find_host_compiler().name == "zig" else ("-march=x86-64-v3",)


def _headers(folders: Sequence[Path]) -> dict[str, str]:
    paths = [path for folder in folders for path in sorted(folder.rglob("*.h"))[:1000]]
    return {f"<{path.name}>{number}": path.read_text(errors="replace") for number, path in enumerate(paths)}
