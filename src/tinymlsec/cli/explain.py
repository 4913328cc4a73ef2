"""`tinymlsec explain ID`: the page of an attack, threat, device, defense, metric, scan rule or scoring rule."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tinymlsec.registry import Attack
    from tinymlsec.rules.rule import Rule
    from tinymlsec.target.device import Device

    AnyRule = Rule[Any]

RULE_ID = re.compile(r"^[A-Za-z]{2,10}-[0-9]{2}$")


def explain(name: Annotated[str, typer.Argument(metavar="ID", help="Any id that a list or a report shows.")]) -> int:
    """Explain an attack, threat, device, defense, metric, scan rule or scoring rule."""
    from tinymlsec.errors import UsageError

    look_ups = (_threat, _attack, _defense, _metric, _scan_rule, _rule, _device)
    pages = [page for look_up in look_ups if (page := look_up(name)) is not None]
    if pages:
        typer.echo("\n\n".join(pages))  # a rule of the scanner and one of scoring can have the same id
        return 0
    raise UsageError(
        "nothing has this id", found=name, expected="an id of an attack, threat, device, defense, metric or rule",
        next_step="see: tinymlsec list attacks|threats|devices|defenses|rules",
    )  # fmt: skip


def attack_page(spec: Attack[Any]) -> str:
    """The documentation page of an attack: its docstring, its declaration and the size of each effort level."""
    return "\n".join(_attack_lines(spec))


def _attack(name: str) -> str | None:
    from tinymlsec.registry import discover

    spec = discover().attacks.get(name)
    return attack_page(spec) if spec else None


def _attack_lines(spec: Attack[Any]) -> Iterator[str]:
    yield f"{spec.id}: {spec.title}"
    yield ""
    yield inspect.cleandoc(spec.doc)
    yield ""
    yield f"Threats: {', '.join(spec.threats)}"
    yield f"Needs: {', '.join(sorted(spec.needs)) or 'nothing'}"
    yield f"Attacker: {spec.position.value}"
    yield f"Tasks: {', '.join(sorted(spec.tasks)) or 'all'}"
    yield f"Controls: {', '.join(spec.controls) or 'none'}"
    yield f"Source: {spec.source}"
    yield ""
    yield from _preset_table(spec)


def _preset_table(spec: Attack[Any]) -> Iterator[str]:
    """The configuration at each effort level."""
    from tinymlsec.field_docs import field_texts

    levels = list(spec.presets)
    configs = [spec.configure(level).model_dump(mode="json") for level in levels]
    rows = [["setting", *(level.value for level in levels), "meaning"]]
    texts = field_texts(spec.config)
    for name in spec.config.model_fields:
        rows.append([name, *(_short(config[name]) for config in configs), texts.get(name, "")])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()


def _short(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _threat(name: str) -> str | None:
    from tinymlsec.threat.catalog import load_catalog

    return _record(load_catalog().threats.get(name.upper()))


def _defense(name: str) -> str | None:
    from tinymlsec.threat.catalog import load_catalog

    return _record(load_catalog().defenses.get(name))


def _device(name: str) -> str | None:
    from tinymlsec.target.device import list_devices

    device = next((d for d in list_devices() if d.id == name), None)
    page = _record(device)
    return page if device is None or page is None else "\n".join([page, *_firmware(device)])


def _firmware(device: Device) -> Iterator[str]:
    """What firmware for a device is built and emulated for, and where it lies."""
    from tinymlsec.cli.terminal import plain
    from tinymlsec.emulate.cores import core_for
    from tinymlsec.emulate.memory_maps import memory_map

    choice = core_for(device)
    yield "firmware:"
    yield f"  core: {choice.core.id if choice.core else 'none'}"
    yield f"  fidelity: {choice.fidelity.value}"
    yield f"  reason: {plain(choice.reason, 1000)}"
    if choice.core is not None:
        memory = memory_map(device, choice.core)
        for region in memory.regions:
            yield f"  {region.name}: 0x{region.address:08x}, {region.size >> 10} KiB"
        yield f"  memories from: {plain(memory.source, 1000)}"


def _metric(name: str) -> str | None:
    from tinymlsec.metrics import METRICS

    spec = METRICS.get(name)
    return f"{name}: {spec.text}\nUnit: {spec.unit}\nDirection: {spec.direction.value}" if spec else None


def _scan_rule(name: str) -> str | None:
    if not RULE_ID.match(name):  # loading the rules takes time and NumPy
        return None
    from tinymlsec.rules.discovery import rule_book

    spec = rule_book().rules.get(name.upper())
    return "\n".join(_scan_rule_lines(spec)) if spec else None


def _scan_rule_lines(spec: AnyRule) -> Iterator[str]:
    from tinymlsec.rules.runtime import DEFAULT_RUNTIME, load_runtime

    yield f"{spec.id} (scan rule): {spec.title}"
    yield ""
    yield inspect.cleandoc(spec.doc)
    yield ""
    yield f"Looks at: {spec.subject.value}"
    yield f"Severity: {spec.severity.value}, confidence {spec.confidence.value}"
    yield f"Weakness: {', '.join(spec.cwe)}"
    yield f"CVE: {', '.join(spec.cve) or 'none'}"
    yield f"Threats: {', '.join(spec.threats)}"
    yield f"Fix: {spec.fix}"
    yield f"Source: {spec.source}"
    rows = load_runtime().rows
    for key in (spec.id, *spec.cve):
        if row := rows.get(key):
            yield f"In {DEFAULT_RUNTIME}: {key}: {row.guard.value}{f', {row.where}' if row.where else ''}"


def _rule(name: str) -> str | None:
    from tinymlsec.threat.rules import rules_table_markdown

    lines = rules_table_markdown().splitlines()
    header, rows = _cells(lines[0]), [_cells(line) for line in lines[2:]]
    row = next((row for row in rows if row[0].lower() == name.lower()), None)
    return "\n".join(f"{key}: {value}" for key, value in zip(header, row, strict=True)) if row else None


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def _record(record: Any) -> str | None:
    """A record as indented lines, in the order of its fields."""
    if record is None:
        return None
    dump: Callable[..., dict[str, Any]] = record.model_dump
    from tinymlsec.cli.scan_facts import fact_lines

    return "\n".join(fact_lines(json.loads(json.dumps(dump(mode="json")))))
