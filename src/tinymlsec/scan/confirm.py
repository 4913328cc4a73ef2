"""`scan --confirm`: what the real runtime does with a file, in a worker process that may die of it.

Static rules say what a kernel could do. Here the file is loaded and run: a refusal, a crash or a hang is evidence. A
run that ends is no proof of soundness: damage can stay unseen. Files that our own reader refuses are run as well, for
this is the one place where they may reach the runtime.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import BudgetExceeded, OracleCrash, OracleError, OracleRejected, OracleTimeout, UsageError
from tinymlsec.records import Confidence, Finding, Location, Record

if TYPE_CHECKING:
    from pathlib import Path

    from tinymlsec.target.oracle import Limits, ModelHandle, OraclePool, TensorDetail

TFLITE_MICRO, LITERT = "tflite-micro", "litert"
RUNTIMES = (TFLITE_MICRO, LITERT)
CONFIRMABLE = ("STRUCT", "IDX", "FLOW", "OPT", "QUANT", "SHAPE", "RUN")
"""Families whose findings a run of the file says something about."""
RANDOM_ROWS = 2
"""Random inputs beside zeros, the lowest and the highest value."""
LOAD_SECONDS, CALL_SECONDS = 10.0, 5.0


class Outcome(StrEnum):
    """What a runtime did with a file."""

    GUARDED = "guarded"
    """It refused the file, or its inference, with a message."""
    RAN = "ran"
    """It loaded and ran it; what was computed is another question."""
    CRASH = "crash"
    """The process died."""
    HANG = "hang"
    """It did not come to an end within its time."""
    NOT_RUN = "not run"
    """It could not be tried."""


class Confirmation(Record):
    """One runtime and one file."""

    runtime: str
    """Package that ran it."""
    version: str
    outcome: Outcome
    step: str = ""
    """``load`` or ``invoke``: where it ended; empty where it did not."""
    signal: str = ""
    """Signal that ended the process, such as ``SIGFPE``."""
    detail: str = ""
    """The runtime's own words, or why nothing was run."""
    inferences: int = 0
    """Inferences that came to an end."""
    outputs: tuple[tuple[int, ...], ...] = ()
    """Shapes of the outputs as the runtime has them; hosts work them out, where microcontrollers take the file's."""
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """One sentence for messages."""
        where = {"load": "when the model was loaded", "invoke": "at an inference"}.get(self.step, "")
        told = f": {self.detail}" if self.detail else ""
        texts = {
            Outcome.GUARDED: f"refused it {where}{told}",
            Outcome.RAN: f"ran it {self.inferences} times without complaint",
            Outcome.CRASH: f"was ended by {self.signal or 'a crash'} {where}",
            Outcome.HANG: f"did not come to an end {where}",
            Outcome.NOT_RUN: f"was not tried{told}",
        }
        return f"{self.runtime} {self.version}".rstrip() + f" {texts[self.outcome]}".rstrip()


def confirm_file(
    data: bytes, runtimes: Sequence[str] = (TFLITE_MICRO,), limits: Limits | None = None
) -> tuple[Confirmation, ...]:
    """Runs a file on runtimes, each in a process of its own that is started for it and ended after it.

    Args:
        data: the file, readable or not.
        runtimes: names out of `RUNTIMES`.
        limits: memory and time of the worker.

    Raises:
        UsageError: an unknown runtime.
    """
    unknown = sorted(set(runtimes) - set(RUNTIMES))
    if unknown:
        raise UsageError("there is no such runtime to confirm with", found=unknown[0], expected=", ".join(RUNTIMES))
    return tuple(_confirm(data, name, limits) for name in runtimes)


def confirm_all(data: bytes, table: str, firmware: Path | None = None) -> tuple[Confirmation, ...]:
    """Runs a file on what a scan is about.

    Args:
        data: the file.
        table: id of the runtime table that findings are relative to; LiteRT joins in where it is LiteRT's.
        firmware: an image whose model is exchanged for this one.

    Raises:
        FirmwareError, InputError: the image is no usable firmware.
    """
    seen = confirm_file(data, RUNTIMES if table.startswith(LITERT) else RUNTIMES[:1])
    if firmware is None:
        return seen
    from tinymlsec.scan.confirm_firmware import confirm_in_firmware

    return (*seen, confirm_in_firmware(data, firmware))


def _confirm(data: bytes, runtime: str, limits: Limits | None) -> Confirmation:
    version, reason = _available(runtime)
    if reason:
        return Confirmation(runtime=runtime, version=version, outcome=Outcome.NOT_RUN, detail=reason)
    start = time.monotonic()
    with _pool(runtime, limits) as pool:
        outcome, step, inferences, outputs, error = _run(pool, data)
    return Confirmation(
        runtime=runtime, version=version, outcome=outcome, step=step,
        signal=(error.signal or "") if isinstance(error, OracleCrash) else "", detail=_detail(error),
        inferences=inferences, outputs=outputs, seconds=round(time.monotonic() - start, 3),
    )  # fmt: skip


def _available(runtime: str) -> tuple[str, str]:
    """(version, why it cannot be run) of a runtime; the reason is empty where it can."""
    from importlib import metadata

    from tinymlsec.target.litert import litert_available
    from tinymlsec.target.oracle import runtime_available, versions

    if runtime == TFLITE_MICRO:
        there, text = runtime_available()
        return versions().get("tflite-micro", ""), "" if there else text
    if not litert_available():
        return "", "LiteRT is not installed: pip install 'tinymlsec[litert]'"
    return metadata.version("ai-edge-litert"), ""


def _pool(runtime: str, limits: Limits | None) -> OraclePool:
    from tinymlsec.target.litert import litert_pool
    from tinymlsec.target.oracle import Limits, OraclePool

    limits = limits or Limits(seconds_load=LOAD_SECONDS, seconds_per_call=CALL_SECONDS)
    # LiteRT without its delegate: the kernels that share their sources with the microcontroller's.
    return litert_pool("ruy", limits=limits) if runtime == LITERT else OraclePool(1, limits)


def _run(pool: OraclePool, data: bytes) -> tuple[Outcome, str, int, tuple[tuple[int, ...], ...], OracleError | None]:
    """(outcome, step, finished inferences, output shapes, error) of loading a file and running it on a few inputs."""
    step, done = "load", 0
    outputs: tuple[tuple[int, ...], ...] = ()
    try:
        handle = pool.open(data)
        step, outputs = "invoke", tuple(detail.shape for detail in handle.outputs)
        for row in _inputs(handle):
            handle.run_all(row)
            done += 1
    except OracleRejected as error:
        return Outcome.GUARDED, step, done, outputs, error
    except OracleCrash as error:
        return Outcome.CRASH, step, done, outputs, error
    except OracleTimeout as error:
        return Outcome.HANG, step, done, outputs, error
    except (OracleError, BudgetExceeded, UsageError) as error:
        return Outcome.NOT_RUN, step, done, outputs, OracleError(str(error).splitlines()[0])
    return Outcome.RAN, "", done, outputs, None


def _inputs(handle: ModelHandle) -> Iterable[list[NDArray[Any]]]:
    """Zeros, the lowest and the highest values, and random ones: (1, *shape) for every input."""
    rng = np.random.default_rng(0)
    yield [np.zeros((1, *detail.shape), detail.dtype) for detail in handle.inputs]
    for end in (0, 1):
        yield [np.full((1, *detail.shape), _limits(detail)[end], detail.dtype) for detail in handle.inputs]
    for _ in range(RANDOM_ROWS):
        yield [_random(rng, detail)[None] for detail in handle.inputs]


def _limits(detail: TensorDetail) -> tuple[Any, Any]:
    dtype = np.dtype(detail.dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return info.min, info.max
    return (False, True) if dtype.kind == "b" else (-1e4, 1e4)


def _random(rng: np.random.Generator, detail: TensorDetail) -> NDArray[Any]:
    dtype = np.dtype(detail.dtype)
    if dtype.kind in "iu":
        low, high = _limits(detail)
        return rng.integers(low, high, detail.shape, dtype, endpoint=True)
    if dtype.kind == "b":
        return rng.random(detail.shape) < 0.5
    return rng.normal(size=detail.shape).astype(dtype)


def _detail(error: OracleError | None) -> str:
    """The runtime's words: what it printed, else what its binding raised."""
    if error is None or isinstance(error, OracleCrash | OracleTimeout):
        return ""
    printed = error.message.partition(": ")[2] or error.message
    return " ".join(printed.split())[:300]


def apply_confirmations(findings: Sequence[Finding], confirmations: Sequence[Confirmation]) -> tuple[Finding, ...]:
    """Findings with what was seen: surer and with a sentence more; and RUN-07 for a crash or a hang.

    A run that ended without complaint makes nothing surer. Where several findings could be the reason, each of them
    says how many there are.

    Args:
        findings: of one file.
        confirmations: of the same file.
    """
    ran = [each for each in confirmations if each.outcome is not Outcome.NOT_RUN]
    if not ran:
        return tuple(findings)
    about = [finding for finding in findings if _confirmable(finding)]
    sure = any(each.outcome is not Outcome.RAN for each in ran)
    told = "; ".join(each.words for each in ran)
    several = f" (one of {len(about)} findings that can be the reason)" if len(about) > 1 and sure else ""
    sentence = f"Seen: {told}{several}."
    changed = [_with(finding, sentence, sure) if _confirmable(finding) else finding for finding in findings]
    return (*changed, *_own(ran))


def _confirmable(finding: Finding) -> bool:
    return finding.id.partition("-")[0] in CONFIRMABLE and finding.severity.rank > 0


def _with(finding: Finding, sentence: str, sure: bool) -> Finding:
    confidence = Confidence.HIGH if sure else finding.confidence
    return finding.model_copy(update={"message": f"{finding.message} {sentence}", "confidence": confidence})


def _own(confirmations: Sequence[Confirmation]) -> list[Finding]:
    """RUN-07 where a runtime crashed or hung."""
    from tinymlsec.rules.discovery import rule_book
    from tinymlsec.rules.rule import Hit

    bad = [each for each in confirmations if each.outcome in (Outcome.CRASH, Outcome.HANG)]
    rule = rule_book().get("RUN-07")
    return [rule.finding(Hit(f"{each.words[:1].upper()}{each.words[1:]}.", Location(file_offset=0))) for each in bad]
