"""A scan as JUnit XML, for build servers that show tests: a file without findings that count is a test that passed."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from tinymlsec.records import Severity
from tinymlsec.report.text import clean
from tinymlsec.scan.output.rows import Row, State, inside_words, place_words, rows_of
from tinymlsec.scan.records import FileKind, FileReport, ScanReport


def render_junit(report: ScanReport, fail_on: str) -> str:
    """The report as JUnit XML.

    Args:
        report: the record.
        fail_on: findings at or above this level are failures, others are passed tests with a message; none: no
            finding is a failure.
    """
    cases = [case for file in report.files for case in _cases(file, fail_on)]
    suite = ET.Element("testsuite", name="tinymlsec scan", timestamp=report.started[:19], time=f"{report.seconds:.3f}")
    suite.extend(cases)
    for name, child in (("tests", None), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(1 for case in cases if child is None or case.find(child) is not None)))
    root = ET.Element("testsuites", {key: suite.get(key, "") for key in ("tests", "failures", "errors", "time")})
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _cases(file: FileReport, fail_on: str) -> Iterator[ET.Element]:
    rows = rows_of(file)
    if not rows or file.error:
        yield _file_case(file)
    for row in rows:
        yield _row_case(row, fail_on)


def _file_case(file: FileReport) -> ET.Element:
    case = _case(file, "scan", file.seconds)
    if file.error:
        ET.SubElement(case, "error", type="unreadable", message=clean(file.error))
    elif file.kind in (FileKind.OTHER, FileKind.ONNX):
        ET.SubElement(case, "skipped", message=clean("; ".join(file.skipped) or "no rules for this kind of file"))
    elif file.skipped:
        ET.SubElement(case, "system-out").text = clean("; ".join(file.skipped))
    return case


def _row_case(row: Row, fail_on: str) -> ET.Element:
    finding = row.finding
    place = ", ".join(p for p in (place_words(finding.location), inside_words(row.inside) if row.inside else "") if p)
    case = _case(row.file, f"{finding.id} {clean(finding.title, 200)}{f' ({clean(place, 200)})' if place else ''}", 0.0)
    text = f"{clean(finding.message)}\nfix: {clean(finding.fix)}"
    if row.state is State.SUPPRESSED:
        ET.SubElement(case, "skipped", message=clean(f"accepted: {row.note}"))
    elif row.state is State.KNOWN:
        ET.SubElement(case, "skipped", message="in the baseline")
    elif fail_on != "none" and finding.severity.rank >= Severity(fail_on).rank:
        failure = ET.SubElement(case, "failure", type=finding.severity.value, message=clean(finding.title, 200))
        failure.text = text
    else:
        ET.SubElement(case, "system-out").text = f"{finding.severity.value}: {text}"
    return case


def _case(file: FileReport, name: str, seconds: float) -> ET.Element:
    return ET.Element("testcase", classname=clean(file.path, 300), name=name, time=f"{seconds:.3f}")
