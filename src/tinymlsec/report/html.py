"""The report as one HTML file that needs nothing else: no network, no fonts, no files beside it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tinymlsec.report.evidence_view import Limits
from tinymlsec.report.page import page_of
from tinymlsec.report.text import clean, short
from tinymlsec.report.words import BASES, OUTCOMES

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from tinymlsec.report.records import Report

MAX_BYTES = 3_000_000
"""Upper bound of the file, whatever is in the report."""


@dataclass(frozen=True)
class _Step:
    limits: Limits
    notice: str


_LADDER = (
    _Step(Limits(), ""),
    _Step(
        Limits(plots=20, rows=20, findings=20, text=600),
        "This report is large. Most drawings and the ends of long lists are left out here; report.json has all.",
    ),
    _Step(
        Limits(plots=0, rows=5, findings=3, text=160),
        "This report is very large. Drawings and most of the lists are left out here; report.json has all.",
    ),
)


def asset(name: str) -> str:
    """A file of the templates as text."""
    return files("tinymlsec.report").joinpath("templates", name).read_text(encoding="utf-8").strip()


def environment(text_limit: int) -> Environment:
    """A Jinja environment that escapes everything and shows nothing from a stranger as it is."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def harmless(value: Any) -> Any:
        return clean(value, text_limit) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("tinymlsec.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=harmless,
    )
    environment.filters["short"] = short
    return environment


@cache
def _inline() -> tuple[str, str, str]:
    """Style sheet, script, and the script's hash for the content security policy."""
    css, js = asset("report.css"), asset("report.js")
    digest = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()
    return css, js, f"sha256-{digest}"


def _render(report: Report, step: _Step) -> str:
    from markupsafe import Markup

    css, js, script_hash = _inline()
    template = environment(step.limits.text).get_template("page.html.j2")
    return template.render(
        pictures=_pictures(report, step),
        page=page_of(report, step.limits, step.notice),
        outcomes=OUTCOMES,
        bases=BASES,
        css=Markup(css),  # noqa: S704 - our own style sheet
        js=Markup(js),  # noqa: S704 - our own script; its hash is in the policy
        script_hash=script_hash,
    )


def _pictures(report: Report, step: _Step) -> tuple[Markup, ...]:
    """The measurement for a desk and for a phone; none where there is no measurement or no space."""
    from markupsafe import Markup

    from tinymlsec.report.measurement.picture import picture

    if report.measurement is None or not step.limits.plots:
        return ()
    drawn = (picture(report.measurement, f"m-{w}", page=True, narrow=w == "narrow") for w in ("wide", "narrow"))
    return tuple(Markup(svg) for svg in drawn)  # noqa: S704 - every text in it is escaped


def render_html(report: Report) -> str:
    """The report as one self-contained HTML page of less than 3 MB.

    The same report gives the same bytes. A report too large for the page is shortened in steps, and the page says so;
    report.json always holds everything.
    """
    page = ""
    for step in _LADDER:
        page = _render(report, step)
        if len(page.encode()) < MAX_BYTES:
            break
    return page
