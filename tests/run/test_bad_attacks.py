"""Attacks that break the contract while they run end in an error of their own, and never in the end of the run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinymlsec import registry
from tinymlsec.assessment import Options, Sources, assess, read_run
from tinymlsec.cli.assess import EXIT_NOTHING_RAN, exit_code
from tinymlsec.errors import CapabilityMissing, RunFolderError
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model
from tinymlsec.records import Basis, Verdict, VerdictKind
from tinymlsec.registry import AttackConfig, EffortLevel, Position, Registry, attack
from tinymlsec.report.view import coverage_of
from tinymlsec.target.oracle import runtime_available


class Config(AttackConfig):
    """No settings."""


def registry_of(function: Callable[[], Any]) -> Registry:
    def run(target: object, config: object, context: object) -> Observation:
        """Does something wrong."""
        return function()  # type: ignore[no-any-return]

    spec = attack(
        id="wrong", title="t", family="f", threats=("M2",), needs=(), position=Position.NETWORK, controls=(),
        source="s", config=Config, presets={level: {} for level in EffortLevel},
    )(run)  # fmt: skip
    return Registry({spec.id: spec})


def seen(facts: dict[str, Any]) -> Observation:
    verdict = Verdict(kind=VerdictKind.VULNERABLE)
    return Observation(verdict=verdict, basis=Basis.EXECUTED, summary="s", facts=facts)


def deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(100):
        value = {"a": value}
    return value


WRONG: dict[str, Callable[[], Any]] = {
    "leaves": lambda: sys.exit(0),
    "nothing": lambda: None,
    "an array": lambda: seen({"a": np.zeros(3)}),
    "no JSON": lambda: seen({"a": object()}),
    "too deep": lambda: seen(deep()),
}


@pytest.mark.parametrize("function", WRONG.values(), ids=WRONG.keys())
def test_it_ends_in_an_error_and_a_readable_run(tmp_path: Path, function: Callable[[], Any]) -> None:
    folder = tmp_path / "run"
    result = assess(Sources(device="stm32l4r5zi"), folder, registry=registry_of(function))
    assert [e.verdict.kind for e in result.evidence] == [VerdictKind.ERROR]
    assert read_run(folder).evidence == result.evidence
    assert result.ran == 0


def test_a_plugin_that_leaves_at_import_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value, dist = "leaver", "leaver", None

        def load(self) -> ModuleType:
            sys.exit(0)

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()])
    (problem,) = registry.discover().problems
    assert "leaver" in problem
    assert "SystemExit" in problem


def test_a_run_of_another_version_is_not_mixed_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, attacks = Sources(device="stm32l4r5zi"), registry_of(lambda: seen({}))
    assess(sources, tmp_path / "run", registry=attacks)
    monkeypatch.setattr("tinymlsec.assessment.__version__", "99.0")
    with pytest.raises(RunFolderError, match="another version"):
        assess(sources, tmp_path / "run", Options(resume=True), registry=attacks)


@pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
def test_what_the_budget_stopped_before_its_first_inference_did_not_run() -> None:
    result = assess(Sources(digits_model()), None, Options(budget=1, only=("random-bit-flips",)))
    (evidence,) = result.evidence
    assert evidence.verdict.kind is VerdictKind.SKIPPED
    assert evidence.verdict.reason.startswith("budget: ")
    assert (evidence.inferences, evidence.basis, result.ran) == (0, Basis.DECLARED, 0)
    assert coverage_of(result.run, result.evidence).ran == 0
    assert exit_code(result, "none") == EXIT_NOTHING_RAN


def test_what_was_skipped_is_tried_again_on_resume(tmp_path: Path) -> None:
    missing = [True]

    def now_and_then() -> Observation:
        if missing[0]:
            raise CapabilityMissing("an extra is missing")
        return seen({})

    attacks, sources = registry_of(now_and_then), Sources(digits_model())
    first = assess(sources, tmp_path / "run", registry=attacks)
    assert first.evidence[0].verdict.kind is VerdictKind.SKIPPED
    missing[0] = False
    again = assess(sources, tmp_path / "run", Options(resume=True), registry=attacks)
    assert [e.verdict.kind for e in again.evidence] == [VerdictKind.VULNERABLE]
    assert [e.verdict.kind for e in read_run(tmp_path / "run").evidence] == [VerdictKind.VULNERABLE]


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    def meddle() -> Observation:
        with pytest.raises(RunFolderError, match="another process"):
            assess(sources, tmp_path / "run", Options(resume=True), registry=attacks)
        return seen({})

    attacks, sources = registry_of(meddle), Sources(digits_model())
    result = assess(sources, tmp_path / "run", registry=attacks)
    assert result.evidence[0].verdict.kind is VerdictKind.VULNERABLE
    assert not (tmp_path / "run" / ".lock").exists()
