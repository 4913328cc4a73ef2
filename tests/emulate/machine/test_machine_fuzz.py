"""Firmware with damaged code: every run ends as a result, the process lives, hooks do not change what is computed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.test_machine_runs import started
from tinymlsec.emulate.contract import Probe, RunEnd
from tinymlsec.emulate.machine import Machine

FUNCTIONS = ("counted", "twice", "copy", "deep", "divide", "undefined")
ONLY_WATCHED = frozenset(("unaligned access", "division by zero"))
"""Traps that a run without hooks does not know on cores that allow the same elsewhere."""


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to five bytes are others."""
    changed = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        changed[place] = int(rng.integers(0, 256))
    return bytes(changed)


def compare(machine: Machine, snapshot: int, function: str) -> RunEnd:
    """The same call without and with hooks."""
    limits = {"instructions": 200_000, "seconds": 5.0}
    plain = machine.call(function, 5, **limits)
    machine.restore(snapshot)
    watched = machine.call(function, 5, probe=Probe(registers=True, bus=True, addresses=True), **limits)
    machine.restore(snapshot)
    if watched.fault is not None and watched.fault.kind in ONLY_WATCHED:
        return watched.end
    assert plain.end is watched.end
    if plain.end is RunEnd.DONE:
        assert (plain.value, plain.instructions) == (watched.value, watched.instructions)
    return watched.end


def campaign(core_id: str, count: int, seed: int) -> Counter[RunEnd]:
    """Damages code again and again on one machine."""
    rng = np.random.default_rng(seed)
    ends: Counter[RunEnd] = Counter()
    with started(core_id) as machine:
        code, snapshot = machine.image.segments[0], machine.snapshot()
        for i in range(count):
            machine.write(code.address, damaged(code.data, rng))
            ends[compare(machine, snapshot, FUNCTIONS[i % len(FUNCTIONS)])] += 1
            machine.write(code.address, code.data)
        assert machine.call("counted", 10).value == 55
    return ends


@pytest.mark.parametrize("core_id", ["cortex-m0plus", "cortex-m4", "cortex-m33", "rv32imc"])
def test_damaged_code(core_id: str) -> None:
    ends = campaign(core_id, 150, seed=2)
    assert ends[RunEnd.DONE] > 10
    assert ends[RunEnd.FAULT] > 10


@pytest.mark.slow
@pytest.mark.parametrize("core_id", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "rv32imc"])
def test_much_damaged_code(core_id: str) -> None:
    ends = campaign(core_id, 10_000, seed=3)
    assert ends[RunEnd.DONE] > 1000
    assert ends[RunEnd.FAULT] > 1000
