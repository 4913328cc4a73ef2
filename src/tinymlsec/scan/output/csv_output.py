"""A scan as CSV: one line a finding, and one for each file that could not be scanned."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from tinymlsec.report.text import clean
from tinymlsec.scan.output.rows import Row, all_rows, gaps, inside_words
from tinymlsec.scan.records import ScanReport

COLUMNS = (
    "path", "kind", "inside", "rule", "severity", "confidence", "state", "title", "message", "fix", "note", "offset",
    "address", "subgraph", "operator", "tensor", "symbol", "cwe", "cve", "fingerprint",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(report: ScanReport) -> str:
    """The findings as RFC 4180 text with a header line; no cell can be taken for a formula by a spreadsheet."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for record in _records(report):
        writer.writerow({name: _cell(value) for name, value in record.items()})
    return stream.getvalue()


def _records(report: ScanReport) -> Iterator[dict[str, object]]:
    for row in all_rows(report):
        yield _record(row)
    for file in report.files:
        if file.error:
            yield {"path": file.path, "kind": file.kind.value, "state": "error", "message": file.error}
    for file, reason in gaps(report):
        yield {"path": file.path, "kind": file.kind.value, "state": "skipped", "message": reason}


def _record(row: Row) -> dict[str, object]:
    finding, place = row.finding, row.finding.location
    return {
        "path": row.file.path, "kind": row.file.kind.value, "inside": inside_words(row.inside) if row.inside else "",
        "rule": finding.id, "severity": finding.severity.value, "confidence": finding.confidence.value,
        "state": row.state.value, "title": finding.title, "message": finding.message, "fix": finding.fix,
        "note": row.note, "offset": place.file_offset, "address": place.address, "subgraph": place.subgraph,
        "operator": place.op, "tensor": place.tensor, "symbol": place.symbol, "cwe": " ".join(finding.cwe),
        "cve": " ".join(finding.cve), "fingerprint": row.fingerprint,
    }  # fmt: skip


def _cell(value: object) -> str:
    text = "" if value is None else clean(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
