"""A fixed scan report with one of everything, and small model files with and without faults."""

from __future__ import annotations

import hashlib
from functools import cache

from rules.corpus import all_cases
from rules.corpus.base import Case
from tinymlsec.records import Confidence, Finding, Location, Severity
from tinymlsec.scan.fingerprint import fingerprints
from tinymlsec.scan.records import Contained, FileKind, FileReport, Known, ScanReport, Suppressed


@cache
def case(rule: str) -> Case:
    """A good and a bad file of one rule."""
    return next(c for c in all_cases() if c.rule == rule and c.device is None and c.linked is None)


def finding(rule: str, severity: Severity, location: Location, message: str = "Found 3, expected 4.") -> Finding:
    return Finding(
        id=rule, title=f"Title of {rule}", message=message, severity=severity, confidence=Confidence.HIGH,
        cwe=("CWE-787",), cve=("CVE-2021-29587",), location=location, fix="convert the model again",
    )  # fmt: skip


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def marked(report: FileReport) -> FileReport:
    return report.model_copy(update={"fingerprints": fingerprints(report)})


def sample_report() -> ScanReport:
    """Every state of a finding, every state of a file."""
    shape = finding("EXA-01", Severity.HIGH, Location(file_offset=0x1A40, op=3))
    hostile = finding(
        "EXB-05", Severity.LOW, Location(file_offset=80, tensor=2),
        '=cmd|"<script>alert(1)</script>" | [x](http://evil.test) @all\x1b[31m\u202e',
    )  # fmt: skip
    inner = finding("EXC-01", Severity.CRITICAL, Location(file_offset=0x9000, op=0))
    accepted = finding("EXD-02", Severity.MEDIUM, Location(tensor=4))
    model = marked(
        FileReport(
            path="models/kws.tflite", kind=FileKind.TFLITE, sha256=digest("kws"), size=53936, seconds=0.012,
            findings=(shape, hostile), skipped=("WEIGHT-01: more than 64 places, the first 64 are listed",),
        )
    )  # fmt: skip
    model = model.model_copy(update={
        "known": (model.fingerprints[1],),
        "suppressed": (Suppressed(finding=accepted, reason="a demonstration", expires="2027-01-31",
                                  fingerprint=digest("accepted")),),
    })  # fmt: skip
    part = Contained(kind=FileKind.TFLITE, offset=0x8000, address=0x08008000, size=2704, sha256=digest("part"),
                     encoding="xor:5a", findings=(inner,))  # fmt: skip
    image = marked(
        FileReport(path="build/fw.elf", kind=FileKind.ELF, sha256=digest("fw"), size=200_000, seconds=1.5,
                   contained=(part,))
    )  # fmt: skip
    return ScanReport(
        tool_version="0.1.0", runtime="tflm-2026-08", device="stm32l4r5zi", started="2026-11-26T06:00:00+00:00",
        seconds=1.75, baseline=True, problems=("suppression of IDX-01 in *.tflite matches nothing",),
        files=(
            image, FileReport(path="models/bad\n.tflite", kind=FileKind.OTHER, size=0, error="Permission denied"),
            model,
            FileReport(path="notes.txt", kind=FileKind.OTHER, size=5,
                       skipped=("no rules for this kind of file: plain text",)),
        ),
        gone=(Known(fingerprint=digest("gone"), rule="EXE-01", path="models/kws.tflite", title="Scale of zero",
                    severity=Severity.MEDIUM),),
    )  # fmt: skip
