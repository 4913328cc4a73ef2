"""Operators as C against the runtime: random settings from the lift's own tests, thirty of them a library."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulate.codegen_bundle import bundle, run_bundle
from emulate.codegen_host import HostRunner
from lift.conformance.harness import Setting, feed, makers, on_runtime
from tinymlsec.emulate.codegen import Program, Style, generate
from tinymlsec.target.oracle import OraclePool

Array = NDArray[Any]
BRIEF, FULL = (6, 20), (24, 100)
"""(settings of every row, random inputs beside the all-minimum and the all-maximum one)."""
VARIED = 0.5
"""Share of settings whose outputs must take more than one value: a constant would prove nothing."""
UNDEFINED = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
"""Ends the process at overflows, shifts and accesses that C leaves undefined; without a library."""


class Trial:
    """One setting: its program, its inputs, what the runtime makes of them."""

    def __init__(
        self, row: tuple[str, str], number: int, samples: int, pool: OraclePool, style: Style = Style.PLAIN
    ) -> None:
        rng = np.random.default_rng([zlib.crc32(" ".join(row).encode()), number])
        self.case: Setting = makers()[row](rng)
        self.program: Program = generate(self.case.model, style)
        self.inputs: list[Array] = feed(self.case, rng, samples)
        self.real = on_runtime(self.case, pool, self.inputs)
        self.steps: int = self.inputs[0].shape[1] if self.case.steps > 1 else 1
        self.name = f"{' '.join(row)}, setting {number}"

    def wrong(self, ours: list[Array]) -> int:
        """Elements that differ; NaN equals NaN."""
        differing = 0
        for a, b in zip(self.real, ours, strict=True):
            assert a.size == b.size > 0
            assert a.dtype == b.dtype
            differing += int(differs(a, b.reshape(a.shape), self.case.tolerance).sum())
        return differing


def differs(a: Array, b: Array, tolerance: float) -> NDArray[np.bool_]:
    if not tolerance:
        return np.asarray(a != b) & ~((a != a) & (b != b))
    return np.asarray(np.abs(a.astype(np.float64) - b) > tolerance * max(float(np.abs(a).max()), 1e-6))


def check(trials: Sequence[Trial], runner: HostRunner, folder: Path) -> int:
    """How many elements were compared; all of them must be equal."""
    found: dict[str, int] = defaultdict(int)
    for number, part in enumerate(trials[k : k + 30] for k in range(0, len(trials), 30)):
        programs = [trial.program for trial in part]
        into = folder / str(number)
        into.mkdir()
        feeds, steps = [trial.inputs for trial in part], [trial.steps for trial in part]
        results = run_bundle(runner.library(bundle(programs)), programs, feeds, steps, into)
        for trial, ours in zip(part, results, strict=True):
            found[trial.name] += trial.wrong(ours)
    wrong = {name: count for name, count in found.items() if count}
    assert not wrong
    varied = sum(any(np.unique(output).size > 1 for output in trial.real) for trial in trials)
    assert varied >= VARIED * len(trials)
    return sum(output.size for trial in trials for output in trial.real)
