"""Text from strangers: it is shown, and it does nothing."""

from __future__ import annotations

import json

import pytest
from markdown_it import MarkdownIt

from report.pages import Page
from report.report_sample import all_evidence, evidence, run_record
from report.threat_sample import sample_report
from tinymlsec.records import Confidence, Curve, CurvePoint, Finding, Location, Metric, Severity, VerdictKind
from tinymlsec.report.html import MAX_BYTES, render_html
from tinymlsec.report.json_report import render_json
from tinymlsec.report.markdown import escape, render_markdown
from tinymlsec.report.records import Report
from tinymlsec.report.sarif import render_sarif
from tinymlsec.report.text import clean

NASTY = [
    "<script>alert(1)</script>",
    "</title></style></script><img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>",
    "a\u202egpj.exe\u2066\u200b\u200f\u061c",
    "\x1b[31mred\x07\x00\r\n\ttab\x9b",
    "{{ 7*7 }}{% raw %} ${x} $\\frac{1}{0}$ $_^",
    "| `cell` | [x](http://evil.test) ![i](//evil.test) @someone #1 www.evil.test <b>",
    "Z" + "\u0301" * 200,
    "\ud800 lone surrogate",
    "W" * 100_000,
]


def hostile(text: str) -> Report:
    """The fixed report with a stranger's text wherever one can come in."""
    run = run_record()
    assert run.model
    assert run.data
    run = run.model_copy(
        update={
            "model": run.model.model_copy(update={"name": text, "inputs": (text,), "custom_operators": (text,)}),
            "data": run.data.model_copy(update={"path": text, "class_names": (text,) * 20}),
            "device": {"name": text, text: {text: [text]}},
            "obstacles": {text: text},
            "plugin_problems": (text,),
            "command": text,
            "host": {text: text},
        }
    )
    found = Finding(
        id="EVIL-01", title=text, message=text, severity=Severity.HIGH, confidence=Confidence.LOW, cwe=(text,),
        location=Location(path=text, symbol=text), fix=text,
    )  # fmt: skip
    curve = Curve(title=text, x_label=text, metric="accuracy", points=(CurvePoint(x=1, y=0.5),), chance=0.1)
    item = evidence(
        "hostile", ("M2",), VerdictKind.VULNERABLE, summary=text, findings=(found,), curves=(curve,), limits=(text,),
        metrics=(Metric.of("accuracy", 0.5, label=text),), facts={text: [text, {text: text}]}, reproduce=text,
    )  # fmt: skip
    return sample_report(("M2", "M5", "H8"), run, (*all_evidence(), item))


@pytest.mark.parametrize("text", NASTY, ids=lambda t: ascii(t[:12]))
def test_page_shows_it_as_text(text: str) -> None:
    html = render_html(hostile(text))
    plain = render_html(hostile("plain"))
    page, reference = Page(html), Page(plain)
    assert [e.tag for e in page.elements] == [e.tag for e in reference.elements], "a text made or removed an element"
    assert {a for e in page.elements for a in e.attributes} == {a for e in reference.elements for a in e.attributes}
    assert not set(html) & set("\u202e\u2066\u200b\u200f\u061c\x1b\x07\x00\x9b\ud800")
    assert len(html.encode()) < MAX_BYTES


@pytest.mark.parametrize("text", NASTY, ids=lambda t: ascii(t[:12]))
def test_json_gives_it_back_and_sarif_takes_it(text: str) -> None:
    report = hostile(text)
    assert render_json(report).isascii()
    assert json.loads(render_json(report))["run"]["command"] == text
    if "\ud800" not in text:  # Pydantic reads no lone surrogate from JSON, and none comes in that way
        assert Report.model_validate_json(render_json(report)) == report
    results = render_sarif(report)["runs"][0]["results"]
    assert all(r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].isascii() for r in results)


@pytest.mark.parametrize("text", NASTY, ids=lambda t: ascii(t[:12]))
def test_markdown_keeps_its_lines_and_cells(text: str) -> None:
    markdown, reference = render_markdown(hostile(text)), render_markdown(hostile("plain"))
    assert markdown.count("\n") == reference.count("\n")
    rows = [line.replace("\\|", "").count("|") for line in markdown.splitlines()]
    assert rows == [line.count("|") for line in reference.splitlines()]
    assert len(markdown) < 20_000


@pytest.mark.parametrize("text", NASTY, ids=lambda t: ascii(t[:12]))
def test_markdown_makes_no_link_image_code_or_tag(text: str) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    markdown = render_markdown(hostile(text)).replace("<!-- -->", "")

    def kinds(source: str) -> list[str]:
        return [t.type for block in parser.parse(source) for t in (block, *(block.children or ()))]

    made = [k for k in kinds(markdown) if k != "text" and k != "text_special"]
    assert made == [k for k in kinds(render_markdown(hostile("plain"))) if k != "text"]


def test_markdown_leaves_nothing_to_a_linkifier() -> None:
    text = escape("https://evil.test www.evil.test @someone fix #12 a@b.test")
    assert text == ("https&#58;//evil.test www&#46;evil.test @<!-- -->someone fix #<!-- -->12 a@<!-- -->b.test")
    assert escape("kws_ref_model.tflite needs tinymlsec[lift]") == "kws_ref_model.tflite needs tinymlsec\\[lift]"


def test_long_text_says_how_much_is_missing() -> None:
    assert clean("x" * 2500, 100) == "x" * 100 + "… [2,400 more characters]"
    assert "more characters]" in render_html(hostile("W" * 100_000))


def test_invisible_characters_are_shown_as_escapes() -> None:
    assert clean("a\u202eb\x1bc\u200bd\ue000\ud800") == "a\\u202eb\\x1bc\\u200bd\\ue000\\ud800"
    assert clean("naïve Größe 数据 🙂") == "naïve Größe 数据 🙂"
    assert clean("two\r\nlines\tand a tab") == "two lines and a tab"
