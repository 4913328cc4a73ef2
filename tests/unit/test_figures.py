"""Lines, segments and pictures: what is kept of long ones, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from tinymlsec.evidence import Observation
from tinymlsec.figures import BINS, SIDE, Line, Picture, Pictures, Series, Span, Track
from tinymlsec.records import Basis, Verdict, VerdictKind


def test_short_lines_are_kept_as_they_are() -> None:
    line = Line.of("a", [1.0, -2.0, 3.5], start=10, step=0.5)
    assert line.low == line.high == (1.0, -2.0, 3.5)
    assert (line.start, line.step, line.samples) == (10, 0.5, 3)


@pytest.mark.parametrize("length", [BINS, BINS + 1, 2 * BINS - 1, 10_007, 250_000])
def test_no_peak_of_a_long_line_is_lost(length: int) -> None:
    rng = np.random.default_rng(length)
    values = rng.standard_normal(length)
    place = int(rng.integers(length))
    values[place] = 50.0
    line = Line.of("a", values)
    width = round(line.step)
    assert len(line.low) <= BINS
    assert width * len(line.low) >= length
    assert int(np.argmax(line.high)) == place // width
    slow = [values[i : i + width] for i in range(0, length, width)]
    np.testing.assert_allclose(line.high, [part.max() for part in slow], rtol=1e-4)
    np.testing.assert_allclose(line.low, [part.min() for part in slow], rtol=1e-4)


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, float("nan")], [float("inf")]])
def test_lines_without_finite_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        Line.of("a", values)


def test_pictures_clip_and_keep_the_range() -> None:
    picture = Picture.of("input", np.array([[-200, -128, 127], [0, 300, 127]]), -128, 127)
    assert picture.rows == ((0, 0, 255), (128, 255, 255))


@pytest.mark.parametrize("shape", [(3,), (0, 4), (SIDE + 1, 2), (2, 2, 2)])
def test_other_shapes_are_no_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two dimensions"):
        Picture.of("input", np.zeros(shape), 0, 1)


def test_a_range_without_grays_is_refused() -> None:
    with pytest.raises(ValueError, match="no grays"):
        Picture.of("input", np.zeros((2, 2)), 3, 3)


def test_records_refuse_what_cannot_be_drawn() -> None:
    with pytest.raises(ValidationError, match="above"):
        Line(name="a", start=0, step=1, low=(2.0,), high=(1.0,), samples=1)
    with pytest.raises(ValidationError, match="least"):
        Line(name="a", start=0, step=1, low=(2.0, 3.0), high=(4.0,), samples=1)
    with pytest.raises(ValidationError, match="span"):
        Span(start=2, end=1, label="a")
    with pytest.raises(ValidationError, match="one width"):
        Picture(caption="a", rows=((1, 2), (3,)))
    with pytest.raises(ValidationError):
        Picture(caption="a", rows=((256,),))


def test_an_observation_with_figures_survives_json() -> None:
    series = Series(
        title="t", x_label="sample", y_label="t", lines=(Line.of("t", np.arange(5000)),),
        tracks=(Track(name="layers", spans=(Span(start=0, end=9, label="CONV_2D"),)),), thresholds=(4.5, -4.5),
    )  # fmt: skip
    shown = Pictures(title="input", pictures=(Picture.of("true", np.eye(4), 0, 1),), note="black is zero")
    seen = Observation(
        verdict=Verdict(kind=VerdictKind.VULNERABLE), basis=Basis.SIMULATED, summary="s", series=(series,),
        pictures=(shown,),
    )  # fmt: skip
    assert Observation.model_validate_json(seen.model_dump_json()) == seen
