"""A measurement for people: text, Markdown, picture, page, files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from emulate.measure_helper import made_measurement
from report.report_sample import run_record
from tinymlsec.emulate.measure_records import Measurement, Range
from tinymlsec.errors import RunFolderError, UsageError
from tinymlsec.report.html import render_html
from tinymlsec.report.json_report import render_json
from tinymlsec.report.markdown import render_markdown
from tinymlsec.report.measurement.frame import NARROW, WIDE
from tinymlsec.report.measurement.html import html
from tinymlsec.report.measurement.markdown import markdown
from tinymlsec.report.measurement.page import page_of
from tinymlsec.report.measurement.picture import picture
from tinymlsec.report.measurement.read import measurement_in
from tinymlsec.report.measurement.shapes import ticks
from tinymlsec.report.measurement.text import text_lines
from tinymlsec.report.measurement.words import count, size, span
from tinymlsec.report.measurement.write import FORMATS, render, wanted_formats, write_measurement
from tinymlsec.report.records import Report
from tinymlsec.report.view import build_report
from tinymlsec.run_record import RunRecord, RunStatus


def test_measurement_goes_to_json_and_back() -> None:
    made = made_measurement()
    assert Measurement.model_validate_json(made.model_dump_json()) == made


def test_text_names_every_layer_and_what_is_not_known() -> None:
    lines = "\n".join(text_lines(made_measurement()))
    assert len(re.findall(r"(CONV_2D|POOL_2D|CONNECTED|SOFTMAX)  ", lines)) == 13
    assert "not printed: no sourced power figure" in lines
    assert "not validated on silicon" in lines
    assert "flash term not modeled" in "\n".join(text_lines(made_measurement(flash=False)))


def test_markdown_of_a_strange_name_is_no_markup() -> None:
    page = markdown(made_measurement(model="<b>x</b>|`y`\n# z.tflite"))
    assert "<b>" not in page.replace("\\<b\\>", "")
    assert not re.search(r"^# z", page, re.MULTILINE)


PARTS = {"about": 0, "devices": 2 + 6, "published": 2 + 12, "declared": 2 + 5, "builds": 2 + 3, "arenas": 2 + 4}
"""Tables of docs/firmware/measure.md, and how many lines they have at least."""

HOSTILE = '<script>alert(1)</script>"&\u202e' + "m" * 200


@pytest.mark.parametrize("layers", [0, 1, 13, 120])
@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_picture_is_well_formed_and_stays_in_its_frame(layers: int, page: bool, narrow: bool) -> None:
    made = made_measurement(layers=layers, model=HOSTILE, device_name=HOSTILE)
    drawn = picture(made, "m-1", page=page, narrow=narrow)
    root = ET.fromstring(drawn)
    assert "<script>" not in drawn
    assert "\u202e" not in drawn
    wide, high = (float(v) for v in root.attrib["viewBox"].split()[2:])
    assert wide == (NARROW if narrow else WIDE).width
    for shape in root.iter():
        if shape.tag.endswith("rect"):
            assert float(shape.attrib["x"]) + float(shape.attrib["width"]) <= wide + 0.1
            assert float(shape.attrib["y"]) + float(shape.attrib["height"]) <= high + 0.1
        if shape.tag.endswith("text"):
            assert 0 < float(shape.attrib["y"]) < high
            if "text-anchor" not in shape.attrib:
                assert float(shape.attrib["x"]) + 5 * len(shape.text or "") <= wide, shape.text
    assert drawn == picture(made, "m-1", page=page, narrow=narrow)


class Tags(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_page_needs_nothing_else_and_believes_nobody() -> None:
    page = html(made_measurement(model=HOSTILE, device_name=HOSTILE, notes=[HOSTILE], energy_note=HOSTILE))
    tags = Tags(page)
    assert not [tag for tag, _ in tags.found if tag in ("script", "img", "iframe", "object", "embed", "base", "form")]
    links = [value for _, attrs in tags.found for name, value in attrs.items() if name in ("href", "src")]
    assert all((link or "").startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\(|@import|https?://", page.replace("http://www.w3.org/2000/svg", ""))
    assert not [name for _, attrs in tags.found for name in attrs if name.startswith("on")]
    policy = next(attrs["content"] for tag, attrs in tags.found if "http-equiv" in attrs)
    assert policy is not None
    assert "default-src 'none'" in policy
    ids = [attrs["id"] for _, attrs in tags.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert "\u202e" not in page


def test_page_says_all_that_the_text_says() -> None:
    made = made_measurement(microjoules={"low": 812.0, "high": 4_560.0}, energy_note="run, 10 mW: a bench (A)")
    words = " ".join(Tags(html(made).replace("_<wbr>", "_")).words)  # where long names may be broken
    for layer in made.layers:
        assert layer.symbol in words
        assert span(layer.cost.zero_wait) in words
    assert "a bench" in words
    assert "812 to 4,560 uJ" in words
    assert "not validated on silicon" in words
    assert "wait states of the flash are not modeled" in " ".join(Tags(html(made_measurement(flash=False))).words)


def test_many_functions_are_folded_away() -> None:
    page = page_of(made_measurement(layers=30))
    assert len(page.functions.rows) == 12
    assert page.more_functions is not None
    assert len(page.more_functions.rows) == 18
    assert page_of(made_measurement(layers=3)).more_functions is None


def test_outputs_that_differ_are_the_first_thing_a_page_says() -> None:
    made = made_measurement(inputs={"count": 5, "source": "random codes, seed 0", "exact": 2, "close": 3})
    assert "2 of 5 outputs differ" in page_of(made).warning
    assert html(made).index("Do not trust") < html(made).index("<figure")
    assert not page_of(made_measurement()).warning


def test_files_are_written_whole_under_their_formats(tmp_path: Path) -> None:
    made = made_measurement()
    written = write_measurement(made, tmp_path / "new" / "run", tuple(FORMATS))
    endings = ("txt", "json", "md", "html", "svg")
    assert [path.name for path in written.values()] == [f"measurement.{ending}" for ending in endings]
    assert Measurement.model_validate_json(written["json"].read_text()) == made
    assert written["svg"].read_text() == render(made, "svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError):
        write_measurement(made, tmp_path / "file")


@pytest.fixture
def run_folder(tmp_path: Path) -> tuple[Path, RunRecord]:
    """A folder with the measurement of what its run assessed."""
    run = run_record(RunStatus.COMPLETE)
    assert run.model is not None
    write_measurement(made_measurement(model_digest=run.model.sha256, device=run.device_id), tmp_path, ("json",))
    return tmp_path, run


def test_an_assessment_shows_the_measurement_of_its_folder(run_folder: tuple[Path, RunRecord]) -> None:
    folder, run = run_folder
    report = build_report(run, [], [], measurement_in(folder, run))
    page = render_html(report)
    assert "What it costs on the device" in page
    assert page.count('<figure class="picture') == 2
    assert page.count('id="m-wide-t"') == 1
    assert "2.86 to 3.67 M cycles" in render_markdown(report)
    assert Report.model_validate_json(render_json(report)) == report
    without = render_html(build_report(run, [], []))
    assert "What it costs" not in without
    assert "<figure" not in without


def test_a_measurement_of_something_else_is_not_shown_but_told(run_folder: tuple[Path, RunRecord]) -> None:
    folder, run = run_folder
    assert run.model is not None
    other_model = run.model.model_copy(update={"sha256": "0" * 64})
    for changed, word in (({"model": other_model}, "another model"), ({"device_id": "rp2040"}, "another device")):
        other = run.model_copy(update=changed)
        found, notice = measurement_in(folder, other)
        assert found is None
        assert word in notice
        report = build_report(other, [], [], (found, notice))
        assert notice in render_html(report)
        assert "<figure" not in render_html(report)
        assert word in render_markdown(report)
    (folder / "measurement.json").write_text('{"version": "9"}')
    assert "no measurement of this version" in measurement_in(folder, run)[1]
    (folder / "measurement.json").unlink()
    assert measurement_in(folder, run) == (None, "")
    assert measurement_in(None, run) == (None, "")


def test_formats_are_checked_before_anything_runs() -> None:
    assert wanted_formats(None, to_folder=False) == ("text",)
    assert wanted_formats(None, to_folder=True) == ("html", "json")
    assert wanted_formats("JSON, svg,json", to_folder=True) == ("json", "svg")
    for text, folder in (("pdf", True), ("", True), ("json,svg", False)):
        with pytest.raises(UsageError):
            wanted_formats(text, to_folder=folder)


def test_ticks_reach_the_top_in_round_steps() -> None:
    for top in (1.0, 7.0, 95.0, 1_154_000.0, 3e9):
        marks = ticks(top)
        assert marks[0] == 0
        assert marks[-1] >= top > marks[-2]
        assert len(marks) <= 7
    assert ticks(0) == [0.0, 1.0]


@pytest.mark.parametrize(("value", "words"), [(812, "812"), (9_999, "9,999"), (12_345, "12.3 k"), (4.56e6, "4.56 M")])
def test_counts_in_words(value: float, words: str) -> None:
    assert count(value) == words


def test_sizes_in_words() -> None:
    assert [size(v) for v in (0, 9_000, 16_000, 2 << 20)] == ["0 B", "9,000 B", "15.6 KiB", "2.00 MiB"]


def test_a_unit_that_both_ends_share_stands_once() -> None:
    assert span(Range(low=2.86e6, high=3.67e6)) == "2.86 to 3.67 M"
    assert span(Range(low=900e3, high=1.16e6)) == "900 k to 1.16 M"
    assert span(Range(low=5_404, high=6_650)) == "5,404 to 6,650"
    assert span(Range(low=7, high=7)) == "7"


def test_the_page_of_figures_was_filled_by_its_script() -> None:
    page = (Path(__file__).parents[2] / "docs" / "firmware" / "measure.md").read_text(encoding="utf-8")
    parts = {name: re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", page, re.DOTALL) for name in PARTS}
    for name, rows in PARTS.items():
        found = parts[name]
        assert found is not None, name
        assert len([line for line in found[1].splitlines() if line.startswith("|")]) >= rows, name
    devices = parts["devices"]
    assert devices is not None
    assert len(re.findall(r"short by (at least )?[\d,]+ bytes", devices[1])) >= 1
