"""Sound trace files of every kind, made here by the published descriptions of their formats."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinymlsec.records import Basis
from tinymlsec.traces.traceset import ArrayTraces, TraceInfo, TraceSet

N, T, K = 24, 30, 6


def samples(dtype: str = "float32", n: int = N, t: int = T) -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(n, t)) * 40).astype(dtype)


def inputs(n: int = N, k: int = K) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (n, k), np.uint8)


def array_traces(n: int = N, t: int = T, k: int = K, **facts: object) -> ArrayTraces:
    info = TraceInfo(**{"source": "made here", "basis": Basis.SIMULATED, **facts})  # type: ignore[arg-type]
    pc = np.arange(0x0800_0000, 0x0800_0000 + 2 * t, 2, dtype=np.uint32)
    return ArrayTraces(info, samples(n=n, t=t), inputs(n, k) if k else np.zeros((0, 0), np.uint8), pc)


def whole(traces: TraceSet, size: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """All samples and inputs, through chunks of an awkward size."""
    chunks = list(traces.chunks(size))
    assert [chunk.first for chunk in chunks] == sorted(chunk.first for chunk in chunks)
    return np.concatenate([chunk.samples for chunk in chunks]), np.concatenate([chunk.inputs for chunk in chunks])


def tag(code: int, value: bytes, long: int = 0) -> bytes:
    """A tag of a .trs header; `long` bytes of length where more than needed are wanted."""
    if len(value) < 0x80 and not long:
        return bytes([code, len(value)]) + value
    width = long or (len(value).bit_length() + 7) // 8
    return bytes([code, 0x80 | width]) + len(value).to_bytes(width, "little") + value


def definitions(*entries: tuple[str, int, int, int]) -> bytes:
    """Trace parameters of a .trs of version 2: name, type, elements, offset."""
    out = struct.pack("<H", len(entries))
    for name, kind, count, offset in entries:
        out += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BHH", kind, count, offset)
    return out


CODES = {"int8": 0x01, "int16": 0x02, "int32": 0x04, "float32": 0x14}


def trs(
    data: np.ndarray, given: np.ndarray | None = None, *, title: int = 0, before: int = 0, version: int = 1,
    changes: Mapping[int, bytes | None] | None = None,
) -> bytes:  # fmt: skip
    """A .trs file; `before` bytes of other data come before the input of each trace."""
    k = 0 if given is None else given.shape[1]
    tags: dict[int, bytes | None] = {
        0x41: struct.pack("<i", len(data)), 0x42: struct.pack("<i", data.shape[1]),
        0x43: bytes([CODES[data.dtype.name]]), 0x44: struct.pack("<H", before + k), 0x45: bytes([title]),
        0x47: b"made here", 0x4B: struct.pack("<f", 1e-6),
    }  # fmt: skip
    if version > 1:
        tags[0x4F] = bytes([version])
        tags[0x77] = definitions(("LEGACY", 0x01, before, 0), ("INPUT", 0x01, k, before)) if k else definitions()
    elif k:
        tags[0x6B], tags[0x6E] = struct.pack("<i", before), struct.pack("<i", k)
    tags.update(changes or {})
    head = b"".join(tag(code, value) for code, value in tags.items() if value is not None) + tag(0x5F, b"")
    rows = []
    for i, row in enumerate(data):
        extra = b"" if given is None else bytes(before) + given[i].tobytes()
        rows.append(
            f"trace {i}".encode().ljust(title, b"\0")[:title]
            + extra
            + row.astype(row.dtype.newbyteorder("<")).tobytes()
        )
    return head + b"".join(rows)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def npz(compressed: bool = False, **arrays: object) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def project(folder: Path, segments: int = 2, **settings: object) -> Path:
    """A ChipWhisperer project as version 5 saves it: with a row of zeros behind the traces of each segment."""
    text = ["[Trace Management]"]
    place = folder / "scope_data" / "traces"
    place.mkdir(parents=True)
    for number in range(segments):
        prefix = f"2026.11.25-10.00.0{number}_"
        stated = {"format": "native", "numTraces": N, "numPoints": T, "prefix": prefix, "scopeSampleRate": 29538459.0,
                  "notes": '""', **settings}  # fmt: skip
        config = place / f"config_{prefix}.cfg"
        config.write_text(
            "\n".join(["[Trace Config]", *(f"{name} = {value}" for name, value in stated.items())]) + "\n"
        )
        rows = np.vstack([samples("float64") / 256 + number, np.zeros((1, T))])
        np.save(place / f"{prefix}traces.npy", rows)
        np.save(place / f"{prefix}textin.npy", inputs())
        text += [f"tracefile{number} = scope_data\\traces\\{config.name}", f"enabled{number} = True"]
    text += ["[ChipWhisperer]", "    [[General Settings]]", "    Project Name = Untitled", '    Program Version = ""']
    path = folder / "scope.cwp"
    path.write_text("\n".join(text) + "\n")
    return path
