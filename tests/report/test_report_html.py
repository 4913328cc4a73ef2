"""The page: self-contained, well-formed, accessible, the same bytes each time, in the order of the specification."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise

import pytest

from report.pages import Element, Page
from report.report_sample import run_record
from report.threat_sample import sample_report
from tinymlsec.report.html import MAX_BYTES, render_html
from tinymlsec.report.records import Report
from tinymlsec.run_record import RunStatus


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render_html(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_same_report_same_bytes(report: Report, html: str) -> None:
    assert render_html(report) == html
    assert render_html(Report.model_validate_json(report.model_dump_json())) == html


def test_loads_nothing(html: str, page: Page) -> None:
    for element in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"):
            value = element.attributes.get(name, "#")
            assert value.startswith("#") or value == "data:,", (element.tag, name, value)
    css = page.all("style")[0].words
    assert "@import" not in css
    assert "url(" not in css
    assert len(page.all("style")) == 1, "a drawing brought its own style sheet"
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{i}" for i in re.findall(r'id="([^"]+)"', html)}
    assert not {"iframe", "object", "embed", "form", "base", "image", "img"} & {e.tag for e in page.elements}


def test_policy_allows_our_script_only(html: str, page: Page) -> None:
    policy = next(e for e in page.all("meta") if "http-equiv" in e.attributes).attributes["content"]
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not [a for e in page.elements for a in e.attributes if a.startswith("on")]


def test_identifiers_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for name in ("href", "aria-labelledby", "for", "xlink:href"):
            for target in element.attributes.get(name, "").split():
                if target != "data:,":
                    assert target.lstrip("#") in ids, (element.tag, target)


def test_parts_stand_in_order(page: Page) -> None:
    assert [e.words for e in page.all("h2")] == [
        "What was assessed, and how sure we are",
        "Verdict",
        "Threats in order of priority",
        "What was skipped, and why",
        "How to reproduce this",
    ]
    assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer", "nav")] == [1] * 5


def test_headings_skip_no_level(page: Page) -> None:
    levels = [int(e.tag[1]) for e in page.elements if re.fullmatch("h[1-6]", e.tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_name_their_cells(page: Page) -> None:
    for table in page.all("table"):
        assert table.children[0].tag == "caption"
        assert table.children[0].words
    assert all(e.attributes.get("scope") in ("col", "row", "rowgroup") for e in page.all("th"))
    assert all(e.inside("thead") == (e.attributes["scope"] == "col") for e in page.all("th"))


def test_every_threat_is_in_the_matrix_with_its_detail(report: Report, page: Page) -> None:
    links = [e for e in page.all("a") if e.inside("table")]
    details = {e.attributes["id"]: e for e in page.all("details") if "threat" in e.attributes.get("class", "")}
    assert len(report.threats) == 41
    assert (
        sorted(e.attributes["href"][1:] for e in links) == sorted(details) == sorted(t.threat for t in report.threats)
    )
    assert all(e.children[0].tag == "summary" for e in page.all("details"))


def test_names_what_to_test_next(page: Page) -> None:
    text = next(e.words for e in page.all("p") if e.words.startswith("Most urgent of the untested"))
    assert text.index("H11") < text.index("S7") < text.index("M3")


def test_outcome_is_a_word_with_a_sign(page: Page) -> None:
    row = next(e for e in page.all("tr") if "#M2" in _targets(page, e))
    assert "✕ Demonstrated" in row.words
    assert "executed" in row.words


def _targets(page: Page, row: Element) -> list[str]:
    return [e.attributes["href"] for e in page.all("a") if row in e.parents]


def test_plots_have_words_and_tables(page: Page) -> None:
    figures = page.all("figure")
    assert len(figures) == 3
    for svg in page.all("svg"):
        assert svg.attributes["role"] == "img"
        assert [c.tag for c in svg.children[:2]] == ["title", "desc"]
        figure = next(p for p in svg.parents if p.tag == "figure")
        assert any(figure in table.parents for table in page.all("table"))


def test_evidence_is_shown_once_in_full(html: str) -> None:
    assert html.count("Accuracy after random bit flips</figcaption>") == 1
    assert "Shown in full under H8" in html


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.RUNNING])
def test_unfinished_run_says_so_first(status: RunStatus) -> None:
    report = sample_report(("M2",), run_record(status, planned=("square", "never-reached")))
    text = Page(render_html(report)).all("main")[0].words
    assert text.index("Not a complete run") < text.index("Model")
    assert "never-reached" in text
    assert "1 was not reached" in text


def test_without_model_device_or_data_says_what_is_missing() -> None:
    nothing = {"model": None, "data": None, "task": None, "baseline": None, "device_id": None, "device": None}
    report = sample_report(run=run_record(deployment=None, obstacles={}, planned=(), **nothing), evidence=())
    page = Page(render_html(report))
    text = page.all("main")[0].words
    assert "No model was given" in text
    assert "No device was named" in text
    assert "give a .tflite file" in text
    assert len([e for e in page.all("details") if "threat" in e.attributes.get("class", "")]) == 41


def test_fits(html: str) -> None:
    assert len(html.encode()) < MAX_BYTES / 2
