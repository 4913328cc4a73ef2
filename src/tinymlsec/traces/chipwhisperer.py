"""Traces of a ChipWhisperer project: NAME.cwp, and beside it NAME_data/traces with a .cfg and .npy files per segment.

The format is the one that NewAE documents ("File Formats", wiki of ChipWhisperer): the project names the .cfg of each
segment and whether it is enabled; the .cfg names a prefix; PREFIXtraces.npy has the samples, PREFIXtextin.npy the
inputs. A project from a stranger is held to its own folder, and arrays of Python objects are refused.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from tinymlsec.traces.files import FileTraces, TraceFileError, measured, size_of
from tinymlsec.traces.joined import JoinedTraces
from tinymlsec.traces.numpy_file import map_npy
from tinymlsec.traces.traceset import TraceError, TraceSet

MAX_TEXT = 1 << 20
"""Longest project or segment file."""
MAX_SEGMENTS = 4096


def open_chipwhisperer(path: Path) -> TraceSet:
    """Traces of all enabled segments of a project, one after the other.

    Args:
        path: NAME.cwp.

    Raises:
        TraceFileError: not a project, segments that are missing, damaged, outside of its folder, or do not belong
            together.
    """
    project = _read(path, "Trace Management")
    files = _segments(path, project)
    parts = [_segment(path, file) for file in files]
    if len(parts) == 1:
        return parts[0]
    try:
        return JoinedTraces(parts)
    except TraceError as error:
        raise TraceFileError(
            f"segments of {path.name} do not belong together: {error.message}", found=error.found,
            expected=error.expected, next_step="disable segments of other measurements in the project",
        ) from error  # fmt: skip


def _read(path: Path, section: str) -> dict[str, str]:
    """One section of a text file of ChipWhisperer; names in small letters."""
    size = size_of(path)
    if size > MAX_TEXT:
        raise TraceFileError(f"{path.name} is too long", found=f"{size:,} bytes", expected=f"at most {MAX_TEXT:,}")
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text("utf-8", errors="strict"))
        return {name: value.strip().strip("\"'") for name, value in parser.items(section)}
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise TraceFileError(
            f"{path.name} is no file of ChipWhisperer", found=str(error)[:200].replace("\n", " "),
            expected=f"a section [{section}]", next_step="give the .cwp of the project; unpack an exported .zip first",
        ) from error  # fmt: skip


def _segments(path: Path, project: dict[str, str]) -> list[Path]:
    """The .cfg of each enabled segment, in order."""
    named = {int(m[1]): value for name, value in project.items() if (m := re.fullmatch(r"tracefile(\d{1,6})", name))}
    off = {int(m[1]) for name, value in project.items()
           if (m := re.fullmatch(r"enabled(\d{1,6})", name)) and value.strip().lower() == "false"}  # fmt: skip
    used = [number for number in sorted(named) if number not in off]
    if not used or len(used) > MAX_SEGMENTS:
        raise TraceFileError(
            f"{path.name} has no traces", found=f"{len(named)} segments, {len(used)} enabled",
            expected=f"1 to {MAX_SEGMENTS}", next_step="capture, then save the project",
        )  # fmt: skip
    return [_inside(path, named[number]) for number in used]


def _inside(path: Path, name: str) -> Path:
    """A file that the project names, which must lie in the project's folder."""
    home = path.parent.resolve()
    try:
        made = (home / name.strip().replace("\\", "/")).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise TraceFileError(f"{path.name} names a file that cannot be", found=name[:200]) from error
    if not made.is_relative_to(home):
        raise TraceFileError(
            f"{path.name} names a file outside of its folder", found=name[:200], expected=f"below {home}",
            next_step="consolidate the project, so that its files lie beside it",
        )  # fmt: skip
    return made


def _segment(path: Path, config: Path) -> FileTraces:
    settings = _read(config, "Trace Config")
    prefix = settings.get("prefix", "")
    if settings.get("format", "native").lower() not in ("native", "") or "/" in prefix or "\\" in prefix:
        raise TraceFileError(
            f"{config.name} is of another format", found=f"{settings.get('format', '')} {prefix}"[:200],
            expected="native, with a prefix",
        )  # fmt: skip
    folder = config.parent
    data, at = map_npy(_inside(path, str(folder / f"{prefix}traces.npy")))
    text = folder / f"{prefix}textin.npy"
    inputs = map_npy(_inside(path, str(text)))[0] if text.exists() else None
    used = _used(config, settings, len(data))
    data, inputs = data[:used], None if inputs is None else inputs[:used]
    made = measured(path, f"ChipWhisperer, segment {config.name}", sampling_hz=_rate(settings))
    if data.ndim != 2:
        return FileTraces(made, data)  # which says what is wrong
    rows, columns = data.strides
    return FileTraces(made, data, inputs, offset=lambda t, s: at + t * rows + s * columns)


def _used(config: Path, settings: dict[str, str], there: int) -> int:
    """Number of traces: as stated. ChipWhisperer saves room for more: projects have a last trace of zeros."""
    text = settings.get("numtraces", "0")
    stated = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
    if stated > there:
        raise TraceFileError(
            f"traces of {config.name} are missing", found=f"{there} traces", expected=f"{stated} traces",
            next_step="copy the whole project again",
        )  # fmt: skip
    return stated or there


def _rate(settings: dict[str, str]) -> float | None:
    try:
        rate = float(settings.get("scopesamplerate", "0"))
    except ValueError:
        return None
    return rate if 0 < rate < 1e12 else None
