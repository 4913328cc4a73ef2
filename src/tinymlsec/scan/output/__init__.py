"""Reports of a scan: text, JSON, SARIF, Markdown, CSV and JUnit, all from the same record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tinymlsec.errors import InputError, UsageError
from tinymlsec.scan.records import ScanReport


def _text(report: ScanReport, fail_on: str) -> str:
    from tinymlsec.scan.output.text import render_text

    return render_text(report)


def _json(report: ScanReport, fail_on: str) -> str:
    from tinymlsec.scan.output.json_output import render_json

    return render_json(report)


def _sarif(report: ScanReport, fail_on: str) -> str:
    from tinymlsec.report.json_report import finite_json
    from tinymlsec.scan.output.sarif import render_sarif

    return finite_json(render_sarif(report))


def _markdown(report: ScanReport, fail_on: str) -> str:
    from tinymlsec.scan.output.markdown import render_markdown

    return render_markdown(report, fail_on)


def _csv(report: ScanReport, fail_on: str) -> str:
    from tinymlsec.scan.output.csv_output import render_csv

    return render_csv(report)


def _junit(report: ScanReport, fail_on: str) -> str:
    from tinymlsec.scan.output.junit import render_junit

    return render_junit(report, fail_on)


FORMATS: Mapping[str, Callable[[ScanReport, str], str]] = {
    "text": _text, "json": _json, "sarif": _sarif, "md": _markdown, "csv": _csv, "junit": _junit,
}  # fmt: skip
"""Format name -> how it is made of a report and the level of --fail-on."""

ENDINGS = {"text": "txt", "junit": "xml"}
"""Endings of files where they differ from the format's name."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Format names from a comma-separated list, each once.

    Raises:
        UsageError: no format, or one that is not known.
    """
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise UsageError("no such report format", found=", ".join(unknown) or repr(text), expected=", ".join(FORMATS))
    return names


def write_reports(report: ScanReport, out: Path, formats: Sequence[str], fail_on: str) -> dict[str, Path]:
    """Writes one file with one format, or a folder with `scan.<ending>` for each of several.

    Args:
        report: the record.
        out: the file or, for several formats or where it is a folder already, the folder.
        formats: names from FORMATS.
        fail_on: level at which findings count.

    Returns:
        Format name -> path.

    Raises:
        InputError: it cannot be written.
    """
    from tinymlsec.report.write import replace_file

    texts = {name: FORMATS[name](report, fail_on) for name in formats}
    try:
        if len(formats) == 1 and not out.is_dir():
            out.parent.mkdir(parents=True, exist_ok=True)
            return {formats[0]: replace_file(out, texts[formats[0]])}
        out.mkdir(parents=True, exist_ok=True)
        return {name: replace_file(out / f"scan.{ENDINGS.get(name, name)}", text) for name, text in texts.items()}
    except OSError as error:
        found = f"{os.fspath(out)}: {error.strerror}"
        raise InputError("the report cannot be written", found=found, next_step="choose another -o") from error
