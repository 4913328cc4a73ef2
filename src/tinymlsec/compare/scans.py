"""Two scans: findings by their fingerprints."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.compare.records import Comparison, FindingChange
from tinymlsec.scan.records import ScanReport


def compare_scans(a: ScanReport, b: ScanReport, names: tuple[str, str]) -> Comparison:
    """What a later scan has that an earlier one had not, and the other way round.

    Accepted findings count as found on both sides: accepting one is no change of the file.

    Args:
        a: the earlier scan.
        b: the later one.
        names: what to call them.
    """
    before, after = dict(_findings(a)), dict(_findings(b))
    return Comparison(
        kind="scan", a=names[0], b=names[1],
        new=tuple(change for mark, change in after.items() if mark not in before),
        gone=tuple(change for mark, change in before.items() if mark not in after),
        same=len(before.keys() & after.keys()),
        notes=tuple(_notes(a, b)),
    )  # fmt: skip


def _findings(report: ScanReport) -> Iterator[tuple[str, FindingChange]]:
    for file in report.files:
        pairs = [*zip(file.fingerprints, file.all_findings, strict=False)]
        pairs += [(item.fingerprint, item.finding) for item in file.suppressed]
        for mark, finding in pairs:
            change = FindingChange(rule=finding.id, where=file.path, title=finding.title, message=finding.message,
                                   severity=finding.severity)  # fmt: skip
            yield mark, change


def _notes(a: ScanReport, b: ScanReport) -> Iterator[str]:
    for what, old, new in (
        ("versions of tinymlsec", a.tool_version, b.tool_version),
        ("runtimes", a.runtime, b.runtime),
        ("devices", a.device or "none", b.device or "none"),
    ):
        if old != new:
            yield f"they are of different {what}: {old} and {new}"
    names_a, names_b = ({file.path for file in report.files} for report in (a, b))
    for name in sorted(names_a - names_b)[:20]:
        yield f"{name} was scanned in the first only"
    for name in sorted(names_b - names_a)[:20]:
        yield f"{name} was scanned in the second only"
    for label, report in (("first", a), ("second", b)):
        for file in report.files:
            if file.error:
                yield f"{file.path} could not be scanned in the {label}: {file.error}"
