"""Looks through a firmware file: what it is, what is found in it, and what a run of it shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.foreign.core_guess import guess_core
from tinymlsec.emulate.foreign.description import Description, DescriptionError
from tinymlsec.emulate.foreign.device_memory import flash_of
from tinymlsec.emulate.foreign.finder.static import Findings, search
from tinymlsec.emulate.foreign.first_run import FirstRun, Limits, Subject, first_run
from tinymlsec.emulate.foreign.plan import core_and_memory, target_of
from tinymlsec.emulate.foreign.suggest import FILL_IN, Target, suggestion
from tinymlsec.emulate.foreign.trial import Trial, try_out
from tinymlsec.errors import TinymlsecError

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What is asked about a firmware file."""

    path: Path
    core: str | None = None
    device: str | None = None
    description: Description | None = None
    base: int | None = None
    """Address of the first byte of a raw image."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Examination:
    """All answers."""

    image: FirmwareImage
    file_bytes: int
    core: Core
    core_reason: str
    memory: MemoryMap
    findings: Findings
    """In flash, and in RAM where it was run."""
    run: FirstRun | None
    not_run: str
    """Why it was not run, or the description that is suggested was not tried."""
    suggestion: str
    """A target description; empty where one was given."""
    trial: Trial | None
    """One inference by the description that was given, or that is suggested."""
    seconds: float


def examine(question: Question, tell: Tell = lambda text: None) -> Examination:
    """Examines a firmware file; time is bounded by the question's limits.

    Args:
        question: file and options.
        tell: is told what goes on.

    Raises:
        FirmwareError, InputError: the file is no usable firmware.
        DescriptionError, DeviceError: core, device or description do not fit it.
        MachineError: the worker process died or hung.
        CapabilityMissing: a description was given, and there is no engine to try it with.
    """
    from tinymlsec.target.firmware import load_image
    from tinymlsec.target.firmware.bytes_of_file import read_bounded

    began = time.monotonic()
    size = len(read_bounded(question.path))
    image = load_image(question.path, base=question.base)
    core, memory, reason = _target(question, image)
    tell("looking for models and names")
    findings = search(flash_of(image, core.machine == "arm"), {s.name: s.address for s in image.all_symbols})
    run, not_run, text, trial = None, "", "", None
    if question.description is not None:
        not_run = "a description was given"
        tell("running one inference")
        trial = try_out(image, question.description, findings, question.limits.seconds)
    else:
        run, not_run = _run(Subject(image, core, memory, findings), question.limits, tell)
        findings = run.findings if run is not None else findings
        text = suggestion(Target(image, core.id, question.device), findings, run)
        if run is not None and FILL_IN not in text:
            tell("trying the description")
            trial, not_run = _try(image, text, findings, question.limits.seconds)
    return Examination(
        image, size, core, reason, memory, findings, run, not_run, text, trial, time.monotonic() - began
    )  # fmt: skip


def _try(image: FirmwareImage, text: str, findings: Findings, seconds: float) -> tuple[Trial | None, str]:
    """The suggestion's trial, or why there is none: the emulator may die of what firmware does."""
    try:
        return try_out(image, parsed(text), findings, seconds), ""
    except TinymlsecError as error:
        return None, f"the description was not tried: {error.message}"


def parsed(text: str) -> Description:
    """A description from a TOML text of our own."""
    import tomllib

    from tinymlsec.emulate.foreign.description import description_of

    return description_of(tomllib.loads(text), "suggestion")


def _target(question: Question, image: FirmwareImage) -> tuple[Core, MemoryMap, str]:
    """Core, memories and why."""
    if question.description is not None:
        return *core_and_memory(question.description, image), "as described"
    if question.device is not None or question.core is not None:
        chosen = target_of(image, core=question.core, device=question.device)
        return *chosen, f"of the device {question.device}" if question.device else "as asked for"
    guess = guess_core(image)
    return *target_of(image, core=guess.core.id), guess.reason


def _run(subject: Subject, limits: Limits, tell: Tell) -> tuple[FirstRun | None, str]:
    """A first run, or why there is none. What stands in its way is told; it does not end the examination."""
    if not subject.image.machine:
        return None, "nothing tells what machine it is for"
    try:
        return first_run(subject, limits, tell), ""
    except DescriptionError:
        raise
    except TinymlsecError as error:
        return None, error.message
