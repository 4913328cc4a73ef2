"""Names of findings that last: the same from run to run, wherever the project lies and however bytes move in the file.

A fingerprint is made of rule, path, and place: operator, tensor or symbol where the finding names one, since offsets
move with every edit. Several findings of one rule at one place are told apart by their order.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from tinymlsec.records import Finding, Location
from tinymlsec.scan.records import FileReport

_VERSION = "tinymlsecScan/v1"


def fingerprints(report: FileReport) -> tuple[str, ...]:
    """One fingerprint (SHA-256, hexadecimal) for each of `report.all_findings`, in their order."""
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for part, findings in _parts(report):
        for finding in findings:
            key = (_VERSION, finding.id, report.path, part, *_place(finding.location))
            found.append(hashlib.sha256("\x1f".join((*key, str(seen[key]))).encode("utf-8", "replace")).hexdigest())
            seen[key] += 1
    return tuple(found)


def _parts(report: FileReport) -> list[tuple[str, tuple[Finding, ...]]]:
    """The file itself, then what it contains, by number: offsets in an image change with every build."""
    inside = [(f"{part.kind.value}#{number}", part.findings) for number, part in enumerate(report.contained)]
    return [("", report.findings), *inside]


def _place(location: Location) -> tuple[str, ...]:
    named = (location.op, location.tensor, location.symbol)
    if any(part is not None for part in named):
        return tuple(map(_text, (location.subgraph, *named)))
    return tuple(map(_text, (location.subgraph, None, None, None, location.file_offset, location.address)))


def _text(part: object) -> str:
    return "" if part is None else str(part)
