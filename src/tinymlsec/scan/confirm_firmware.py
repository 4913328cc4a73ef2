"""`scan --confirm --firmware`: what somebody's own build does with a model, its own model exchanged for it.

The image runs in the emulator's worker process, as its description says or as the finder suggests. It must run an
inference with its own model first. What is seen is evidence about this build: its kernels, its checks, its core.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import FirmwareError, TinymlsecError
from tinymlsec.scan.confirm import Confirmation, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tinymlsec.emulate.foreign.description import Description
    from tinymlsec.emulate.foreign.finder.blob import Blob
    from tinymlsec.emulate.foreign.outcome import Ending
    from tinymlsec.emulate.foreign.session import Session
    from tinymlsec.target.firmware.image import FirmwareImage

SECONDS = 60.0
"""Longest start-up, and longest inference."""
ROWS = 2
"""Random inputs beside zeros."""


def confirm_in_firmware(
    data: bytes, path: Path, description: Description | None = None, seconds: float = SECONDS
) -> Confirmation:
    """Exchanges the model in a firmware file for another one and runs inferences.

    Args:
        data: the model file; not larger than the one in the image.
        path: the firmware: ELF, Intel HEX, UF2 or raw.
        description: how to run an inference on it; None lets the finder suggest one, which takes longer.
        seconds: longest start-up and longest inference.

    Returns:
        What happened. Where nothing could be tried, the reason.

    Raises:
        FirmwareError, InputError: the file is no usable firmware.
    """
    from tinymlsec.target.firmware import load_image

    image = load_image(path)
    name, began = f"the firmware {path.name[:60]}", time.monotonic()
    try:
        blob = _blob(image)
        found = description or _suggested(path, image.digest, seconds)
        with_model = exchanged(image, blob, data)
        _run(image, found, seconds, control=True)
        outcome, step, done, ending = _run(with_model, found, seconds)
    except TinymlsecError as error:
        return Confirmation(
            runtime=name, version=image.digest[:12], outcome=Outcome.NOT_RUN, detail=error.message[:300],
            seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
    return Confirmation(
        runtime=name, version=image.digest[:12], outcome=outcome, step=step,
        signal=ending.title[:100] if outcome is Outcome.CRASH and ending else "",
        detail=ending.text[:300] if ending and outcome is not Outcome.RAN else "", inferences=done,
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


def exchanged(image: FirmwareImage, blob: Blob, data: bytes) -> FirmwareImage:
    """The image with a model in place of one that it holds; what is left over of the old one becomes zeros.

    Raises:
        FirmwareError: the new model is larger, or the old one lies in more than one segment.
    """
    room = len(blob.data)  # up to the last byte that its tables reach; padding behind it does not count
    data = data[:room] if not any(data[room:]) else data
    if len(data) > room:
        raise FirmwareError(
            f"the model is larger than the one in the firmware ({len(data):,} bytes, room for {room:,})",
            expected="a model of the same size or smaller",
        )
    content = data + bytes(room - len(data))
    segments = list(image.segments)
    for place, segment in enumerate(segments):
        start = blob.address - segment.address
        if start >= 0 and start + len(content) <= len(segment.data):
            whole = segment.data[:start] + content + segment.data[start + len(content) :]
            segments[place] = replace(segment, data=whole)
            return replace(image, segments=tuple(segments))
    raise FirmwareError("the firmware's model does not lie in one piece", offset=None)


def _blob(image: FirmwareImage) -> Blob:
    from tinymlsec.emulate.foreign.device_memory import flash_of
    from tinymlsec.emulate.foreign.finder.blob import find_blobs

    blobs, _ = find_blobs(flash_of(image, image.machine == "arm"))
    if not blobs:
        raise FirmwareError("there is no model in the firmware that could be exchanged")
    return blobs[0]


@cache
def _suggested(path: Path, digest: str, seconds: float) -> Description:
    """The finder's description, where it is complete; looked for once, however many models are exchanged.

    Raises:
        FirmwareError: it could not see a whole inference.
    """
    from tinymlsec.emulate.foreign.examine import Question, examine, parsed
    from tinymlsec.emulate.foreign.first_run import Limits
    from tinymlsec.emulate.foreign.suggest import FILL_IN

    found = examine(Question(path, limits=Limits(seconds=seconds)))
    if not found.suggestion or FILL_IN in found.suggestion:
        raise FirmwareError(
            "how to run an inference on this firmware was not found",
            next_step="give a target description (docs/firmware/bring-your-own.md)",
        )
    return parsed(found.suggestion)


def _run(
    image: FirmwareImage, description: Description, seconds: float, *, control: bool = False
) -> tuple[Outcome, str, int, Ending | None]:
    """(outcome, step, finished inferences, how the last run ended).

    Raises:
        FirmwareError: as a control, and the firmware does not run with its own model.
    """
    from tinymlsec.emulate.foreign.outcome import FirmwareRunError
    from tinymlsec.emulate.foreign.session import Session

    try:
        session = Session(image, description, seconds=(seconds, seconds))
    except FirmwareRunError as error:
        if error.ending is None or control:
            raise
        return _outcome(error.ending), "load", 0, error.ending
    with session:
        done = 0
        for row in _inputs(session)[: 1 if control else None]:
            made = session.run(row[None])
            if not made.ending.ok:
                if control:
                    raise FirmwareError(f"it does not run with its own model either: {made.ending.title}")
                return _outcome(made.ending), "invoke", done, made.ending
            done += 1
    return Outcome.RAN, "", done, None


def _outcome(ending: Ending) -> Outcome:
    """A fault is a crash, a limit a hang; an error code that the description knows is the firmware's own refusal."""
    from tinymlsec.emulate.contract import RunEnd

    if ending.end is RunEnd.TIMEOUT:
        return Outcome.HANG
    return Outcome.GUARDED if ending.title.startswith("it returned ") or ending.fault is None else Outcome.CRASH


def _inputs(session: Session) -> NDArray[np.generic]:
    """(1 + ROWS, values) of the declared type: zeros, then random ones."""
    buffer, rng = session.plan.input, np.random.default_rng(0)
    dtype = np.dtype(buffer.type)
    shape = (ROWS, buffer.bytes // dtype.itemsize)
    if dtype.kind == "f":
        drawn: NDArray[np.generic] = rng.uniform(-1, 1, shape).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        drawn = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return np.concatenate([np.zeros((1, shape[1]), dtype), drawn])
