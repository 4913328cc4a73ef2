"""A measurement as one HTML file that needs nothing else: no network, no script, no files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec import __version__
from tinymlsec.report.html import asset, environment
from tinymlsec.report.measurement.page import page_of
from tinymlsec.report.measurement.picture import picture
from tinymlsec.report.text import LIMIT

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_records import Measurement


def html(measurement: Measurement) -> str:
    """The measurement as a page; the same record gives the same bytes."""
    from markupsafe import Markup

    template = environment(LIMIT).from_string(_own("measurement.html.j2"))
    return (
        template.render(
            view=page_of(measurement),
            version=__version__,
            css=Markup(asset("report.css")),  # noqa: S704 - our own style sheets
            own_css=Markup(_own("measurement.css")),  # noqa: S704
            wide=Markup(picture(measurement, "m-wide", page=True)),  # noqa: S704 - every text in it is escaped
            narrow=Markup(picture(measurement, "m-narrow", page=True, narrow=True)),  # noqa: S704
        )
        + "\n"
    )


def _own(name: str) -> str:
    from importlib.resources import files

    return files("tinymlsec.report.measurement").joinpath(name).read_text(encoding="utf-8").strip()
