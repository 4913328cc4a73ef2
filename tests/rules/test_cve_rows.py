"""Every CVE row of the runtime table has a rule and a file that has it, or says why no file can."""

from __future__ import annotations

import pytest

from rules.corpus import all_cases
from rules.corpus.cves import by_cve
from rules.test_corpus import scanned
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Subject
from tinymlsec.rules.runtime import list_runtimes, load_runtime

CASES = by_cve(all_cases())
ROWS = {name: row for name, row in load_runtime().rows.items() if name.startswith("CVE-") and " " not in name}
CHECKED = sorted(name for name, row in ROWS.items() if not row.unchecked)


def test_the_table_has_the_rows_of_the_advisories() -> None:
    # 41 TFLite entries of the PyPA advisory database, and the advisories of 2022 and 2023 found by their texts.
    assert len(ROWS) == 54
    assert [name for name, row in ROWS.items() if row.unchecked] == ["CVE-2022-36027"]


@pytest.mark.parametrize("cve", CHECKED)
def test_a_rule_names_the_cve(cve: str) -> None:
    assert any(cve in rule.cve for rule in rule_book().about(Subject.MODEL))


@pytest.mark.parametrize("cve", CHECKED)
def test_a_file_has_the_cve_and_the_finding_names_it_in_its_place(cve: str) -> None:
    cases = CASES.get(cve, [])
    assert cases, "no file of the corpus has it"
    for case in cases:
        first = next(f for f in scanned(case, case.bad).findings if f.id == case.rule)
        assert cve in first.cve
        assert first.location.file_offset == case.offset


@pytest.mark.parametrize("runtime", list_runtimes())
def test_rules_and_tables_know_the_same_cves(runtime: str) -> None:
    rows = {name.partition(" ")[0] for name in load_runtime(runtime).rows if name.startswith("CVE-")}
    named = {cve for rule in rule_book().about(Subject.MODEL) for cve in rule.cve}
    assert named <= rows
