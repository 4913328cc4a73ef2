"""The pages of the rules are what the code says, and every rule has a page that a report can name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinymlsec.cli.explain import explain
from tinymlsec.rule_pages import rule_pages
from tinymlsec.rules.discovery import rule_book
from tinymlsec.threat.rules import rules_table_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs" / "rules"


def test_docs_pages_are_what_the_code_says() -> None:
    pages = rule_pages()
    assert {p.name for p in DOCS.glob("*.md")} == pages.keys(), "run: python -m tinymlsec.pages docs"
    for name, text in pages.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"{name}: run python -m tinymlsec.pages docs"


def test_every_rule_is_on_the_page_of_its_family() -> None:
    pages = rule_pages()
    assert all(f"## {spec.id}: {spec.title}" in pages[f"{spec.family}.md"] for spec in rule_book().rules.values())


def test_an_id_of_a_scan_rule_and_a_scoring_rule_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    scoring = {line.split("|")[1].strip() for line in rules_table_markdown().splitlines()[2:]}
    both = sorted(scoring & set(rule_book().rules))
    for name in both:
        explain(name)
        text = capsys.readouterr().out
        assert f"{name} (scan rule): " in text
        assert f"Rule: {name}" in text
    assert len(scoring) > len(both)
