"""The report as JSON: the record itself."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinymlsec.report.records import Report


def render_json(report: Report) -> str:
    """The report record as JSON text in ASCII; `Report.model_validate_json` reads it back unchanged."""
    try:
        return finite_json(report.model_dump(mode="json"))
    except UnicodeEncodeError:  # a file name that is no Unicode; ASCII escapes can hold it, Pydantic's JSON cannot
        return finite_json(report.model_dump(mode="python"))


def _stamp(moment: object) -> str:
    if not isinstance(moment, datetime):
        raise TypeError(f"{type(moment).__name__} has no place in a record")
    return moment.isoformat().replace("+00:00", "Z")


def finite_json(value: Any) -> str:
    """JSON text with null where a fact is not a finite number, since JSON knows no other."""
    try:
        return json.dumps(value, indent=1, allow_nan=False, default=_stamp) + "\n"
    except ValueError:
        finite = json.loads(json.dumps(value, default=_stamp), parse_constant=lambda _: None)
        return json.dumps(finite, indent=1, allow_nan=False) + "\n"
