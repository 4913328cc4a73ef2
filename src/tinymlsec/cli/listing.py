"""`tinymlsec list`: attacks, threats, devices, defenses, rules of the scanner, lifted operators."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.target.device import Device

Row = dict[str, object]


class What(StrEnum):
    """What can be listed."""

    ATTACKS = "attacks"
    THREATS = "threats"
    DEVICES = "devices"
    DEFENSES = "defenses"
    OPS = "ops"
    RULES = "rules"


def listing(
    what: Annotated[What, typer.Argument(help="What to list.")],
    class_: Annotated[str | None, typer.Option("--class", help="Devices: tinyml, edgeml or iot.")] = None,
    has: Annotated[list[str] | None, typer.Option(help="Devices: a feature it has (repeatable).")] = None,
    lacks: Annotated[list[str] | None, typer.Option(help="Devices: a feature it lacks (repeatable).")] = None,
    core: Annotated[str | None, typer.Option(help="Devices: part of a core's name, such as M33.")] = None,
    layer: Annotated[str | None, typer.Option(help="Threats: hardware, software or model.")] = None,
    threat: Annotated[str | None, typer.Option(help="Attacks, defenses, rules: only those for this threat.")] = None,
    family: Annotated[str | None, typer.Option(help="Rules: only this family, such as SHAPE.")] = None,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> int:
    """List attacks, threats, devices, defenses, rules of the scanner, or the operators of the lift."""
    makers: dict[What, Callable[[], list[Row]]] = {
        What.ATTACKS: lambda: _attacks(threat),
        What.THREATS: lambda: _threats(layer),
        What.DEVICES: lambda: _devices(class_, has or (), lacks or (), core, whole=output == "json"),
        What.DEFENSES: lambda: _defenses(threat),
        What.OPS: _ops,
        What.RULES: lambda: _rules(family, threat),
    }
    rows = makers[what]()
    if output == "json":
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)
    return 0


def _attacks(threat: str | None) -> list[Row]:
    from tinymlsec.registry import discover

    return [
        {"id": a.id, "title": a.title, "family": a.family, "threats": ", ".join(a.threats),
         "needs": ", ".join(sorted(a.needs)), "position": a.position.value, "from": a.provider}
        for a in discover().attacks.values()
        if threat is None or threat.upper() in a.threats
    ]  # fmt: skip


def _threats(layer: str | None) -> list[Row]:
    from tinymlsec.threat.catalog import load_catalog

    return [
        {"id": t.id, "layer": t.layer, "group": t.group, "title": t.title,
         "required attacks": ", ".join(t.required_attacks)}
        for t in load_catalog().threats.values()
        if layer is None or t.layer == layer.lower()
    ]  # fmt: skip


def _devices(
    class_: str | None, has: Sequence[str], lacks: Sequence[str], core: str | None, *, whole: bool
) -> list[Row]:
    from tinymlsec.target.device import list_devices

    return [
        {"id": d.id, "name": d.name, "class": d.class_, "cores": d.describe_cores(), "ram": _size(d.ram_bytes),
         "flash": _size(d.flash_bytes), **(_firmware(d) if whole else {})}
        for d in list_devices(class_, has=tuple(has), lacks=tuple(lacks), core=core)
    ]  # fmt: skip


def _firmware(device: Device) -> Row:
    """What firmware for a device is built and emulated for; a reason is too long for a table."""
    from tinymlsec.emulate.cores import core_for

    choice = core_for(device)
    name = None if choice.core is None else choice.core.id
    return {"core": name, "fidelity": choice.fidelity.value, "reason": choice.reason}


def _defenses(threat: str | None) -> list[Row]:
    from tinymlsec.threat.catalog import load_catalog

    catalog = load_catalog()
    return [
        {
            "id": d.id,
            "title": d.title,
            "kind": d.kind,
            "threats": ", ".join(catalog.helped_by(d.id)),
            "cost": "; ".join(f"{cost.text} [{cost.mark}]" for cost in d.costs),
        }
        for d in catalog.defenses.values()
        if threat is None or threat.upper() in catalog.helped_by(d.id)
    ]


def _rules(family: str | None, threat: str | None) -> list[Row]:
    from tinymlsec.rules.discovery import rule_book

    return [
        {"id": r.id, "title": r.title, "looks at": r.subject.value, "severity": r.severity.value,
         "confidence": r.confidence.value, "threats": ", ".join(r.threats), "cve": ", ".join(r.cve),
         "from": r.provider}
        for r in rule_book().rules.values()
        if (family is None or r.family == family.upper()) and (threat is None or threat.upper() in r.threats)
    ]  # fmt: skip


def _ops() -> list[Row]:
    """Operators that the lift covers; the only list that needs PyTorch, and the only one that waits for it."""
    from tinymlsec.errors import UsageError
    from tinymlsec.lift.coverage import HOW_TO_INSTALL, torch_installed

    if not torch_installed():
        raise UsageError(
            "the list of lifted operators needs PyTorch",
            found="no torch in this environment",
            next_step=HOW_TO_INSTALL,
        )
    from tinymlsec.lift.ops import support_table

    return [
        {"operator": row.op, "types": row.types, "options": row.options}
        for _, rows in sorted(support_table().items())
        for row in rows
    ]


def _size(span: tuple[int, int] | None) -> str:
    if span is None:
        return "?"
    low, high = (_kib(v) for v in span)
    return low if low == high else f"{low} to {high}"


def _kib(size: int) -> str:
    if size >= 2**30:
        return f"{size / 2**30:g} GiB"
    return f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"


def _print_table(rows: list[Row]) -> None:
    """A plain table: one line a row when piped, so that grep and cut work."""
    from rich.table import Table

    from tinymlsec.cli.terminal import console

    if not rows:
        typer.echo("nothing matches")
        return
    out = console()
    if not out.is_terminal:
        typer.echo("\t".join(rows[0]))
        for row in rows:
            typer.echo("\t".join(str(value) for value in row.values()))
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    out.print(table)
    typer.echo(f"{len(rows)} in all")
