"""Every attack in the registry keeps the contract, has a page, and is known to the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinymlsec.capabilities import HOW_TO_SUPPLY, Capability
from tinymlsec.field_docs import field_texts
from tinymlsec.pages import attack_pages
from tinymlsec.registry import Attack, AttackConfig, EffortLevel, discover
from tinymlsec.target.task import TASKS, TaskKind
from tinymlsec.threat.catalog import load_catalog

DOCS = Path(__file__).resolve().parents[2] / "docs" / "attacks"
ATTACKS = [spec for spec in discover().attacks.values() if spec.provider == "tinymlsec"]


def test_discovery_finds_ours_without_problems() -> None:
    assert {"static-extraction", "random-bit-flips", "square"} <= {spec.id for spec in ATTACKS}


@pytest.mark.parametrize("spec", ATTACKS, ids=lambda spec: spec.id)
class TestAttack:
    def test_page_says_what_a_reader_needs(self, spec: Attack[AttackConfig]) -> None:
        doc = spec.doc.lower()
        assert len(doc) > 400
        assert all(word in doc for word in ("control", "limit", "microcontroller"))
        assert "source" in doc or spec.source

    def test_threats_exist(self, spec: Attack[AttackConfig]) -> None:
        assert set(spec.threats) <= load_catalog().threats.keys()

    def test_tasks_are_rows_of_the_table(self, spec: Attack[AttackConfig]) -> None:
        assert spec.tasks <= {kind.value for kind in TaskKind}

    def test_every_setting_is_described(self, spec: Attack[AttackConfig]) -> None:
        assert field_texts(spec.config).keys() == spec.config.model_fields.keys()

    def test_effort_levels_rise(self, spec: Attack[AttackConfig]) -> None:
        configs = [spec.configure(level).model_dump() for level in EffortLevel]
        numbers = [[v for v in c.values() if isinstance(v, int) and not isinstance(v, bool)] for c in configs]
        assert all(a <= b <= c for a, b, c in zip(*numbers, strict=True))

    def test_an_attack_that_is_not_static_has_controls(self, spec: Attack[AttackConfig]) -> None:
        assert spec.controls

    def test_lives_in_its_family(self, spec: Attack[AttackConfig]) -> None:
        assert spec.module.split(".")[2] == spec.family


def test_every_capability_says_how_to_supply_it() -> None:
    assert set(HOW_TO_SUPPLY) == set(Capability)


def test_every_task_has_its_row() -> None:
    assert set(TASKS) == set(TaskKind)


def test_docs_pages_are_what_the_code_says() -> None:
    pages = attack_pages()
    assert {p.name for p in DOCS.glob("*.md")} == pages.keys(), "run: python -m tinymlsec.pages docs"
    for name, text in pages.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"{name}: run python -m tinymlsec.pages docs"
