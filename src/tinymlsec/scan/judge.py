"""From what was found to what counts: a project's severities, its suppressions, and the baseline."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator

from tinymlsec.records import Finding, Severity
from tinymlsec.scan.baseline import Baseline, findings_of
from tinymlsec.scan.config import Config, Suppression
from tinymlsec.scan.kinds import SCANNED
from tinymlsec.scan.records import FileKind, FileReport, Known, ScanReport, Suppressed

EXIT_CLEAN, EXIT_FINDINGS, EXIT_BAD_INPUT, EXIT_NOTHING_RAN = 0, 1, 2, 3


def judge(
    report: ScanReport, config: Config, baseline: Baseline | None = None, *, today: datetime.date | None = None
) -> ScanReport:
    """The report with the project's severities, with accepted findings apart, and with known ones marked.

    Args:
        report: as `engine.scan` makes it.
        config: the project's configuration.
        baseline: findings of an earlier scan.
        today: decides which suppressions still hold; None for the day of the system's clock.
    """
    ledger = _Ledger(config, today or datetime.datetime.now(datetime.UTC).date())
    files = tuple(_suppress(_severities(file, config), ledger) for file in report.files)
    problems = (*report.problems, *ledger.problems())
    report = report.model_copy(update={"files": files, "problems": problems})
    return report if baseline is None else _hold_against(report, baseline)


def exit_code(report: ScanReport, fail_on: str) -> int:
    """0 nothing that counts at or above the level, 1 findings, 2 a file could not be read, 3 nothing was scanned."""
    if not any(was_scanned(file) for file in report.files):
        return EXIT_NOTHING_RAN
    if fail_on != "none" and any(f.severity.rank >= Severity(fail_on).rank for _, f in counting(report)):
        return EXIT_FINDINGS
    return EXIT_BAD_INPUT if any(file.error for file in report.files) else EXIT_CLEAN


def was_scanned(file: FileReport) -> bool:
    """Rules ran over it."""
    return file.error is None and (file.kind in SCANNED or file.kind is FileKind.PRODUCT)


def counting(report: ScanReport) -> Iterator[tuple[FileReport, Finding]]:
    """Findings that are neither accepted nor known."""
    for file in report.files:
        known = frozenset(file.known)
        for mark, finding in zip(file.fingerprints, file.all_findings, strict=True):
            if mark not in known:
                yield file, finding


def _severities(file: FileReport, config: Config) -> FileReport:
    if not config.severity or not file.all_findings:
        return file

    def changed(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return tuple(
            finding if (level := config.severity_of(finding.id)) is None
            else finding.model_copy(update={"severity": level})
            for finding in findings
        )  # fmt: skip

    parts = tuple(part.model_copy(update={"findings": changed(part.findings)}) for part in file.contained)
    return file.model_copy(update={"findings": changed(file.findings), "contained": parts})


class _Ledger:
    """Which suppression met what."""

    def __init__(self, config: Config, today: datetime.date) -> None:
        self._config, self._today = config, today
        self._used: Counter[Suppression] = Counter()

    def look_up(self, rule: str, path: str) -> Suppression | None:
        """The first entry that accepts a finding today; expired ones are counted and accept nothing."""
        for entry in self._config.suppress:
            if entry.matches(rule, path):
                self._used[entry] += 1
                if not self._expired(entry):
                    return entry
        return None

    def problems(self) -> Iterator[str]:
        """Entries that expired or match nothing."""
        for entry in self._config.suppress:
            if self._expired(entry):
                count = self._used[entry]
                words = "1 finding counts again" if count == 1 else f"{count} findings count again"
                again = words if count else "it matches nothing"
                yield f"{entry.words} expired on {entry.expires}: {again}"
            elif not self._used[entry]:
                yield f"{entry.words} matches nothing"

    def _expired(self, entry: Suppression) -> bool:
        return entry.expires is not None and entry.expires < self._today


def _suppress(file: FileReport, ledger: _Ledger) -> FileReport:
    marks = iter(file.fingerprints)
    accepted: list[Suppressed] = []
    kept_marks: list[str] = []

    def kept(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        rest = []
        for finding in findings:
            mark, entry = next(marks), ledger.look_up(finding.id, file.path)
            if entry is None:
                rest.append(finding)
                kept_marks.append(mark)
            else:
                expires = entry.expires.isoformat() if entry.expires else ""
                accepted.append(Suppressed(finding=finding, reason=entry.reason, expires=expires, fingerprint=mark))
        return tuple(rest)

    own = kept(file.findings)
    parts = tuple(part.model_copy(update={"findings": kept(part.findings)}) for part in file.contained)
    if not accepted:
        return file
    return file.model_copy(update={
        "findings": own, "contained": parts, "fingerprints": tuple(kept_marks),
        "suppressed": (*file.suppressed, *accepted),
    })  # fmt: skip


def _hold_against(report: ScanReport, baseline: Baseline) -> ScanReport:
    known = {item.fingerprint for item in baseline.findings}
    files = tuple(
        file.model_copy(update={"known": tuple(mark for mark in file.fingerprints if mark in known)})
        for file in report.files
    )
    return report.model_copy(update={"files": files, "baseline": True, "gone": tuple(_gone(report, baseline))})


def _gone(report: ScanReport, baseline: Baseline) -> Iterator[Known]:
    """What the baseline has of files that were read, and this scan has not."""
    read = {file.path for file in report.files if file.error is None}
    here = {item.fingerprint for file in report.files for item in findings_of(file)}
    for item in baseline.findings:
        if item.path in read and item.fingerprint not in here:
            yield item
