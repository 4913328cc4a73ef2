"""The page of a measurement in a real browser: silent, without network, on desk and phone, in the dark, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.devtools import Browser
from emulate.measure_helper import made_measurement
from tinymlsec.report.measurement.html import html

pytestmark = pytest.mark.browser
_FIGURE = "document.querySelector('.picture.{0}').getBoundingClientRect()"
_TOO_WIDE = """[...document.querySelectorAll('.picture.{0} svg text')].filter(t => {{
  const text = t.getBoundingClientRect(), frame = t.ownerSVGElement.getBoundingClientRect();
  return text.left < frame.left - 1 || text.right > frame.right + 1;
}}).map(t => t.textContent)"""
_OVERLAPS = """(() => {{
  const texts = [...document.querySelectorAll('.picture.{0} svg text')];
  const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
  const beside = (a, b) => a.right - 1 <= b.left || b.right - 1 <= a.left;
  const above = (a, b) => a.bottom - 2 <= b.top || b.bottom - 2 <= a.top;
  const hit = ([, a], [, b]) => !beside(a, b) && !above(a, b);
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => hit(a, b)).map(b => a[0] + ' / ' + b[0]));
}})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measurement") / "measurement.html"
    made = made_measurement(layers=40, device_name="A device whose name is as long as names of devices get, revision 2")
    path.write_text(html(made), encoding="utf-8")
    return path


@pytest.fixture
def browser(shared_browser: Browser, page: Path) -> Iterator[Browser]:
    shared_browser.emulate()
    shared_browser.events.clear()
    shared_browser.open(page, scripts=False)
    yield shared_browser
    shared_browser.call("Emulation.clearDeviceMetricsOverride")


def _at(browser: Browser, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.settle()


def test_no_complaint_and_no_request_but_the_file(browser: Browser, page: Path) -> None:
    browser.settle()
    assert browser.complaints() == []
    assert {url for url in browser.requests() if not url.startswith("data:")} == {page.resolve().as_uri()}


@pytest.mark.parametrize(
    ("width", "shown", "hidden"), [(360, "narrow", "wide"), (760, "narrow", "wide"), (1440, "wide", "narrow")]
)
def test_the_picture_of_the_screen_is_shown_and_fits(browser: Browser, width: int, shown: str, hidden: str) -> None:
    _at(browser, width)
    assert browser.run(f"{_FIGURE.format(shown)}.width") > 300
    assert browser.run(f"{_FIGURE.format(hidden)}.width") == 0
    assert browser.run("document.documentElement.scrollWidth - innerWidth") <= 0
    assert browser.run(_TOO_WIDE.format(shown)) == []
    assert browser.run(_OVERLAPS.format(shown)) == []
    letter = "parseFloat(getComputedStyle(document.querySelector('.picture.{0} svg .s')).fontSize)"
    scale = f"({_FIGURE.format(shown)}.width / document.querySelector('.picture.{shown} svg').viewBox.baseVal.width)"
    assert browser.run(f"{letter.format(shown)} * {scale}") >= 8.5, "letters too small to read"


@pytest.mark.parametrize(("scheme", "back"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(28, 32, 36)")])
def test_the_picture_follows_the_system(browser: Browser, scheme: str, back: str) -> None:
    browser.emulate(scheme=scheme)
    assert browser.run("getComputedStyle(document.querySelector('.picture.wide svg > rect')).fill") == back


def test_paper_shows_everything_in_light_colors(browser: Browser) -> None:
    browser.emulate(scheme="dark", media="print")
    assert (
        browser.run("getComputedStyle(document.querySelector('.picture.wide svg > rect')).fill") == "rgb(255, 255, 255)"
    )
    assert browser.run(f"{_FIGURE.format('narrow')}.width") == 0
    assert browser.run("document.querySelector('#functions details .body').offsetHeight") > 100
