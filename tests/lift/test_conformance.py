"""Each row of the support table against the runtime. A row without cases fails, so `list ops` prints what was proven."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.conformance.harness import compare, makers  # noqa: E402
from tinymlsec.lift.op import Support  # noqa: E402
from tinymlsec.lift.ops import support_table  # noqa: E402
from tinymlsec.target.oracle import OraclePool, runtime_available  # noqa: E402

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
ROWS = [row for rows in support_table().values() for row in rows]
BRIEF, FULL = (4, 20), (24, 100)
"""(settings, random inputs beside the all-minimum and the all-maximum one)."""
DISTINCT = 0.5
"""Share of a row's settings whose outputs must take more than one value: a constant would prove nothing."""


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


def check(row: Support, pool: OraclePool, settings: int, samples: int) -> int:
    maker = makers().get((row.op, row.types))
    assert maker is not None, f"no cases for row {row.op}, {row.types}"
    elements = 0
    for number in range(settings):
        rng = np.random.default_rng([zlib.crc32(f"{row.op} {row.types}".encode()), number])
        result = compare(maker(rng), pool, rng, samples)
        assert result.elements > 0
        assert result.mismatches == 0, f"setting {number}: {result.mismatches} of {result.elements}; {result.message}"
        elements += result.elements
    return elements


def name(row: Support) -> str:
    return f"{row.op}-{row.types.replace(' ', '')}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_equals_the_runtime(row: Support, pool: OraclePool) -> None:
    check(row, pool, *BRIEF)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_equals_the_runtime_in_full(row: Support, pool: OraclePool, record_property: pytest.FixtureRequest) -> None:
    record_property("elements", check(row, pool, *FULL))  # type: ignore[operator]


def test_every_case_belongs_to_a_row() -> None:
    assert set(makers()) <= {(row.op, row.types) for row in ROWS}
