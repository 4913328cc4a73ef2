"""Finds the compilers: zig from its package, gcc for Arm where it is installed, and one for this host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tinymlsec.errors import ToolchainError

GCC = "arm-none-eabi-gcc"


@dataclass(frozen=True)
class Toolchain:
    """A compiler and how to start it."""

    name: Literal["zig", "gcc", "cc"]
    """cc: the host's own compiler, for libraries only."""
    version: str
    command: tuple[str, ...]
    home: str = ""
    """Folder of the compiler, whose path it writes into debug information."""

    @property
    def title(self) -> str:
        """Name and version, such as ``zig 0.17.1``."""
        return f"{self.name} {self.version}"


def find_toolchain(prefer: str | None = None) -> Toolchain:
    """A compiler for firmware.

    Args:
        prefer: ``zig`` or ``gcc``; by default zig where it is installed, else gcc.

    Raises:
        ToolchainError: there is none, or not the one that was asked for.
    """
    if prefer not in (None, "zig", "gcc"):
        raise ToolchainError(f"unknown toolchain {prefer!r}", expected="zig or gcc")
    for name, find in (("zig", find_zig), ("gcc", find_gcc)):
        if prefer in (None, name) and (found := find()) is not None:
            return found
    what = {"zig": "the package ziglang is not installed", "gcc": f"{GCC} is not on the PATH"}
    raise ToolchainError(
        "no compiler for firmware" if prefer is None else f"the toolchain {prefer} is not there",
        found="; ".join(text for name, text in what.items() if prefer in (None, name)),
        next_step=f"install {GCC}" if prefer == "gcc" else 'pip install "tinymlsec[firmware]"',
    )


def find_host_compiler() -> Toolchain:
    """A compiler for libraries of this host: zig, else the host's own.

    Raises:
        ToolchainError: there is none.
    """
    if (zig := find_zig()) is not None:
        return zig
    path = shutil.which("cc")
    version = _version_of(path) if path else None
    if path is None or version is None:
        raise ToolchainError("no compiler for this host", next_step='pip install "tinymlsec[firmware]"')
    return Toolchain("cc", version, (path,))


def find_zig() -> Toolchain | None:
    """Zig from the package ziglang; None where it is not installed."""
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None or not sys.executable:
        return None
    try:
        version = metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        return None
    # -P: a build's folder is the current one, and nothing in it may be imported.
    return Toolchain("zig", version, (sys.executable, "-P", "-m", "ziglang", "cc"), str(Path(spec.origin).parent))


def find_gcc() -> Toolchain | None:
    """gcc for bare-metal Arm; None where it is not on the PATH or does not answer."""
    path = shutil.which(GCC)
    version = _version_of(path) if path else None
    if path is None or version is None:
        return None
    return Toolchain("gcc", version, (path,), str(Path(path).resolve().parent.parent))


@cache
def _version_of(path: str) -> str | None:
    """The version a gcc or clang tells, with its build's words: distributions patch them."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    first = done.stdout[:500].decode(errors="replace").splitlines()[:1]
    if done.returncode or not first:
        return None
    return re.sub(r"^\S+ ", "", first[0]).strip() or None
