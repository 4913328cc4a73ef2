"""Every case of the corpus: the good file is clean of the rule, the bad one breaks it and nothing else."""

from __future__ import annotations

import pytest

from rules.corpus import all_cases
from rules.corpus.base import Case
from tinymlsec.records import Severity
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.models import ModelScan, open_model, scan_model
from tinymlsec.target.device import load_device

CASES = all_cases()


def remarks(case: Case) -> set[str]:
    """Rules that only remark on what both files have alike, such as state that outlives an inference."""
    found = scanned(case, case.good).findings
    return {f.id for f in found if f.id != case.rule and f.severity in (Severity.NONE, Severity.LOW)}


def scanned(case: Case, data: bytes) -> ModelScan:
    device = load_device(case.device) if case.device else None
    runtime = load_runtime(case.runtime)
    scan = scan_model(open_model(data, name=case.name, runtime=runtime, device=device, linked=case.linked))
    assert scan.failures == ()
    return scan


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_good_file_has_no_finding_of_the_rule(case: Case) -> None:
    assert [f.message for f in scanned(case, case.good).findings if f.id == case.rule] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_bad_file_gives_this_rule_alone_at_its_place(case: Case) -> None:
    findings = [f for f in scanned(case, case.bad).findings if f.id not in remarks(case)]
    assert {f.id for f in findings} == {case.rule}, [(f.id, f.message) for f in findings]
    assert findings[0].location.file_offset == case.offset, findings[0].message
    assert case.count is None or len(findings) == case.count, [f.message for f in findings]
    assert set(case.cve.split()) <= set(findings[0].cve)


def test_names_tell_the_cases_apart() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
