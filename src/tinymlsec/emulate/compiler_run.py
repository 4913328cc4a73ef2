"""Runs a compiler on some files, in a folder of its own, for a limited time."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tinymlsec.cache_folder import cache_folder, made_ours
from tinymlsec.emulate.compilers import Toolchain
from tinymlsec.errors import BuildError, ToolchainError

TIMEOUT_SECONDS = 300.0
"""For one call of a compiler. The first for a target takes seconds, a model with large weights about one."""
MAX_FILES = 4096
MAX_SOURCE_BYTES = 256 << 20
LOG_BYTES = 64 << 10
SHOWN_LINES = 12

MAKE_ROOM = "free space, or set TMPDIR and TINYMLSEC_CACHE to folders that have some"
_FULL = ("NoSpaceLeft", "No space left on device")
_NO_ROOM = 1 << 20
"""Bytes that the smallest build needs."""

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*")
_OVERFLOW = re.compile(r"region [`'](\w+)'(?::| )\s*overflowed by (\d+) bytes")
"""What linkers say: GNU's ``region `FLASH' overflowed by``, LLVM's ``not fit in region 'FLASH': overflowed by``."""
_KEPT = ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT")


class TooLarge(BuildError):
    """The linker could not place the firmware.

    Args:
        words: which memory is short, and by how much.
        short: bytes by name of the linker script's memory.
    """

    def __init__(self, words: str, short: Mapping[str, int]) -> None:
        self.short = dict(short)
        super().__init__(
            f"the firmware does not fit: {words}",
            next_step="choose a device with more memory, another level of optimization (Os), or a smaller model",
        )


def check_files(files: Mapping[str, str]) -> None:
    """Refuses files that cannot be laid out in a folder.

    Raises:
        BuildError: too many or too large, or a name that is no plain relative path.
    """
    if len(files) > MAX_FILES:
        raise BuildError("too many source files", found=str(len(files)), expected=f"<= {MAX_FILES}")
    size = sum(map(len, files.values()))
    if size > MAX_SOURCE_BYTES:
        raise BuildError("the sources are too large", found=f"{size} characters", expected=f"<= {MAX_SOURCE_BYTES}")
    for name in files:
        if len(name) > 200 or not _NAME.fullmatch(name):
            raise BuildError(
                f"{name[:100]!r} is no name for a source file", expected="letters, digits and _.+- in relative folders"
            )


@contextmanager
def laid_out(files: Mapping[str, str]) -> Iterator[Path]:
    """A temporary folder with the files in it."""
    with tempfile.TemporaryDirectory(prefix="tinymlsec-build-") as name:
        folder = Path(name).resolve()
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
        yield folder


def run_compiler(toolchain: Toolchain, arguments: Sequence[str], folder: Path, timeout: float) -> None:
    """Calls the compiler in a folder.

    Raises:
        BuildError: it refused (with the first lines of what it said) or took too long.
        ToolchainError: the disk is full.
    """
    log = folder / ".log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603
            [*toolchain.command, *arguments],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BuildError(f"{toolchain.title} did not finish within {timeout:g} s") from None
        finally:
            _end(process)
    if code != 0:
        lines = _lines(log, folder)
        _check_fits(lines)
        _check_space(lines, folder)
        raise BuildError(f"{toolchain.title} refuses the sources", found=_shown(lines))


def zig_folder() -> Path:
    """Where zig keeps its runtime library, built once for each target."""
    return cache_folder() / "zig"


def _environment(folder: Path) -> dict[str, str]:
    """Only what a compiler needs: CPATH, SOURCE_DATE_EPOCH and the like of a user would change what is built."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    shared = zig_folder()
    if not made_ours(shared):
        shared = folder / ".zig-global"
    return kept | {
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "0",
        "ZIG_GLOBAL_CACHE_DIR": str(shared),
        "ZIG_LOCAL_CACHE_DIR": str(folder / ".zig"),  # objects go with the folder: builds are cached as a whole
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the compiler with all that it started."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _lines(log: Path, folder: Path) -> list[str]:
    with log.open("rb") as file:
        text = file.read(LOG_BYTES).decode(errors="replace").replace(f"{folder}/", "")
    return [line.rstrip()[:300] for line in text.splitlines() if line.strip()]


def _check_space(lines: Sequence[str], folder: Path) -> None:
    """A full disk is no mistake in the sources either; zig says it in a hundred warnings, or has no room to."""
    told = any(words in line for line in lines for words in _FULL)
    if told or (not lines and shutil.disk_usage(folder).free < _NO_ROOM):
        raise ToolchainError("the build cannot be written", found="no space left on the device", next_step=MAKE_ROOM)


def _check_fits(lines: Sequence[str]) -> None:
    """Firmware that is too large is no mistake in the sources: what linkers say of it becomes an error of its own."""
    short: dict[str, int] = {}
    for line in lines:
        if found := _OVERFLOW.search(line):
            short[found[1]] = max(short.get(found[1], 0), int(found[2]))
    if short:
        words = ", ".join(f"{name} is short by {size} bytes" for name, size in short.items())
        raise TooLarge(words, short)


def _shown(lines: Sequence[str]) -> str:
    """What the compiler said, from its first error on."""
    first = next((number for number, line in enumerate(lines) if "error" in line), 0)
    shown = list(lines[first : first + SHOWN_LINES])
    more = len(lines) - first - len(shown)
    return "\n    ".join(shown + ([f"... {more} more lines"] if more > 0 else [])) or "no message"
