"""The catalog as Markdown tables for `docs/threats.md`; a test keeps page and catalog equal."""

from __future__ import annotations

from collections.abc import Iterable

from tinymlsec.threat.catalog import Catalog, load_catalog
from tinymlsec.threat.entries import Threat


def threats_markdown() -> str:
    """All classes, group by group: id, title, what it means for the owner, and the attacks that must have run."""
    catalog = load_catalog()
    return "\n\n".join(_group(catalog, number) for number in range(1, len(catalog.groups) + 1)) + "\n"


def defenses_markdown() -> str:
    """All defenses: id, title, where applied, cost with its weakest mark, and the threats they are listed for."""
    catalog = load_catalog()
    rows = (
        (
            f"`{one.id}`",
            one.title,
            one.kind,
            f"{one.cost} ({one.mark}: {one.source})",
            ", ".join(catalog.helped_by(one.id)),
        )
        for one in catalog.defenses.values()
    )
    return _table(("Id", "Defense", "Kind", "Cost", "Threats"), rows)


def _group(catalog: Catalog, number: int) -> str:
    group = catalog.group(number)
    head = f"### {number}. {group.title} ({catalog.layers[group.layer].title.lower()})\n\n{group.text}\n\n"
    columns = ("Id", "Threat", "What it means", "Attacker", "Must have run")
    return head + _table(columns, map(_row, catalog.in_group(number))).rstrip()


def _row(threat: Threat) -> tuple[str, ...]:
    attacks = ", ".join(f"`{name}`" for name in threat.required_attacks)
    return threat.id, threat.title, threat.consequence, ", ".join(threat.positions), attacks


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
