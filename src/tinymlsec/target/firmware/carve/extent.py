"""Where a .tflite file ends that lies in the middle of other bytes.

No field of the format says how long a file is. Its tables reach up to some byte; what may follow is the padding that
the writer put behind the last object, all zeros. Two kinds of writers are told apart by where they put a vtable that
several tables share:

- The FlatBuffers library builds files from the back to the front, so that a shared vtable lies behind the tables that
  were written later. Its padding follows strings and vectors only: up to a multiple of 4, of 16 behind a constant
  whose alignment the schema forces.
- Writers that go from the front to the back (ours) put it before all of them and fill up the last 16 bytes.

Behind the file may be a zip archive of associated files (labels), whose directory counts from the model's first byte.

Format: flatbuffers.dev, "Internals"; TensorFlow Lite schema (`force_align: 16` of Buffer.data); TFLite metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinymlsec.errors import ModelFileError
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.limits import MAX_SPANS
from tinymlsec.target.tflite.layout import Span, layout

_ZIP_LOCAL, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_ZIP_END_BYTES = 22
_MOST_ENDS = 64
"""Marks of an end that are looked at."""
_STRIDE = 512
"""Spans between two looks at the clock."""


@dataclass
class _Seen:
    """What the walk over all spans noticed."""

    last: Span
    constants_aligned: bool = True
    """Every constant lies on a multiple of 16 from the start."""
    back_to_front: bool = False
    vtable: int = 0

    def add(self, span: Span) -> None:
        if span.end > self.last.end:
            self.last = span
        if span.kind == "vtable":
            self.vtable = span.start
        elif span.kind == "table":
            self.back_to_front |= self.vtable > span.start
        elif span.owner == "Buffer.data" and span.kind == "vector" and span.end > span.start + 4:
            self.constants_aligned &= (span.start + 4) % 16 == 0

    @property
    def unit(self) -> int:
        """Multiple of bytes that the writer filled the file up to."""
        if not self.back_to_front:
            return 16 if self.constants_aligned else 4
        if self.last.owner == "Buffer.data" and self.constants_aligned:
            return 16
        return 4 if self.last.kind in ("string", "vector") else 1


def extent(data: memoryview, budget: Budget | None = None) -> int:
    """Bytes of the model file that begins where `data` does.

    Args:
        data: from its first byte on, with whatever follows it.
        budget: the walk ends when it is used up.

    Raises:
        ModelFileError: it is no model, its structure is damaged, or it took too long to follow.
    """
    seen = _Seen(Span(0, 0, "root", ""))
    for count, span in enumerate(layout(data)):
        if count > MAX_SPANS or (budget is not None and count % _STRIDE == _STRIDE - 1 and budget.over):
            raise ModelFileError("the model has too many tables to be followed", found=f"{count} spans")
        seen.add(span)
    used = seen.last.end
    filled = min(-(-used // seen.unit) * seen.unit, len(data))
    end = used if any(data[used:filled]) else filled
    return _with_archive(data, end)


def _with_archive(data: memoryview, end: int) -> int:
    """The end of a zip archive that was appended at `end`, if its directory counts from the start; else `end`."""
    if bytes(data[end : end + 4]) != _ZIP_LOCAL:
        return end
    tail = bytes(data[end:])
    at = tail.find(_ZIP_END)
    for _ in range(_MOST_ENDS):
        if at < 0:
            break
        start = end + at
        fields = tail[at : at + _ZIP_END_BYTES]
        size, offset, comment = (int.from_bytes(fields[a:b], "little") for a, b in ((12, 16), (16, 20), (20, 22)))
        if len(fields) == _ZIP_END_BYTES and offset + size == start and start + _ZIP_END_BYTES + comment <= len(data):
            return start + _ZIP_END_BYTES + comment
        at = tail.find(_ZIP_END, at + 4)
    return end
