"""Reads a file to scan: bounded, regular files only, and not through a link that was put there meanwhile."""

from __future__ import annotations

import io
import os
import stat

from tinymlsec.scan.collect import Found
from tinymlsec.scan.kinds import HEAD_BYTES, kind_of_file
from tinymlsec.scan.records import FileKind
from tinymlsec.target.firmware import limits as firmware_limits
from tinymlsec.target.tflite import limits as model_limits

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class Unreadable(Exception):
    """The file cannot be read; the message says why."""


def read_file(found: Found) -> tuple[FileKind, str, bytes]:
    """Kind of a file, why it is not scanned (empty where it is), and its bytes (the head alone where it is not).

    Raises:
        Unreadable: the reason is its text.
    """
    try:
        handle = os.open(found.path, _FLAGS | (0 if found.given else _NO_LINK))
        with open(handle, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor that is open already
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("it is not a regular file")
            head = stream.read(HEAD_BYTES) or b""
            kind, reason = kind_of_file(head, status.st_size, found.path.name, given=found.given)
            if reason:
                return kind, reason, head
            limit = model_limits.MAX_FILE_BYTES if kind is FileKind.TFLITE else firmware_limits.MAX_FILE_BYTES
            return kind, "", head + _rest(stream, status.st_size - len(head), limit - len(head))
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def _rest(stream: io.FileIO, size: int, limit: int) -> bytes:
    """What follows the head; a file that grows while it is read is cut at what it had."""
    if size > limit:
        raise Unreadable(f"it is too large: {size:,} bytes, at most {limit:,} are read")
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
