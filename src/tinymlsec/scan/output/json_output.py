"""A scan as JSON: the record itself."""

from __future__ import annotations

from tinymlsec.report.json_report import finite_json
from tinymlsec.scan.records import ScanReport


def render_json(report: ScanReport) -> str:
    """The record as JSON text in ASCII; `ScanReport.model_validate_json` reads it back unchanged."""
    try:
        return finite_json(report.model_dump(mode="json"))
    except (UnicodeEncodeError, ValueError):  # a file name that is no Unicode; ASCII escapes can hold it
        return finite_json(report.model_dump(mode="python"))
