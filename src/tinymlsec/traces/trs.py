"""Traces in Riscure Inspector's .trs files, mapped: nothing is read but what is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinymlsec.traces.files import FileTraces, TraceFileError, mapped, measured, size_of
from tinymlsec.traces.trs_header import TrsHeader, read_header


def open_trs(path: Path, input_at: tuple[int, int] | None = None) -> FileTraces:
    """Traces of a .trs file, version 1 or 2. Samples are as stored: the scale of the y axis is not applied.

    Args:
        path: the file.
        input_at: (first byte, bytes) of the input within the data of a trace, for files that do not say.

    Raises:
        TraceFileError: not such a file, truncated, or an input that lies outside of the data.
    """
    size = size_of(path)
    with path.open("rb") as stream:
        header = read_header(path, stream, size)
    dtype = np.dtype(header.dtype)
    begin = header.begin + header.title + header.data
    data = mapped(path, dtype, (header.traces, header.samples), offset=begin, step=header.step)
    inputs, place = None, input_at or header.input
    if place is not None:
        first, length = place
        if first < 0 or length < 1 or first + length > header.data:
            raise TraceFileError(
                f"{path.name} has no such input", found=f"bytes {first} to {first + length}",
                expected=f"within {header.data} bytes of data",
            )  # fmt: skip
        at = header.begin + header.title + first
        inputs = mapped(path, np.dtype(np.uint8), (header.traces, length), offset=at, step=header.step)
    hz = float(f"{1 / header.scale_x:.7g}") if header.scale_x else None  # as many digits as float32 has
    info = measured(path, _words(header, place), sampling_hz=hz)
    return FileTraces(info, data, inputs, offset=lambda t, s: begin + t * header.step + s * dtype.itemsize)


def _words(header: TrsHeader, place: tuple[int, int] | None) -> str:
    words = f"Riscure .trs, version {max(header.version, 1)}"
    if header.data and place is None:
        words += f"; {header.data} bytes of data with each trace, none marked as input"
    return words
