"""Looks at the installation: what is there, what is missing, and what the missing would add."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymlsec import __version__
from tinymlsec.capabilities import HOW_TO_SUPPLY
from tinymlsec.context import Progress, silent
from tinymlsec.errors import OracleError, OracleRejected, TinymlsecError, ToolchainError

if TYPE_CHECKING:
    from rich.text import Text

    from tinymlsec.emulate.toolchain import Toolchain
    from tinymlsec.target.oracle import OraclePool

CORE = ("numpy", "pydantic", "typer", "rich", "cvss", "jinja2", "matplotlib")
"""Libraries that the core needs; the runtime has a check of its own."""

EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lift": (
        "the deployed graph in PyTorch: attacks with gradients, the search for the worst bits, training",
        ("torch",),
    ),
    "litert": ("LiteRT, which PCs and phones run, to confirm where runtimes decide differently", ("ai-edge-litert",)),
    "firmware": (
        "the model as firmware: builds it for the device's core, runs and measures it in an emulator",
        ("unicorn", "ziglang", "pyelftools", "capstone"),
    ),
    "sidechannel": (
        "traces kept on disk in chunks, signal-to-noise ratios and t-tests several times faster",
        ("scalib", "zarr"),
    ),
    "test": (
        "the test suite and what remakes the bundled example",
        ("pytest", "hypothesis", "jsonschema", "scikit-learn", "tflite", "ruff", "mypy"),
    ),
}
"""Extras that exist in this version: what each adds and the packages that make it up."""

_FIRMWARE_FIX = 'pip install "tinymlsec[firmware]"'

ADDED_BY_RUNTIME = "running models: clean accuracy, bit flips, evasion, and evidence of basis executed"


class State(StrEnum):
    """Outcome of one check."""

    OK = "ok"
    MISSING = "missing"
    """Optional and not there."""
    PROBLEM = "problem"
    """Something that should work does not."""
    ABSENT = "not in this version"


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    state: State
    detail: str
    adds: str = ""
    """What it would add where it is missing."""
    fix: str = ""
    """How to get it."""


@dataclass(frozen=True)
class DoctorReport:
    """All checks, in the order in which they are shown."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """No check found a problem. What is optional may be missing."""
        return all(check.state is not State.PROBLEM for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"ok": self.ok, "checks": [{**asdict(c), "state": c.state.value} for c in self.checks]}


def doctor(warm: bool = False, progress: Progress = silent) -> DoctorReport:
    """Checks the installation; starts the runtime once in a worker, as every assessment does.

    Args:
        warm: build minimal firmware for every core, which fills the build cache (a minute at the first time), and run
            it in the emulator.
        progress: told what is being built.
    """
    return DoctorReport(
        (
            _python(),
            Check("platform", State.OK, f"{platform.system()} {platform.release()} on {platform.machine()}"),
            Check("tinymlsec", State.OK, __version__),
            *(_library(name) for name in CORE),
            _runtime(),
            _temporary_folder(),
            Check("processors", State.OK, f"{_processors()} usable"),
            _memory(),
            *(_extra(name) for name in EXTRAS),
            _compilers(),
            *(_builds(progress) if warm else ()),
            *_not_yet(),
        )
    )


def doctor_text(report: DoctorReport) -> Text:
    """The report for a terminal, one check a line; `.plain` has it without colors."""
    from rich.text import Text

    styles = {State.OK: "green", State.MISSING: "yellow", State.PROBLEM: "bold red", State.ABSENT: "dim"}
    width = max(len(check.name) for check in report.checks)
    text = Text()
    for check in report.checks:
        text.append(f"{check.name:<{width}}  ")
        text.append(check.state.value, styles[check.state])
        text.append(f"  {check.detail}\n")
        for label, value in (("would add", check.adds), ("to get it", check.fix)):
            if value:
                text.append(f"{'':<{width}}    {label}: {value}\n")
    text.append("everything that is needed works" if report.ok else "something that should work does not: see above")
    return text


def _python() -> Check:
    return Check("python", State.OK, f"{platform.python_version()} ({platform.python_implementation()})")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _library(name: str) -> Check:
    version = _version(name)
    if version is None:
        return Check(name, State.PROBLEM, "not installed", fix="pip install --force-reinstall tinymlsec")
    return Check(name, State.OK, version)


def _runtime() -> Check:
    from tinymlsec.target.oracle import runtime_available

    name = "tflite-micro"
    available, text = runtime_available()
    if not available:
        fix = "use Linux on x86_64 (a container will do): pip install tinymlsec brings it there"
        return Check(name, State.MISSING, text, ADDED_BY_RUNTIME, fix)
    try:
        seconds, what = _self_test()
    except OracleError as error:
        fix = "pip install --force-reinstall tinymlsec; if that does not help, please report this output"
        return Check(name, State.PROBLEM, f"{text} fails its self-test: {error}", ADDED_BY_RUNTIME, fix)
    return Check(name, State.OK, f"{text}; {what}; worker ready in {seconds:.2f} s")


def _self_test() -> tuple[float, str]:
    """Seconds until the worker was ready, and what it did.

    Raises:
        OracleError: it does not start, does not refuse what is no model, or computes something wrong.
    """
    from tinymlsec.target.oracle import OraclePool

    with OraclePool(1) as pool:
        began = time.monotonic()
        try:
            pool.open(b"this is no model")
        except OracleRejected:
            seconds = time.monotonic() - began
        else:
            raise OracleError("the runtime accepted what is no model")
        model = _bundled_model()
        if model is None:
            return seconds, "started in its worker and refused what is no model"
        _check_sine(pool, model)
        return seconds, "started in its worker, refused what is no model, computed sines of its own test model"


def _bundled_model() -> bytes | None:
    """The float model of a sine in the runtime's own package."""
    spec = find_spec("tflite_micro")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "python" / "tflite_micro" / "sine_float.tflite"
    return path.read_bytes() if path.is_file() else None


def _check_sine(pool: OraclePool, model: bytes) -> None:
    import numpy as np

    x = np.linspace(0, 2 * np.pi, 32, dtype=np.float32).reshape(-1, 1, 1)
    worst = float(np.abs(pool.open(model).run(x).ravel() - np.sin(x).ravel()).max())
    if not worst < 0.1:  # the model is a rough fit: it is off by 0.04 where the runtime works
        raise OracleError("the runtime computes wrong sines", found=f"off by {worst:.3g}", expected="less than 0.1")


def _temporary_folder() -> Check:
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
    except OSError as error:
        return Check("temporary folder", State.PROBLEM, f"{folder}: {error}", fix="set TMPDIR to a writable folder")
    return Check("temporary folder", State.OK, f"{folder} is writable")


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return Check("memory", State.OK, "unknown on this platform")
    detail = f"{total / 2**30:.1f} GiB"
    if total < 2**30:
        return Check("memory", State.PROBLEM, f"{detail}; 1 GiB or more is needed")
    return Check("memory", State.OK, detail)


def _extra(name: str) -> Check:
    adds, packages = EXTRAS[name]
    missing = [package for package in packages if _version(package) is None]
    if missing:
        fix = f'pip install "tinymlsec[{name}]"'
        return Check(f"extra [{name}]", State.MISSING, f"not installed: {', '.join(missing)}", adds, fix)
    return Check(f"extra [{name}]", State.OK, "installed")


def _compilers() -> Check:
    from tinymlsec.emulate.compilers import GCC, find_gcc, find_zig

    found = [each.title for each in (find_zig(), find_gcc()) if each is not None]
    if not found:
        return Check("firmware compilers", State.MISSING, "none", EXTRAS["firmware"][0], _FIRMWARE_FIX)
    absent = "" if find_gcc() else f"; {GCC}, which is optional, is not on the PATH"
    return Check("firmware compilers", State.OK, ", ".join(found) + absent)


def _builds(progress: Progress) -> Iterator[Check]:
    """Minimal firmware for every core, where it is kept, and whether it runs."""
    from tinymlsec.emulate.toolchain import find_toolchain
    from tinymlsec.emulate.warm import warm

    name = "firmware builds"
    try:
        tools = find_toolchain()
    except ToolchainError as error:
        yield Check(name, State.MISSING, error.message, EXTRAS["firmware"][0], _FIRMWARE_FIX)
        return
    made = list(warm(tools, progress))
    yield _cache()
    detail = f"{tools.title}: " + ", ".join(f"{each.what} {each.seconds:.1f} s" for each in made if not each.problem)
    if failed := [each for each in made if each.problem]:
        words = f"{', '.join(each.what for each in failed)}: {failed[0].problem}"
        yield Check(name, State.PROBLEM, words, fix=failed[0].fix or _FIRMWARE_FIX)
        return
    yield Check(name, State.OK, detail)
    if _version("unicorn") is not None:
        yield _emulator(tools)


def _cache() -> Check:
    from tinymlsec.cache_folder import cache_folder
    from tinymlsec.emulate.build_cache import BuildCache

    name, wanted, kept = "build cache", cache_folder() / "builds", BuildCache().folder
    if kept != wanted:
        fix = "set TINYMLSEC_CACHE to a folder that is yours alone and can be written"
        return Check(name, State.MISSING, f"{wanted} cannot be used", "builds that are kept from run to run", fix)
    return Check(name, State.OK, str(kept))


def _emulator(tools: Toolchain) -> Check:
    from tinymlsec.emulate.warm import self_test

    name, began = "firmware emulator", time.monotonic()
    try:
        ran = self_test(tools)
    except TinymlsecError as error:
        return Check(name, State.PROBLEM, str(error), fix='pip install --force-reinstall "tinymlsec[firmware]"')
    return Check(name, State.OK, f"ran minimal firmware for {ran} in {time.monotonic() - began:.1f} s")


def _not_yet() -> tuple[Check, ...]:
    """Capabilities that nothing in this version supplies, in the words in which attacks are skipped for them."""
    return tuple(
        Check(f"capability {capability.value}", State.ABSENT, text)
        for capability, text in HOW_TO_SUPPLY.items()
        if "this version does not" in text
    )
