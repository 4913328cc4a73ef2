"""The tables of what runtimes guard, and the page about them, against what the runtimes do here and now."""

from __future__ import annotations

from importlib import metadata

import pytest

from rules import runtime_guards as guards
from tinymlsec.rules.runtime import Guard, load_runtime
from tinymlsec.scan.confirm import LITERT, TFLITE_MICRO
from tinymlsec.target.litert import litert_available
from tinymlsec.target.oracle import runtime_available

THERE = {TFLITE_MICRO: runtime_available()[0], LITERT: litert_available()}


def same_package(runtime: str) -> None:
    if not THERE[runtime]:
        pytest.skip(f"{runtime} is not installed")
    measured = load_runtime(guards.MEASURED[runtime]).version
    installed = f"{guards.PACKAGES[runtime]} {metadata.version(guards.PACKAGES[runtime])}"
    if measured != installed:
        pytest.skip(f"the table is about {measured}; {installed} is installed")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", guards.MEASURED)
def test_the_runtime_does_what_the_table_says(runtime: str) -> None:
    same_package(runtime)
    table, differ = load_runtime(guards.MEASURED[runtime]), []
    for key, seen in guards.rows(guards.run(runtime, runs=1)).items():
        row = table.rows[key]
        # Whether damage ends the process or stays unseen may depend on what lies beside the tensor in that run.
        if row.guard is not seen.guard:
            differ.append(f"{key}: the table has {row.guard} ({row.seen}), the run gave {seen.words}")
    assert differ == []


@pytest.mark.parametrize("runtime", guards.MEASURED)
def test_the_runtime_takes_the_types_that_the_table_says(runtime: str) -> None:
    same_package(runtime)
    table = load_runtime(guards.MEASURED[runtime])
    assert {op: frozenset(types) for op, types in guards.types_of(runtime).items()} == table.types


@pytest.mark.slow
@pytest.mark.parametrize("runtime", guards.MEASURED)
def test_the_runtime_has_the_operators_that_the_table_says(runtime: str) -> None:
    same_package(runtime)
    table = load_runtime(guards.MEASURED[runtime])
    operators, custom = guards.operators_of(runtime)
    assert (set(operators), set(custom)) == (table.operators, table.custom)


def test_the_page_has_a_line_for_every_file_and_what_the_table_says_of_it() -> None:
    lines = guards.DOCS.read_text().splitlines()
    table = load_runtime(guards.MEASURED[TFLITE_MICRO])
    for case in guards.chosen():
        (line,) = [line for line in lines if f"| {case.rule} {case.name} |" in line]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        row = table.row(case.rule, *case.cve.split(), op=cells[1]) if cells[1] else table.row(*case.cve.split())
        assert row is not None, case.id
        kinds = {"guarded": Guard.GUARD, "silent": Guard.OPEN, "crash": Guard.OPEN, "hang": Guard.OPEN}
        seen = kinds.get(cells[4].partition(":")[0])
        # The table has the worst of all files of its row, the page each file.
        assert seen is None or row.guard is seen or row.guard is Guard.OPEN, case.id


def test_every_row_that_was_read_as_open_says_what_was_seen_or_cannot_be_reached() -> None:
    read = load_runtime(guards.READ)
    for key, row in read.rows.items():
        if key.startswith("CVE-") and row.guard in (Guard.OPEN, Guard.DCHECK):
            assert row.seen.startswith("tflite-micro "), key


def test_both_tables_have_the_operators_of_the_snapshot() -> None:
    # The younger package has no kernel more, and none less.
    assert load_runtime(guards.MEASURED[TFLITE_MICRO]).operators == load_runtime(guards.READ).operators
