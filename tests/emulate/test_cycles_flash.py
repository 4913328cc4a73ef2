"""The cache simulation in C against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")

from emulate.cycles_helper import slow_misses
from tinymlsec.emulate.contract import Region
from tinymlsec.emulate.cycles.flash_cache import FlashCache, FlashReads
from tinymlsec.emulate.cycles.flash_timing import FlashTiming, LineCache

BASE, SIZE = 0x0800_0000, 0x1_0000


def timing(code: LineCache, data: LineCache, line_bytes: int = 8) -> FlashTiming:
    return FlashTiming.model_validate(
        {"device": "made", "mhz": 100, "wait_states": 5, "line_bytes": line_bytes, "code": code.model_dump(),
         "data": data.model_dump(), "source": "a test", "confidence": "C"}
    )  # fmt: skip


def cache(made: FlashTiming) -> FlashCache:
    return FlashCache(made.lines_of(Region("flash", BASE, SIZE, "rx")))


def made_trace(seed: int, n: int = 20_000) -> list[tuple[int, int, int, int]]:
    """Loops of changing length with data reads of 1, 2 or 4 bytes, some of them from RAM."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, int]] = []
    while len(rows) < n:
        start = BASE + 2 * int(rng.integers(0, SIZE // 4))
        sizes = rng.choice([2, 4], int(rng.integers(2, 400)))
        table = BASE + int(rng.integers(0, SIZE - 64))
        for _ in range(int(rng.integers(1, 20))):
            pc = start
            for size in sizes:
                reads = int(rng.choice([0, 0, 1, 2, 4]))
                where = table + int(rng.integers(0, 600)) if rng.random() < 0.8 else 0x2000_0000
                rows.append((pc, int(size), where, reads))
                pc += int(size)
    return rows[:n]


GEOMETRIES = [
    (LineCache(lines=128), LineCache(lines=32), 8),
    (LineCache(lines=64), LineCache(lines=8), 16),
    (LineCache(lines=2), LineCache(lines=0), 8),
    (LineCache(lines=256, ways=2), LineCache(lines=64, ways=4), 32),
    (LineCache(lines=0), LineCache(lines=1), 4),
]


@pytest.mark.parametrize("number", range(len(GEOMETRIES)))
def test_equal_to_the_slow_twin(number: int) -> None:
    code, data, line_bytes = GEOMETRIES[number]
    made = timing(code, data, line_bytes)
    rows = made_trace(number)
    simulated = cache(made)
    columns = np.array(rows, np.int64)
    for piece in np.array_split(columns, 7):
        simulated.feed(*(piece[:, i] for i in range(4)))
    expected = slow_misses(made, BASE, SIZE, rows)
    assert (simulated.reads.code, simulated.reads.data) == expected
    assert min(expected) > 100


def test_a_loop_that_fits_misses_once_per_line() -> None:
    simulated = cache(timing(LineCache(lines=128), LineCache(lines=32)))
    pc = np.tile(BASE + 2 * np.arange(512), 50)
    none = np.zeros_like(pc)
    simulated.feed(pc, none + 2, none, none)
    assert simulated.reads == FlashReads(128, 0)


def test_a_loop_one_line_too_long_always_misses() -> None:
    simulated = cache(timing(LineCache(lines=128), LineCache(lines=32)))
    pc = np.tile(BASE + 2 * np.arange(516), 50)
    none = np.zeros_like(pc)
    simulated.feed(pc, none + 2, none, none)
    assert simulated.reads == FlashReads(129 * 50, 0)


def test_weights_read_once_cost_one_line_per_eight_bytes() -> None:
    made = timing(LineCache(lines=128), LineCache(lines=32))
    simulated = cache(made)
    address = BASE + 0x1000 + np.arange(8000)
    pc = np.full_like(address, BASE)
    simulated.feed(pc, pc * 0 + 2, address, pc * 0 + 1)
    assert simulated.reads == FlashReads(1, 1000)
    assert simulated.reads.cycles(made) == 5005


def test_begin_forgets() -> None:
    simulated = cache(timing(LineCache(lines=4), LineCache(lines=4)))
    one = np.array([BASE])
    for _ in range(2):
        simulated.begin()
        simulated.feed(one, one * 0 + 2, one + 64, one * 0 + 4)
        assert simulated.reads == FlashReads(1, 1)


def test_columns_of_different_length_are_refused() -> None:
    simulated = cache(timing(LineCache(lines=4), LineCache(lines=4)))
    with pytest.raises(ValueError, match="length"):
        simulated.feed(np.zeros(3), np.zeros(2), np.zeros(3), np.zeros(3))
