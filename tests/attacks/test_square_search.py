"""The search of the Square attack against models made of one line of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.attack_targets import space_of
from tinymlsec.attacks.evasion._square_search import SearchResult, area_share, canvas_of, search, squares, window_of
from tinymlsec.target.space import InputSpace

Answer = tuple[NDArray[np.float64], NDArray[np.bool_]]


class Counter:
    """Asks a function of the flattened real-valued inputs and keeps what it was asked."""

    def __init__(self, margin: Any) -> None:
        self.margin, self.asked, self.rows = margin, [], []

    def __call__(self, codes: NDArray[Any], rows: NDArray[np.intp]) -> Answer:
        self.asked.append(codes.copy())
        self.rows.append(rows)
        margins = np.asarray(self.margin(codes.reshape(len(codes), -1).astype(np.float64), rows), dtype=np.float64)
        return margins, margins < 0


def run(ask: Any, space: InputSpace, x: NDArray[Any], seed: int = 0, **settings: Any) -> SearchResult:
    options = {"eps_steps": 4, "max_queries": 60, "p_init": 0.8, **settings}
    return search(ask, space, x, np.random.default_rng(seed), **options)


SPACES = [
    pytest.param(space_of((12, 10, 3)), False, id="image"),
    pytest.param(space_of((49, 10, 1)), False, id="spectrogram"),
    pytest.param(space_of((9, 7), "uint8"), False, id="matrix"),
    pytest.param(space_of((40,), "int16"), False, id="vector"),
    pytest.param(space_of((8, 8, 1), device_dtype="float32", wrapped=True), False, id="float-wrapped"),
    pytest.param(space_of((8, 8, 3), "float32"), False, id="float"),
    pytest.param(space_of((8, 8, 1), low=-20.0, high=30.0), False, id="sensor-bounds"),
    pytest.param(space_of((3, 40)), True, id="frames"),
    pytest.param(space_of((2, 3, 4, 5)), False, id="four-dimensions"),
    pytest.param(space_of(()), False, id="one-value"),
]


@pytest.mark.parametrize(("space", "frames"), SPACES)
def test_every_candidate_stays_within_eps_and_bounds(space: InputSpace, frames: bool) -> None:
    rng = np.random.default_rng(1)
    shape = (6, 5, *space.sample_shape) if frames else (6, *space.sample_shape)
    x = space.clip(rng.uniform(space.low - 3 * space.step, space.high + 3 * space.step, shape))
    ask = Counter(lambda flat, rows: flat.sum(axis=1) + 1e9)
    result = run(ask, space, x, frames=frames)
    for codes, rows in zip(ask.asked, ask.rows, strict=True):
        assert codes.dtype == x.dtype
        assert codes.shape[1:] == x.shape[1:]
        change = np.abs(codes.astype(np.float64) - x[rows].astype(np.float64))
        assert change.max() <= 4 * space.step + (0 if space.is_grid else 1e-7)
        assert codes.min() >= space.low
        assert codes.max() <= space.high
    assert not result.broken.any()
    assert (result.queries == 60).all()


def test_queries_are_counted_exactly_and_end_with_the_first_success() -> None:
    falls_at = np.array([1, 2, 7, 60, 61, 1000])
    seen = np.zeros(6, dtype=int)

    def margin(flat: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        seen[rows] += 1
        return np.where(seen[rows] == falls_at[rows], -1.0, 1.0)

    result = run(Counter(margin), space_of((8, 8, 1)), np.zeros((6, 8, 8, 1), np.int8), max_queries=60)
    assert result.queries.tolist() == [1, 2, 7, 60, 60, 60]
    assert result.broken.tolist() == [True, True, True, True, False, False]
    assert (seen == result.queries).all()


def test_the_broken_candidate_is_the_one_that_is_returned() -> None:
    ask = Counter(lambda flat, rows: 40.0 - flat[:, :32].sum(axis=1))
    result = run(ask, space_of((8, 8, 1)), np.zeros((5, 8, 8, 1), np.int8))
    assert result.broken.all()
    assert (result.codes.reshape(5, -1)[:, :32].astype(int).sum(axis=1) > 40).all()


def test_a_linear_model_falls_where_eps_reaches_and_stands_where_it_cannot() -> None:
    weights = np.random.default_rng(3).choice([-1.0, 1.0], 64)
    bias = np.array([0.2 * 4 * 64, 1.01 * 4 * 64])  # of what eps = 4 can move at most
    ask = Counter(lambda flat, rows: flat @ weights + np.tile(bias, 10)[rows])
    result = run(ask, space_of((8, 8, 1)), np.zeros((20, 8, 8, 1), np.int8), max_queries=200)
    assert result.broken[::2].all()
    assert not result.broken[1::2].any()


def test_accepting_equal_margins_crosses_plateaus_that_insisting_on_improvement_does_not() -> None:
    weights = np.random.default_rng(8).choice([-1.0, 1.0], 64)

    def coarse(flat: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.floor((0.3 * 256 - flat @ weights) / 32)

    best = np.full(40, np.inf)

    def strict(flat: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        margins = coarse(flat, rows)
        shown = np.where(margins < best[rows], margins, np.inf)
        best[rows] = np.minimum(best[rows], margins)
        return shown

    x = np.zeros((40, 8, 8, 1), np.int8)
    with_ties, without = (run(Counter(f), space_of((8, 8, 1)), x, max_queries=200) for f in (coarse, strict))
    assert with_ties.broken.mean() > without.broken.mean() + 0.2


def test_same_seed_same_search_and_other_seed_another_one() -> None:
    x = np.zeros((4, 8, 8, 1), np.int8)
    ask = Counter(lambda flat, rows: flat[:, ::2].sum(axis=1) + 500.0)
    first, again, other = (run(ask, space_of((8, 8, 1)), x, seed) for seed in (1, 1, 2))
    assert (first.codes == again.codes).all()
    assert (first.codes != other.codes).any()


def test_inputs_outside_of_the_bounds_stay_within_eps() -> None:
    space = space_of((4, 4, 1), low=-10.0, high=10.0)
    x = np.full((3, 4, 4, 1), 30, np.int8)
    ask = Counter(lambda flat, rows: flat.sum(axis=1) + 1e6)
    run(ask, space, x)
    assert all(np.abs(codes.astype(int) - 30).max() <= 4 for codes in ask.asked)


def test_large_inputs_are_attacked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinymlsec.attacks._asking.BLOCK_VALUES", 3 * 64)
    ask = Counter(lambda flat, rows: np.where(rows % 2 == 0, -1.0, 1.0))
    result = run(ask, space_of((8, 8, 1)), np.zeros((8, 8, 8, 1), np.int8), max_queries=5)
    assert result.broken.tolist() == [True, False] * 4
    assert max(len(codes) for codes in ask.asked) == 3


def test_nothing_to_attack() -> None:
    result = run(Counter(lambda flat, rows: rows), space_of((8, 8, 1)), np.zeros((0, 8, 8, 1), np.int8))
    assert len(result.codes) == len(result.broken) == len(result.queries) == 0


@pytest.mark.parametrize(
    ("shape", "frames", "canvas"),
    [
        ((32, 32, 3), False, (32, 32, 3)),
        ((49, 10), False, (49, 10, 1)),
        ((640,), False, (640, 1, 1)),
        ((), False, (1, 1, 1)),
        ((2, 49, 10, 1), False, (98, 10, 1)),
        ((5, 3, 40), True, (15, 40, 1)),
        ((7, 40), True, (7, 40, 1)),
    ],
)
def test_canvas_of_each_kind_of_input(shape: tuple[int, ...], frames: bool, canvas: tuple[int, int, int]) -> None:
    assert canvas_of(shape, frames) == canvas


@pytest.mark.parametrize("canvas", [(32, 32, 3), (49, 10, 1), (10, 49, 1), (640, 1, 1), (1, 1, 1), (3, 40, 1)])
@pytest.mark.parametrize("share", [1.0, 0.8, 0.3, 0.01, 0.0001])
def test_windows_fit_and_keep_their_area(canvas: tuple[int, int, int], share: float) -> None:
    height, width = window_of(canvas, share)
    assert 1 <= height <= canvas[0]
    assert 1 <= width <= canvas[1]
    assert abs(height * width - share * canvas[0] * canvas[1]) <= max(1.0, max(height, width))


def test_area_is_halved_on_the_schedule_of_the_paper() -> None:
    at = [area_share(query, 10_000, 0.8) / 0.8 for query in (1, 10, 11, 50, 51, 200, 201, 8000, 8001)]
    assert at == [1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8, 1 / 256, 1 / 512]


def test_a_square_is_one_window_of_one_sign_per_channel_and_changes_something() -> None:
    rng = np.random.default_rng(0)
    signs = np.ones((200, 6, 9, 2), np.int8)
    drawn = squares(rng, signs, (3, 4))
    assert (signs == 1).all()
    changed = drawn != signs
    for k in range(200):
        assert changed[k].any()
        for channel in range(2):
            rows, columns = np.nonzero(changed[k, :, :, channel])
            assert len(rows) in (0, 12)
            if len(rows):
                assert (np.ptp(rows), np.ptp(columns)) == (2, 3)
    assert {tuple(np.argwhere(c.any(axis=2))[0]) for c in changed} == {(r, c) for r in range(4) for c in range(6)}
