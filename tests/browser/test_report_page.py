"""The report in a real browser: silent, without network, and usable from the keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from browser.devtools import Browser
from report.threat_sample import sample_report
from tinymlsec.report.html import render_html

pytestmark = pytest.mark.browser
_FOCUS = "document.activeElement.getAttribute('href') || document.activeElement.tagName"
_IN_VIEW = (
    "(() => { const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.top < innerHeight })()"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_html(sample_report()), encoding="utf-8")
    return path


@pytest.fixture
def browser(shared_browser: Browser, page: Path) -> Browser:
    """The page as somebody sees it who opens it for the first time."""
    shared_browser.emulate()
    shared_browser.open(page)
    shared_browser.run("localStorage.clear()")
    shared_browser.call("Page.navigate", url="about:blank")
    shared_browser.events.clear()
    shared_browser.open(page)
    return shared_browser


def test_no_complaint_and_no_request_but_the_file(browser: Browser, page: Path) -> None:
    browser.run("document.getElementById('expand').click()")
    browser.run("document.getElementById('theme').click()")
    browser.settle()
    assert browser.complaints() == []
    wanted = set(browser.requests())
    assert {url for url in wanted if not url.startswith("data:")} == {page.resolve().as_uri()}


def test_policy_is_in_force(browser: Browser) -> None:
    """The two checks above can fail: the browser sees, stops and reports what a stranger's text would try."""
    browser.run(
        "(() => { const s = document.createElement('script'); s.text = 'window.evil = 1'; document.body.append(s) })()"
    )
    browser.run("(() => { const i = new Image(); i.src = 'http://evil.test/x.png'; document.body.append(i) })()")
    browser.settle()
    assert browser.run("window.evil") is None
    assert any("Content Security Policy" in text for text in browser.complaints())


def test_every_threat_is_reached_by_tab_and_opened_by_enter(browser: Browser) -> None:
    expected = browser.run("[...document.querySelectorAll('.matrix a')].map(a => a.getAttribute('href'))")
    assert len(expected) == 41
    reached: list[str] = []
    for _ in range(120):
        browser.press("Tab")
        focus = browser.run(_FOCUS)
        if re.fullmatch(r"#[HSM]\d+", focus) and focus not in reached:
            reached.append(focus)
            assert browser.run(_IN_VIEW), focus
            if len(reached) == len(expected):
                break
    assert reached == expected
    for target in (expected[0], expected[20], expected[-1]):
        browser.run(f"document.querySelector('.matrix a[href=\"{target}\"]').focus()")
        browser.press("Enter")
        browser.settle()
        assert browser.run(f"document.querySelector('{target}').open"), target
        assert browser.run(f"document.activeElement.parentElement.id === '{target[1:]}'"), "focus did not follow"
        assert browser.run(_IN_VIEW)


def test_every_detail_is_a_tab_stop_that_enter_toggles(browser: Browser) -> None:
    browser.run("document.querySelector('#threats #collapse').focus()")
    opened = []
    for _ in range(41):
        browser.press("Tab")
        browser.press("Enter")
        opened.append(
            browser.run("document.activeElement.parentElement.open && document.activeElement.parentElement.id")
        )
        browser.press("Enter")
    assert opened == browser.run("[...document.querySelectorAll('details.threat')].map(d => d.id)")
    assert browser.run("document.querySelectorAll('details.threat[open]').length") == 0


def test_focus_can_be_seen(browser: Browser) -> None:
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert browser.run("document.activeElement.getBoundingClientRect().left >= 0")


def test_filter(browser: Browser) -> None:
    browser.run("document.querySelector('button[data-outcome=demonstrated]').click()")
    shown = "[...document.querySelectorAll('details.threat:not([hidden])')].map(d => d.id)"
    assert browser.run(shown) == ["M2"]
    assert browser.run("document.getElementById('shown').textContent") == "1 of 41 threats shown"
    browser.run("document.querySelector('.matrix a[href=\"#H8\"]').click()")
    browser.settle()
    assert "H8" in browser.run(shown), "a link into a filtered threat must show it"


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_theme_follows_the_system_and_the_button(browser: Browser, scheme: str, dark: bool) -> None:
    browser.emulate(scheme=scheme)
    is_dark = "getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 26)'"
    assert browser.run(is_dark) is dark
    themes = []
    for _ in range(3):
        browser.run("document.getElementById('theme').click()")
        themes.append((browser.run("document.getElementById('theme').textContent"), browser.run(is_dark)))
    assert themes == [("Theme: light", False), ("Theme: dark", True), ("Theme: auto", dark)]


def test_theme_is_remembered(browser: Browser, page: Path) -> None:
    browser.run("document.getElementById('theme').click(); document.getElementById('theme').click()")
    browser.open(page)
    assert browser.run("document.getElementById('theme').textContent") == "Theme: dark"


def test_paper_shows_everything_in_light_colors(browser: Browser) -> None:
    browser.emulate(scheme="dark", media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.getElementById('theme')).display") == "none"
    bodies = "[...document.querySelectorAll('details.threat > .body')]"
    hidden = f"{bodies}.filter(b => !b.getClientRects().length || b.offsetHeight < 50).length"
    assert browser.run(hidden) == 0
    assert browser.call("Page.printToPDF", preferCSSPageSize=True)["data"][:4] == "JVBE"


def test_works_without_script(browser: Browser, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url="about:blank")
        browser.open(page, "#H8-detail", scripts=False)
        assert browser.run("document.getElementById('H8').open"), "the browser itself opens the fold around a target"
        assert browser.run("getComputedStyle(document.querySelector('.needs-script')).display") == "none"
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        browser.open(page)


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_sideways_scrolling(browser: Browser, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.run("document.getElementById('expand').click()")
    try:
        assert browser.run("document.documentElement.scrollWidth - innerWidth") <= 0
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")
