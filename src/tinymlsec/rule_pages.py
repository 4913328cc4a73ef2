"""Documentation pages of the scanner's rules, made from their declarations: one page a family."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Rule
from tinymlsec.rules.runtime import DEFAULT_RUNTIME, Runtime, load_runtime


def rule_pages() -> dict[str, str]:
    """File name -> text of every page under docs/rules, the index included; built-in rules only."""
    families: dict[str, list[Rule[Any]]] = {}
    for spec in rule_book().rules.values():
        if spec.provider == "tinymlsec":
            families.setdefault(spec.family, []).append(spec)
    runtime = load_runtime()
    pages = {f"{family}.md": family_markdown(family, rules, runtime) for family, rules in families.items()}
    return {"README.md": _index(families), **pages}


def family_markdown(family: str, rules: Sequence[Rule[Any]], runtime: Runtime) -> str:
    """The page of one family: all its rules with what they check and what to do."""
    parts = [f"# {family}\n\nGenerated from the docstrings: `python -m tinymlsec.pages docs`.\n"]
    parts += ["\n".join(_rule_lines(spec, runtime)) for spec in rules]
    return "\n".join(parts)


def _rule_lines(spec: Rule[Any], runtime: Runtime) -> Iterator[str]:
    yield f"## {spec.id}: {spec.title}"
    yield ""
    yield inspect.cleandoc(spec.doc)
    yield ""
    yield "| | |"
    yield "|---|---|"
    facts = [
        ("Looks at", spec.subject.value),
        ("Severity", f"{spec.severity.value}, confidence {spec.confidence.value}"),
        ("Weakness", ", ".join(spec.cwe)),
        ("CVE", ", ".join(spec.cve) or "none"),
        ("Threats", ", ".join(spec.threats)),
        ("Fix", spec.fix),
        ("Source", spec.source),
        (f"In {DEFAULT_RUNTIME}", "; ".join(_guards(spec, runtime)) or "no row"),
    ]
    yield from (f"| {name} | {_cell(value)} |" for name, value in facts)
    yield ""


def _guards(spec: Rule[Any], runtime: Runtime) -> Iterator[str]:
    for name, row in runtime.rows.items():
        if name.partition(" ")[0] in (spec.id, *spec.cve):
            seen = f", seen: {row.seen}" if row.seen else ""
            yield f"{name} {row.guard.value}{seen}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _index(families: dict[str, list[Rule[Any]]]) -> str:
    head = (
        "# Rules\n\nGenerated from the declarations: `python -m tinymlsec.pages docs`. How to run them: "
        "[the scanner](../scan/README.md).\n\n| rule | what | looks at | severity | threats |\n|---|---|---|---|---|\n"
    )
    rows = [
        f"| [{spec.id}]({family}.md) | {_cell(spec.title)} | {spec.subject.value} | {spec.severity.value} | "
        f"{', '.join(spec.threats)} |"
        for family, rules in families.items()
        for spec in rules
    ]
    return head + "\n".join(rows) + "\n"
