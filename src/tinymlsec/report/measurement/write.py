"""A measurement in the formats that people ask for, on the terminal or as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.errors import RunFolderError, UsageError
from tinymlsec.report.write import replace_file

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_records import Measurement

STEM = "measurement"
"""Of the files."""


def _text(measurement: Measurement) -> str:
    from tinymlsec.report.measurement.text import text_lines
    from tinymlsec.report.text import clean

    return "\n".join(clean(line, 600) for line in text_lines(measurement)) + "\n"


def _json(measurement: Measurement) -> str:
    return measurement.model_dump_json(indent=2) + "\n"


def _markdown(measurement: Measurement) -> str:
    from tinymlsec.report.measurement.markdown import markdown

    return markdown(measurement)


def _html(measurement: Measurement) -> str:
    from tinymlsec.report.measurement.html import html

    return html(measurement)


def _svg(measurement: Measurement) -> str:
    from tinymlsec.report.measurement.picture import picture

    return picture(measurement)


FORMATS: Mapping[str, tuple[str, Callable[[Measurement], str]]] = {
    "text": ("txt", _text), "json": ("json", _json), "md": ("md", _markdown), "html": ("html", _html),
    "svg": ("svg", _svg),
}  # fmt: skip
"""Format name -> ending of the file, and how it is made."""
INTO_FOLDER = ("html", "json")
"""What is written where a folder is named and no format."""


def wanted_formats(text: str | None, *, to_folder: bool) -> tuple[str, ...]:
    """Format names from a comma-separated list, each once.

    Args:
        text: the list; None for text on a terminal, HTML and JSON in a folder.
        to_folder: files are written; else one format goes to the terminal.

    Raises:
        UsageError: a format that is not known, none, or several without a folder.
    """
    if text is None:
        return INTO_FOLDER if to_folder else ("text",)
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise UsageError("no such format", found=", ".join(unknown) or repr(text), expected=", ".join(FORMATS))
    if len(names) > 1 and not to_folder:
        raise UsageError("several formats need a folder", found=", ".join(names), next_step="add -o FOLDER")
    return names


def render(measurement: Measurement, name: str) -> str:
    """The measurement in one format.

    Args:
        measurement: the record.
        name: from FORMATS.
    """
    return FORMATS[name][1](measurement)


def write_measurement(measurement: Measurement, folder: Path, formats: Sequence[str] = INTO_FOLDER) -> dict[str, Path]:
    """Writes ``measurement.<ending>`` into a folder, each file whole or not at all.

    Args:
        measurement: the record.
        folder: made where it is missing.
        formats: names from FORMATS.

    Returns:
        Format name -> path of the written file.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    texts = {name: render(measurement, name) for name in formats}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return {name: replace_file(folder / f"{STEM}.{FORMATS[name][0]}", text) for name, text in texts.items()}
    except OSError as error:
        raise RunFolderError(
            "the measurement cannot be written", found=f"{folder}: {error.strerror}",
            next_step="choose a folder that can be written",
        ) from error  # fmt: skip
