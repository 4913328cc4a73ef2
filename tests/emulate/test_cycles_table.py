"""The tables themselves: complete, sourced, and honest about what was not checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.cycles.flash_timing import FOLDER, FlashTiming, LineCache, flash_timing
from tinymlsec.emulate.cycles.span import Span, hull
from tinymlsec.emulate.cycles.table import CycleTable, cycle_table
from tinymlsec.target.device import load_device


@pytest.mark.parametrize("core", sorted(CORES))
def test_every_core_has_a_table(core: str) -> None:
    table = cycle_table(core)
    assert table.core == core
    for name, row in table.rows.items():
        if row.confidence == "A":
            assert table.sources[row.source].checked, f"{core} {name}: read, in a source that nobody opened?"
        if not table.sources[row.source].checked:
            assert row.confidence == "C", f"{core} {name}"


def test_cores_without_a_vendor_table_say_so() -> None:
    assert {core for core in CORES if cycle_table(core).approximate} == {"cortex-m7", "cortex-m33", "rv32imc"}
    for core in ("cortex-m7", "cortex-m33", "rv32imc"):
        assert not cycle_table(core).validation
        assert all(row.confidence != "A" for row in cycle_table(core).rows.values())


def test_missing_and_unknown_rows_are_refused() -> None:
    good = cycle_table("cortex-m4").model_dump()
    rows = dict(good["rows"])
    del rows["divide"]
    with pytest.raises(ValueError, match="divide"):
        CycleTable.model_validate(good | {"rows": rows})
    with pytest.raises(ValueError, match="divied"):
        CycleTable.model_validate(good | {"rows": good["rows"] | {"divied": good["rows"]["alu"]}})
    with pytest.raises(ValueError, match="not listed"):
        CycleTable.model_validate(good | {"sources": {}})


def test_a_lower_bound_above_the_upper_is_refused() -> None:
    good = cycle_table("cortex-m4").model_dump()
    with pytest.raises(ValueError, match="above"):
        CycleTable.model_validate(good | {"rules": good["rules"] | {"refill": [3, 1]}})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_flash_files_belong_to_devices_of_the_library(path: Path) -> None:
    timing = flash_timing(path.stem)
    assert timing is not None
    device = load_device(path.stem)
    assert timing.device == path.stem
    clock = device.cores[0].mhz
    assert clock is not None
    assert timing.mhz <= clock.max
    if re.search("memory", timing.source):
        assert timing.confidence == "C"


def test_devices_without_a_source_have_no_flash_timing() -> None:
    assert flash_timing("rp2040") is None
    assert flash_timing("../cores/cortex-m4") is None


def test_geometry_of_sets() -> None:
    assert LineCache(lines=128).geometry == (1, 128)
    assert LineCache(lines=128, ways=4).geometry == (32, 4)
    assert LineCache(lines=0).geometry == (1, 0)
    with pytest.raises(ValueError, match="sets of 3"):
        LineCache(lines=128, ways=3)


def test_art_of_the_reference_board() -> None:
    timing = flash_timing("stm32l4r5zi")
    assert isinstance(timing, FlashTiming)
    assert (timing.wait_states, timing.mhz, timing.code.lines, timing.data.lines) == (5, 120.0, 128, 32)


def test_spans() -> None:
    assert hull([Span(3, 9), Span(2, 4)]) == Span(2, 9)
    assert Span(1, 2) + Span(10, 20) == Span(11, 22)
    assert Span(1, 2).raised(5) == Span(1, 7)
    with pytest.raises(ValueError, match="span"):
        Span(2, 1)
    with pytest.raises(ValueError, match=r"empty|arg"):
        hull([])
