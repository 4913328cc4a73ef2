"""Runs the rules of model files over one file, family after family, with bounds that hold for any bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Finding
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Rule, Subject
from tinymlsec.rules.subjects import ModelFile

if TYPE_CHECKING:
    from tinymlsec.rules.runtime import Runtime
    from tinymlsec.target.device import Device

MAX_HITS = 64
"""Findings kept of one rule in one file; a hostile file could have one for each of 32,768 operators."""
MAX_SEEN = 40_000
"""Hits of one rule that are counted; more than a file can have operators."""
RAW_FAMILIES = ("STRUCT", "IDX")
"""Families that have something to say about a file that the reader refused."""


@dataclass(frozen=True)
class ModelScan:
    """What the rules said of one model file."""

    file: ModelFile
    findings: tuple[Finding, ...]
    """In the order of families, rules and places."""
    incomplete: tuple[str, ...] = ()
    """Rules with more places than are listed."""
    failures: tuple[str, ...] = ()
    """Rules that ended in an exception of their own: a fault of the rule, never of the file."""


def open_model(
    data: bytes | memoryview,
    *,
    name: str = "",
    runtime: Runtime | None = None,
    device: Device | None = None,
    linked: frozenset[str] | None = None,
) -> ModelFile:
    """The subject that model rules take; a file that the reader refuses is a subject too.

    Args:
        data: the whole file.
        name: for messages.
        runtime: table of the runtime that findings are relative to.
        device: the device that they are relative to.
        linked: operators in the firmware's resolver, where known.
    """
    from tinymlsec.target.tflite.reader import read_model

    try:
        model, damage = read_model(data), None
    except ModelFileError as error:
        model, damage = None, error
    return ModelFile(name, data, model, damage, runtime, device, linked)


def scan_model(file: ModelFile) -> ModelScan:
    """Every rule of the rule book about models, on one file.

    Operators with a finding are noted family by family, so that later families do not say the same in other words.

    Args:
        file: from `open_model`; its `noted` is filled.
    """
    findings: list[Finding] = []
    incomplete: list[str] = []
    failures: list[str] = []
    for rules in _families(file):
        places: set[tuple[int, int]] = set()
        for rule in rules:
            try:
                found, seen = _run(rule, file, places)
            except Exception as error:  # a plug-in's rule, or a fault of ours, must not silence the other rules
                failures.append(f"rule {rule.id} failed: {type(error).__name__}: {str(error)[:200]}")
                continue
            findings += found
            if seen > MAX_HITS:
                incomplete.append(f"{rule.id}: more than {MAX_HITS} places, the first {MAX_HITS} are listed")
        file.noted |= places
    return ModelScan(file, tuple(findings), tuple(incomplete), tuple(failures))


def _run(rule: Rule[Any], file: ModelFile, places: set[tuple[int, int]]) -> tuple[list[Finding], int]:
    """(findings, number of hits) of one rule; operators of all hits are noted, also of those that are not listed."""
    found: list[Finding] = []
    seen = 0
    for hit in islice(rule.check(file), MAX_SEEN):
        seen += 1
        if hit.location.op is not None:
            places.add((hit.location.subgraph or 0, hit.location.op))
        if seen <= MAX_HITS:
            found.append(rule.finding(hit))
    return found, seen


def run_model_rules(
    data: bytes | memoryview,
    *,
    name: str = "",
    runtime: Runtime | None = None,
    device: Device | None = None,
    linked: frozenset[str] | None = None,
) -> list[Finding]:
    """The findings of every model rule on one file. See `open_model` for the arguments."""
    return list(scan_model(open_model(data, name=name, runtime=runtime, device=device, linked=linked)).findings)


def _families(file: ModelFile) -> Iterator[list[Rule[Any]]]:
    """Model rules that this file can be given to, one list a family, in the order of families."""
    groups: dict[str, list[Rule[Any]]] = {}
    for rule in rule_book().about(Subject.MODEL):
        if file.model is not None or rule.family in RAW_FAMILIES:
            groups.setdefault(rule.family, []).append(rule)
    yield from groups.values()
