"""A working copy of a model, rebuilt from its parsed graph alone, and how faithful it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks._asking import random_codes, some
from tinymlsec.errors import BudgetExceeded, OracleCrash, OracleError, OracleTimeout, TinymlsecError
from tinymlsec.records import Metric

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.target.target import Target
    from tinymlsec.target.victim import Victim


@dataclass(frozen=True)
class Clone:
    """What became of the copy."""

    ran: bool
    summary: str
    """Half a sentence for the report."""
    metrics: tuple[Metric, ...] = ()
    data: bytes = b""


def clone(target: Target, samples: int, steps: int, rng: Generator) -> Clone:
    """Rebuild the model and compare it with the original on the runtime, where there is one.

    Args:
        target: offers the model.
        samples: inputs to compare on, from the data or random.
        steps: length of random sequences for a model with state.
        rng: choice of the inputs.
    """
    from tinymlsec.target.tflite.reader import read_model
    from tinymlsec.target.tflite.writer import write_model

    try:
        data = write_model(read_model(target.data))
    except TinymlsecError as error:
        return Clone(False, f"the clone could not be built ({error.message})")
    if target.victim is None:
        return Clone(False, "the clone was built but not run, because the runtime does not run this model", data=data)
    try:
        return _compare(target, target.victim, data, samples, steps, rng)
    except BudgetExceeded as error:  # what the file gives away was read without the runtime
        return Clone(False, f"the clone was built but not run ({error.message})", data=data)
    except (OracleCrash, OracleTimeout):
        raise
    except OracleError as error:
        return Clone(False, f"the runtime refused the clone ({error.message})", data=data)


def _compare(target: Target, victim: Victim, data: bytes, samples: int, steps: int, rng: Generator) -> Clone:
    copy = victim.variant(data)
    if target.dataset is not None:
        rows = some(rng, target.dataset.n, samples)
        codes, inputs = target.dataset.x[rows], "inputs of the data"
    else:
        frames = steps if victim.task.frames else None
        codes, inputs = random_codes(rng, victim.space, samples, frames), "random inputs"
    original, copied = victim.raw(codes), copy.raw(codes)
    same = _same(original, copied)
    share = share_of(int(same.sum()), len(same))
    text = f"the clone gives the original's outputs bit for bit on {int(same.sum())} of {len(same)} {inputs}"
    metric = Metric.of("fidelity", share.value, low=share.low, high=share.high, n=len(same), label="clone")
    return Clone(True, text, (metric,), data)


def _same(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) outputs of each input equal in every bit."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return np.zeros(len(left), dtype=bool)
    bits = [np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8) for a in (left, right)]
    equal: NDArray[np.bool_] = (bits[0] == bits[1]).all(axis=1)
    return equal
