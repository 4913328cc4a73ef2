"""Each row of the support table against the runtime; a row without cases fails: `list ops` prints what was proven."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.conformance import harness  # noqa: E402
from lift.conformance.harness import compare, makers  # noqa: E402
from tinymlsec.lift.op import Support  # noqa: E402
from tinymlsec.lift.ops import support_table  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
ROWS = [row for rows in support_table().values() for row in rows]
BRIEF, FULL = (4, 20), (24, 100)
"""(settings, random inputs beside the all-minimum and the all-maximum one)."""
VARIED = 0.5
"""Share of a row's settings whose outputs must take more than one value: a constant would prove nothing."""


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


def check(row: Support, pool: OraclePool, settings: int, samples: int) -> tuple[int, int]:
    make = makers().get((row.op, row.types))
    assert make is not None, f"no cases for row {row.op}, {row.types}"
    elements = varied = 0
    for number in range(settings):
        rng = np.random.default_rng([zlib.crc32(f"{row.op} {row.types}".encode()), number])
        result = compare(make(rng), pool, rng, samples)
        assert result.elements > 0
        assert result.mismatches == 0, f"setting {number}: {result.mismatches} of {result.elements}; {result.message}"
        elements, varied = elements + result.elements, varied + result.varied
    assert varied >= settings * VARIED
    return settings, elements


def name(row: Support) -> str:
    return f"{row.op}-{row.types.replace(' ', '')}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_equals_the_runtime(row: Support, pool: OraclePool) -> None:
    check(row, pool, *BRIEF)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_equals_the_runtime_in_full(
    row: Support, pool: OraclePool, record_property: Callable[[str, object], None]
) -> None:
    settings, elements = check(row, pool, *FULL)
    record_property("settings", settings)
    record_property("elements", elements)


def test_every_case_belongs_to_a_row() -> None:
    assert set(makers()) <= {(row.op, row.types) for row in ROWS}


def test_other_rounding_is_noticed(pool: OraclePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison would fail for a lift that rounds as another runtime does."""
    monkeypatch.setattr(harness, "on_lift", partial(harness.on_lift, profile="xnnpack"))
    row = next(row for row in support_table()["QUANTIZE"] if row.types == "int8")
    with pytest.raises(AssertionError, match=r"setting \d+: [1-9]\d* of"):
        check(row, pool, *FULL)
