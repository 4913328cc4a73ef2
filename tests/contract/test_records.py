"""The records: JSON Schema, round trips, and the rules that no attack can forget."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import jsonschema
import pytest
from pydantic import ValidationError

from tinymlsec.evidence import Evidence, Observation
from tinymlsec.metrics import METRICS
from tinymlsec.records import Basis, Control, Metric, Severity, Verdict, VerdictKind
from tinymlsec.schemas import json_schemas


def observation(**changes: object) -> Observation:
    values = {"verdict": Verdict(kind=VerdictKind.VULNERABLE), "basis": Basis.EXECUTED, "summary": "s"}
    return Observation(**{**values, **changes})  # type: ignore[arg-type]


def control(*, kind: str = "positive", succeeded: bool = True) -> Control:
    return Control(kind=kind, twin="t", succeeded=succeeded)  # type: ignore[arg-type]


@pytest.mark.parametrize("positive", [None, control(succeeded=False)])
def test_resistant_needs_a_positive_control_that_succeeded(positive: Control | None) -> None:
    with pytest.raises(ValidationError, match="positive control"):
        observation(verdict=Verdict(kind=VerdictKind.RESISTANT), positive_control=positive)
    assert observation(verdict=Verdict(kind=VerdictKind.RESISTANT), positive_control=control())


@pytest.mark.parametrize("kind", [VerdictKind.INCONCLUSIVE, VerdictKind.SKIPPED, VerdictKind.ERROR])
def test_no_answer_without_a_reason(kind: VerdictKind) -> None:
    with pytest.raises(ValidationError, match="needs a reason"):
        Verdict(kind=kind, reason=" ")


def test_controls_cannot_be_swapped() -> None:
    with pytest.raises(ValidationError, match="says that it is negative"):
        observation(positive_control=control(kind="negative"))


@pytest.mark.parametrize(
    "values",
    [
        {"name": "vibes", "value": 1.0},
        {"name": "accuracy", "value": 0.5, "low": 0.6, "high": 0.7},
        {"name": "accuracy", "value": float("nan")},
        {"name": "accuracy", "value": 0.5, "low": 0.4},
    ],
)
def test_metrics_are_known_ordered_and_finite(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"unknown metric|outside|finite|two ends"):
        Metric.of(**values)  # type: ignore[arg-type]


def test_every_metric_has_a_unit_and_a_meaning() -> None:
    assert all(spec.unit and spec.text for spec in METRICS.values())


def test_evidence_survives_json_and_its_schema() -> None:
    whole = Evidence(
        **observation(metrics=(Metric.of("accuracy", 0.5, low=0.4, high=0.6, n=9),)).model_dump(),
        key="a" * 64, attack="square", threats=("M2",), target_digest="b" * 64, seed=1, tool_version="0",
        started=datetime(2026, 1, 1, tzinfo=UTC), seconds=1.0, reproduce="x",
    )  # fmt: skip
    text = whole.model_dump_json()
    assert Evidence.model_validate_json(text) == whole
    jsonschema.validate(json.loads(text), json_schemas()["evidence"])


def test_schemas_are_valid_and_closed() -> None:
    for name, schema in json_schemas().items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False, name


def test_equality_of_evidence_ignores_time_and_place() -> None:
    unit = {"key": "a" * 64, "attack": "square", "threats": ("M2",), "target_digest": "b" * 64, "seed": 1}
    first = {**unit, "tool_version": "0", "started": datetime(2026, 1, 1, tzinfo=UTC), "seconds": 1, "reproduce": "x"}
    second = {**first, "started": datetime(2027, 1, 1, tzinfo=UTC), "seconds": 2, "reproduce": "y"}
    one, two = (Evidence(**observation().model_dump(), **v) for v in (first, second))
    assert one.comparable() == two.comparable()
    assert one.comparable() != Evidence(**observation(summary="other").model_dump(), **first).comparable()


@pytest.mark.parametrize(
    ("score", "band"), [(0, "none"), (0.1, "low"), (3.9, "low"), (4, "medium"), (7, "high"), (9, "critical")]
)
def test_severity_bands(score: float, band: str) -> None:
    assert Severity.from_score(score).value == band
