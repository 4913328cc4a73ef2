"""The report as JSON: the record itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinymlsec.report.records import Report


def render_json(report: Report) -> str:
    """The report record as JSON text in ASCII; `Report.model_validate_json` reads it back unchanged."""
    return finite_json(report.model_dump(mode="json"))


def finite_json(value: Any) -> str:
    """JSON text with null where a fact is not a finite number, since JSON knows no other."""
    try:
        return json.dumps(value, indent=1, allow_nan=False) + "\n"
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite, indent=1, allow_nan=False) + "\n"
