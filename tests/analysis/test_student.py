"""Student's t against closed forms, tables and SciPy."""

from __future__ import annotations

import math

import pytest

from tinymlsec.analysis.student import quantile, tail


@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 1.0, 2.5, 40.0, 1e6])
def test_closed_forms_of_one_and_two_degrees(t: float) -> None:
    assert tail(t, 1) == pytest.approx(math.atan2(1, t) / math.pi, rel=1e-10)
    assert tail(t, 2) == pytest.approx(0.5 / (math.sqrt(2 + t * t) + t) * 2 / math.sqrt(2 + t * t), rel=1e-8)


@pytest.mark.parametrize(
    ("p", "df", "value"), [(0.025, 10, 2.228139), (0.005, 30, 2.749996), (0.05, 5, 2.015048), (0.5, 7, 0.0)]
)
def test_values_of_printed_tables(p: float, df: int, value: float) -> None:
    assert quantile(p, df) == pytest.approx(value, abs=1e-6)


def test_equals_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with tinymlsec[test]")
    for df in (1, 2.5, 9, 99, 4999, 1e5, 9e5, 2e6):
        for t in (0.1, 1.0, 4.5, 6.0):
            assert tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-6 if df < 1e6 else 0.02, abs=1e-300), (t, df)
        for p in (0.4, 0.025, 1e-4, 5e-9, 1e-12):
            assert quantile(p, df) == pytest.approx(stats.t.isf(p, df), rel=1e-5), (p, df)


@pytest.mark.parametrize("bad", [(0.0, 5), (0.6, 5), (0.1, 0), (-1, 3)])
def test_nonsense_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        quantile(*bad)


def test_the_tail_ends() -> None:
    assert tail(math.inf, 5) == 0.0
    assert 0 < quantile(1e-300, 1) < math.inf
