from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from threat.evidence_made import build_evidence
from tinymlsec.errors import InputError
from tinymlsec.records import Severity, VerdictKind
from tinymlsec.target.deployment import Deployment
from tinymlsec.threat.assess import assess_threats
from tinymlsec.threat.catalog import load_catalog
from tinymlsec.threat.records import ReferenceScore, ThreatAssessment, ThreatOutcome
from tinymlsec.threat.reference import load_reference_scores
from tinymlsec.threat.rules import rules_table_markdown
from tinymlsec.threat.tables import defenses_markdown, threats_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("device_class", "off"), [("TinyML", 0), ("EdgeML", 0), ("IoT", 4)])
def test_all_41_without_a_model(device_class: str, off: int) -> None:
    found = assess_threats(device_class, None, Deployment(), [], has_model=False)  # type: ignore[arg-type]
    assert {item.threat for item in found} == set(load_catalog().threats)
    assert len(found) == 41
    absent = [item for item in found if item.outcome is ThreatOutcome.NOT_APPLICABLE]
    assert len(absent) == off
    assert all(item.scorecard is None and "no base vector" in item.reason for item in absent)
    assert all(item.scorecard for item in found if item not in absent)
    assert found[len(found) - off :] == absent


def test_in_order_of_priority() -> None:
    found = assess_threats("TinyML", None, Deployment(), [], has_model=True)
    values = [item.priority.value for item in found]
    assert values == sorted(values, reverse=True)
    ties = [(a, b) for a, b in pairwise(found) if a.priority.value == b.priority.value]
    assert ties
    for first, second in ties:
        assert first.scorecard is not None
        assert second.scorecard is not None
        assert first.scorecard.v40_bte.score >= second.scorecard.v40_bte.score


def test_evidence_reaches_its_threat_only() -> None:
    item = build_evidence("square", "M2", VerdictKind.VULNERABLE)
    before = {one.threat: one for one in assess_threats("TinyML", None, Deployment(), [], has_model=True)}
    after = {one.threat: one for one in assess_threats("TinyML", None, Deployment(), [item], has_model=True)}
    assert [name for name in before if before[name] != after[name]] == ["M2"]
    m2 = after["M2"]
    assert (m2.outcome, m2.evidence, m2.potential.evidence) == (ThreatOutcome.DEMONSTRATED, (item.key,), item.key)
    assert (m2.required_run, m2.required_open) == (("square",), ("hopskipjump",))
    assert m2.priority.value > before["M2"].priority.value


def test_without_a_model_the_reason_says_so() -> None:
    reasons = {one.threat: one.reason for one in assess_threats("TinyML", None, Deployment(), [], has_model=False)}
    assert "no model was given" in reasons["M1"]
    assert "no model was given" not in reasons["H9"]


def test_goes_to_json_and_back() -> None:
    items = assess_threats("IoT", None, Deployment(), [build_evidence("square", "M2")], has_model=False)
    for one in items:
        assert ThreatAssessment.model_validate_json(one.model_dump_json()) == one
    with pytest.raises(ValidationError):
        items[0].reason = "changed"


def test_severity_is_that_of_cvss_4() -> None:
    found = {one.threat: one for one in assess_threats("IoT", None, Deployment(), [], has_model=False)}
    assert found["S1"].severity is Severity.CRITICAL
    assert found["M12"].severity is Severity.NONE


def test_reference_scores_stand_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "paper.toml"
    path.write_text('[scores.H9]\nv31 = 1.5\nsource = "Somebody (2030), table 4"\n')
    reference = load_reference_scores(path)
    assert reference == {"H9": ReferenceScore(v31=1.5, source="Somebody (2030), table 4")}
    plain = assess_threats("TinyML", None, Deployment(), [], has_model=True)
    beside = assess_threats("TinyML", None, Deployment(), [], has_model=True, reference=reference)
    assert [one.model_copy(update={"reference": None}) for one in beside] == plain
    assert next(one.reference for one in beside if one.threat == "H9") == reference["H9"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[scores.H99]\nsource = "nobody"', "H99"),
        ('[scores.H9]\nv31 = 11.0\nsource = "nobody"', "v31"),
        ("[scores.H9]\nv31 = 1.0", "source"),
        ('[scores.H9]\nv30 = 1.0\nsource = "nobody"', "v30"),
        ("scores = ", "not valid TOML"),
    ],
)
def test_bad_reference_scores(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "paper.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_reference_scores(path)


@pytest.mark.parametrize(
    ("page", "name", "table"),
    [
        ("scoring.md", "rules", rules_table_markdown),
        ("threats.md", "threats", threats_markdown),
        ("threats.md", "defenses", defenses_markdown),
    ],
)
def test_docs_hold_the_tables_of_the_code(page: str, name: str, table: object) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    inside = text.split(f"<!-- {name}:begin -->\n")[1].split(f"<!-- {name}:end -->")[0]
    assert inside == table()  # type: ignore[operator]
