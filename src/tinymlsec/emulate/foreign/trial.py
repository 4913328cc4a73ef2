"""One inference by a target description: how it ends, and whether its answers are those of the model file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Probe
from tinymlsec.emulate.foreign.description import Description
from tinymlsec.emulate.foreign.finder.static import Findings
from tinymlsec.emulate.foreign.outcome import Ending, FirmwareRunError
from tinymlsec.emulate.foreign.session import Session
from tinymlsec.errors import TinymlsecError

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

SAMPLES = 3
"""Inputs that are compared with the runtime."""
SLOW = 20.0
"""Seconds of one inference beyond which no more are made."""


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    ending: Ending
    started: bool
    """Start-up came to its end; else `ending` is that of start-up."""
    boot_instructions: int = 0
    instructions: int = 0
    dsp: int = 0
    """Executed instructions that multiply and add two pairs at once (SMLAD and its like): hand-written kernels."""
    output: NDArray[np.generic] | None = None
    text: str = ""
    compared: int = 0
    """Inputs whose outputs were compared with those of the model file on the runtime."""
    equal: int = 0
    """Of these with not a byte different."""
    not_compared: str = ""


def try_out(image: FirmwareImage, description: Description, findings: Findings, seconds: float) -> Trial:
    """Starts the firmware as described and runs inferences on random inputs.

    Args:
        image: the firmware.
        description: how to run it.
        findings: with the model, where one was found.
        seconds: longest start-up and longest inference.

    Raises:
        DescriptionError: the description does not fit the image.
        MachineError: the worker process died or hung.
        CapabilityMissing: there is no engine.
    """
    try:
        session = Session(image, description, seconds=(seconds, seconds))
    except FirmwareRunError as error:
        if error.ending is None:
            raise
        return Trial(error.ending, False)
    with session:
        return _inferences(session, findings)


def _inferences(session: Session, findings: Findings) -> Trial:
    x = _inputs(session)
    began = time.monotonic()
    first = session.run(x[:1], Probe(counts=True))
    slow = time.monotonic() - began > SLOW
    compared, equal, why = 0, 0, "it ended otherwise"
    if first.ending.ok:
        compared, equal, why = (0, 0, "one inference takes too long") if slow else _compare(session, findings, x)
    return Trial(
        first.ending,
        True,
        session.boot.instructions,
        first.result.instructions,
        _dsp(session, dict(first.result.counts)),
        first.output,
        "".join(first.text.values())[:2000],
        compared,
        equal,
        why,
    )


def _inputs(session: Session) -> NDArray[np.generic]:
    """Random inputs over the range of their type; floats within -1 and 1."""
    buffer, rng = session.plan.input, np.random.default_rng(0)
    dtype = np.dtype(buffer.type)
    shape = (SAMPLES, buffer.bytes // dtype.itemsize)
    if dtype.kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _compare(session: Session, findings: Findings, x: NDArray[np.generic]) -> tuple[int, int, str]:
    """Inputs compared, of these equal, or why none were."""
    from tinymlsec.target.oracle import OraclePool, runtime_available

    available, text = runtime_available()
    if findings.blob is None:
        return 0, 0, "no model file was found"
    if not available:
        return 0, 0, text
    try:
        ours = session.infer(x)
        with OraclePool(1) as pool:
            theirs = _run(pool.open(findings.blob.data), x)
    except TinymlsecError as error:
        return 0, 0, error.message
    if theirs.nbytes != ours.nbytes:
        return 0, 0, "the model file has outputs of another size"
    same = theirs.reshape(len(x), -1).view(np.uint8) == ours.view(np.uint8)
    return len(x), int(same.all(axis=1).sum()), ""


def _run(handle: object, x: NDArray[np.generic]) -> NDArray[np.generic]:
    from tinymlsec.target.oracle_handle import ModelHandle

    assert isinstance(handle, ModelHandle)
    detail = handle.inputs[0]
    shaped = x.reshape(len(x), *detail.shape)
    return np.ascontiguousarray(handle.run(shaped))


def _dsp(session: Session, counts: dict[int, tuple[int, int]]) -> int:
    if not session.plan.core.dsp:
        return 0
    total = 0
    for address, (ran, _) in counts.items():
        code = session.image.read(address, 4) or bytes(4)
        first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:], "little")
        if first & 0xFFF0 == 0xFB20 and second & 0xE0 == 0:  # SMLAD, SMLADX, SMUAD, SMUADX
            total += ran
    return total
