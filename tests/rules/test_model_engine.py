"""The engine over one file: order of families, what the reader refused, bounds, faults of rules themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from models.malformed import MALFORMED
from rules.corpus import all_cases
from rules.corpus.structure import sound
from tinymlsec.errors import ModelFileError
from tinymlsec.records import Location, Severity
from tinymlsec.rules.discovery import RuleBook, rule_book
from tinymlsec.rules.rule import Hit, Rule, Subject
from tinymlsec.rules.subjects import FAMILIES, ModelFile
from tinymlsec.scan import models
from tinymlsec.scan.models import MAX_HITS, open_model, run_model_rules, scan_model
from tinymlsec.target.tflite.reader import read_model

BY_A_RUN_ONLY = {"RUN-07"}
"""Rules that only a run of the file by `--confirm` raises; tests/scan has their tests."""


def test_every_rule_about_models_has_a_case() -> None:
    ids = {rule.id for rule in rule_book().about(Subject.MODEL)}
    assert ids - {case.rule for case in all_cases()} == BY_A_RUN_ONLY


def test_every_case_is_of_a_rule() -> None:
    assert {case.rule for case in all_cases()} <= set(rule_book().rules)


@pytest.mark.parametrize("name", MALFORMED)
def test_what_the_reader_refuses_is_one_finding_at_its_place(name: str) -> None:
    data = MALFORMED[name]()
    with pytest.raises(ModelFileError) as caught:
        read_model(data)
    error = caught.value
    assert error.rule in rule_book().rules
    (finding,) = run_model_rules(data)
    assert (finding.id, finding.location.file_offset) == (error.rule, error.offset)
    assert error.found is not None
    assert error.found in finding.message


def test_findings_come_in_the_order_of_the_families() -> None:
    data = sound() + b"appended to it"
    findings = run_model_rules(data)
    order = [FAMILIES.index(f.id.partition("-")[0]) for f in findings]
    assert findings
    assert order == sorted(order)


def _book(*specs: Rule[ModelFile]) -> RuleBook:
    return RuleBook({spec.id: spec for spec in specs})


def _spec(rule_id: str, check: object) -> Rule[ModelFile]:
    return replace(rule_book().rules["STRUCT-01"], id=rule_id, check=check)  # type: ignore[arg-type]


def test_a_rule_that_fails_does_not_silence_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: ModelFile) -> Iterator[Hit]:
        raise KeyError("a fault of the rule")
        yield

    def sound_rule(file: ModelFile) -> Iterator[Hit]:
        yield Hit("here")

    monkeypatch.setattr(models, "rule_book", lambda: _book(_spec("STRUCT-98", broken), _spec("STRUCT-99", sound_rule)))
    scan = scan_model(open_model(sound()))
    assert [f.id for f in scan.findings] == ["STRUCT-99"]
    assert scan.failures == ("rule STRUCT-98 failed: KeyError: 'a fault of the rule'",)


def test_places_of_one_rule_are_bounded_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(file: ModelFile) -> Iterator[Hit]:
        while True:
            yield Hit("again", Location(file_offset=0))

    monkeypatch.setattr(models, "rule_book", lambda: _book(_spec("STRUCT-99", endless)))
    scan = scan_model(open_model(sound()))
    assert len(scan.findings) == MAX_HITS
    assert scan.incomplete == (f"STRUCT-99: more than {MAX_HITS} places, the first {MAX_HITS} are listed",)


def test_operators_that_a_family_names_are_noted_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[set[tuple[int, int]]] = []

    def names(file: ModelFile) -> Iterator[Hit]:
        noted.append(set(file.noted))
        yield Hit("this one", Location(op=1))

    book = _book(_spec("STRUCT-99", names), _spec("IDX-99", names), _spec("SHAPE-99", names))
    monkeypatch.setattr(models, "rule_book", lambda: book)
    scan_model(open_model(sound()))
    assert noted == [set(), {(0, 1)}, {(0, 1)}]


def test_an_unreadable_file_is_given_to_raw_families_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(name: str) -> Rule[ModelFile]:
        def check(file: ModelFile) -> Iterator[Hit]:
            asked.append(name)
            return iter(())

        return _spec(name, check)

    monkeypatch.setattr(models, "rule_book", lambda: _book(ask("STRUCT-99"), ask("IDX-99"), ask("SHAPE-99")))
    scan_model(open_model(b"nothing"))
    assert asked == ["STRUCT-99", "IDX-99"]


def test_misalignment_is_graver_where_the_core_faults() -> None:
    from tinymlsec.target.device import load_device

    case = next(case for case in all_cases() if case.name == "a shape on an odd half word")
    by_device = {
        name: run_model_rules(case.bad, device=load_device(name) if name else None)[0].severity
        for name in ("", "rp2040", "stm32f746")
        if not name or name in _devices()
    }
    assert by_device[""] is Severity.MEDIUM
    assert by_device["rp2040"] is Severity.HIGH
    assert by_device.get("stm32f746", Severity.MEDIUM) is Severity.MEDIUM


def _devices() -> list[str]:
    from tinymlsec.target.device import list_devices

    return [device.id for device in list_devices()]


def test_only_a_length_that_overflows_names_the_overflow() -> None:
    named = {case.name: run_model_rules(case.bad)[0].cve for case in all_cases() if case.rule == "STRUCT-04"}
    assert named["shape of 4 GiB"] == ("CVE-2021-29605", "CVE-2022-23558")
    assert named["name past the end"] == ()
