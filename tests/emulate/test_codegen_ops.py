"""Every operator that the lift lists, as C, against the runtime: every element equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="makers of models and the list of rows need tinymlsec[lift]")

from emulate.codegen_bundle import bundle, run_bundle  # noqa: E402
from emulate.codegen_host import HostRunner  # noqa: E402
from emulate.codegen_trials import BRIEF, FULL, UNDEFINED, Trial, check  # noqa: E402
from tinymlsec.emulate.codegen import Style  # noqa: E402
from tinymlsec.emulate.codegen.ops import lower_table  # noqa: E402
from tinymlsec.lift.ops import support_table  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Their inner loops differ from style to style."""
ROWS = [(row.op, row.types) for rows in support_table().values() for row in rows]
OPERATORS = sorted({op for op, _ in ROWS} - set(WEIGHTED))


def trials(operators: tuple[str, ...], size: tuple[int, int], pool: OraclePool, style: Style) -> list[Trial]:
    """All rows of some operators: settings of each, and inputs of each setting, by `size`."""
    rows = [row for row in ROWS if row[0] in operators]
    return [Trial(row, number, size[1], pool, style) for row in rows for number in range(size[0])]


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_equals_the_runtime(operator: str, pool: OraclePool, runner: HostRunner, tmp_path: Path) -> None:
    assert check(trials((operator,), BRIEF, pool, Style.PLAIN), runner, tmp_path) > 0


@pytest.mark.parametrize("style", Style)
def test_weighted_operators_equal_the_runtime(
    style: Style, pool: OraclePool, runner: HostRunner, tmp_path: Path
) -> None:
    assert check(trials(WEIGHTED, (10, 20), pool, style), runner, tmp_path) > 0


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
    record_property("elements", check(trials((operator,), FULL, pool, Style.PLAIN), trapping, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("operator", WEIGHTED)
def test_weighted_operators_equal_the_runtime_in_full(
    operator: str,
    style: Style,
    pool: OraclePool,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
) -> None:
    trapping = HostRunner(tmp_path_factory.mktemp("trapping"), UNDEFINED)
    record_property("elements", check(trials((operator,), (60, 100), pool, style), trapping, tmp_path))


def test_every_operator_of_the_lift_becomes_c() -> None:
    assert set(support_table()) <= set(lower_table())


def test_another_rounding_is_noticed(pool: OraclePool, runner: HostRunner, tmp_path: Path) -> None:
    """The comparison would fail for kernels whose ties go up."""
    made = [Trial(("QUANTIZE", "int8"), number, 100, pool) for number in range(24)]
    files = bundle([trial.program for trial in made])
    away = "(product + (product >> 31))"
    assert files["kernels/fixed.h"].count(away) == 1
    files["kernels/fixed.h"] = files["kernels/fixed.h"].replace(away, "product")
    feeds, steps = [trial.inputs for trial in made], [1] * len(made)
    results = run_bundle(runner.library(files), [trial.program for trial in made], feeds, steps, tmp_path)
    assert sum(trial.wrong(ours) for trial, ours in zip(made, results, strict=True)) > 0
