"""Writes reports into a folder, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.errors import RunFolderError, UsageError

if TYPE_CHECKING:
    from tinymlsec.assessment import Assessment
    from tinymlsec.report.records import Report


def _html(report: Report) -> str:
    from tinymlsec.report.html import render_html

    return render_html(report)


def _json(report: Report) -> str:
    from tinymlsec.report.json_report import render_json

    return render_json(report)


def _sarif(report: Report) -> str:
    from tinymlsec.report.json_report import finite_json
    from tinymlsec.report.sarif import render_sarif

    return finite_json(render_sarif(report))


def _markdown(report: Report) -> str:
    from tinymlsec.report.markdown import render_markdown

    return render_markdown(report)


FORMATS: Mapping[str, Callable[[Report], str]] = {"html": _html, "json": _json, "sarif": _sarif, "md": _markdown}
"""Format name (also the file's ending) -> how it is made."""


def write_reports(report: Report, folder: Path, formats: Sequence[str] = tuple(FORMATS)) -> dict[str, Path]:
    """Write report.html, report.json, report.sarif and report.md, or those asked for.

    Args:
        report: the record.
        folder: where to; made where it is missing.
        formats: names from FORMATS.

    Returns:
        Format name -> path of the written file, in the order asked for.

    Raises:
        UsageError: a format that is not known.
        RunFolderError: the folder cannot be written.
    """
    _check(formats)
    texts = {name: FORMATS[name](report) for name in dict.fromkeys(formats)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return {name: replace_file(folder / f"report.{name}", text) for name, text in texts.items()}
    except OSError as error:
        raise RunFolderError(
            "the report cannot be written",
            found=f"{folder}: {error.strerror}",
            next_step="choose a folder that can be written",
        ) from error


def parse_formats(text: str) -> tuple[str, ...]:
    """Format names from a comma-separated list, each once.

    Raises:
        UsageError: no format, or one that is not known.
    """
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    _check(names)
    if not names:
        raise UsageError("no report format is named", found=repr(text), expected=", ".join(FORMATS))
    return names


def write_assessment(assessment: Assessment, folder: Path | None, formats: Sequence[str]) -> dict[str, Path]:
    """Write the reports of an assessment; see `write_reports`.

    Args:
        assessment: what `tinymlsec.assessment` returns, fresh or read back from a run folder.
        folder: where to; the assessment's own folder without.
        formats: names from FORMATS.

    Raises:
        UsageError: an assessment kept in memory, and no folder named.
    """
    from tinymlsec.report.measurement.read import measurement_in
    from tinymlsec.report.view import build_report

    place = folder or assessment.folder
    if place is None:
        raise UsageError("this assessment was kept in memory", next_step="name a folder for its reports")
    measured = measurement_in(assessment.folder, assessment.run)
    report = build_report(assessment.run, assessment.evidence, assessment.threats, measured)
    return write_reports(report, place, formats)


def _check(formats: Sequence[str]) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError("no such report format", found=", ".join(unknown), expected=", ".join(FORMATS))


def replace_file(path: Path, text: str) -> Path:
    """Write beside the file and move over it, so that a reader sees the old report or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8", "backslashreplace"))
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
