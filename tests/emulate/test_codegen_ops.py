"""Every operator without weights that the lift lists, as C, against the runtime: every element equal."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="makers of models and the list of rows need tinymlsec[lift]")

from emulate.codegen_bundle import bundle, run_bundle  # noqa: E402
from emulate.codegen_host import HostRunner  # noqa: E402
from lift.conformance.harness import Setting, feed, makers, on_runtime  # noqa: E402
from tinymlsec.emulate.codegen.generator import generate  # noqa: E402
from tinymlsec.emulate.codegen.ops import lower_table  # noqa: E402
from tinymlsec.emulate.codegen.program import Program  # noqa: E402
from tinymlsec.lift.ops import support_table  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
Array = NDArray[Any]
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Tested on their own."""
ROWS = [(row.op, row.types) for rows in support_table().values() for row in rows if row.op not in WEIGHTED]
OPERATORS = sorted({op for op, _ in ROWS})
BRIEF, FULL = (6, 20), (24, 100)
"""(settings of every row, random inputs beside the all-minimum and the all-maximum one)."""
VARIED = 0.5
"""Share of an operator's settings whose outputs must take more than one value: a constant would prove nothing."""
UNDEFINED = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
"""Ends the process at overflows, shifts and accesses that C leaves undefined; without a library."""


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> HostRunner:
    return HostRunner(tmp_path_factory.mktemp("ops"))


class Trial:
    """One setting: its program, its inputs, what the runtime makes of them."""

    def __init__(self, row: tuple[str, str], number: int, samples: int, pool: OraclePool) -> None:
        rng = np.random.default_rng([zlib.crc32(" ".join(row).encode()), number])
        self.case: Setting = makers()[row](rng)
        self.program: Program = generate(self.case.model)
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


def check(operator: str, pool: OraclePool, runner: HostRunner, folder: Path, settings: int, samples: int) -> int:
    """All rows of an operator, thirty settings a library; how many elements were compared."""
    rows = [row for row in ROWS if row[0] == operator]
    trials = [Trial(row, number, samples, pool) for row in rows for number in range(settings)]
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


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_equals_the_runtime(operator: str, pool: OraclePool, runner: HostRunner, tmp_path: Path) -> None:
    assert check(operator, pool, runner, tmp_path, *BRIEF) > 0


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_equals_the_runtime_in_full(
    operator: str,
    pool: OraclePool,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
) -> None:
    """More settings and inputs, in code that stops at whatever C leaves undefined."""
    trapping = HostRunner(tmp_path_factory.mktemp("trapping"), UNDEFINED)
    record_property("elements", check(operator, pool, trapping, tmp_path, *FULL))


def test_every_operator_of_the_lift_becomes_c() -> None:
    assert set(support_table()) <= set(lower_table())


def test_another_rounding_is_noticed(pool: OraclePool, runner: HostRunner, tmp_path: Path) -> None:
    """The comparison would fail for kernels whose ties go up."""
    trials = [Trial(("QUANTIZE", "int8"), number, 100, pool) for number in range(24)]
    files = bundle([trial.program for trial in trials])
    rounded = "+ ((value & mask) > threshold)"
    assert files["kernels/fixed.h"].count(rounded) == 1
    files["kernels/fixed.h"] = files["kernels/fixed.h"].replace(
        rounded, "+ ((value >> (bits - (bits > 0))) & (bits > 0))"
    )
    feeds, steps = [trial.inputs for trial in trials], [1] * len(trials)
    results = run_bundle(runner.library(files), [trial.program for trial in trials], feeds, steps, tmp_path)
    assert sum(trial.wrong(ours) for trial, ours in zip(trials, results, strict=True)) > 0
