"""The bytes of a firmware file, once its size is known to be bounded; and the sound of its errors."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NoReturn

from tinymlsec.errors import FirmwareError, InputError
from tinymlsec.target.firmware.limits import MAX_FILE_BYTES

NEXT_STEP = "build the firmware again, or check that the file arrived whole"


def read_bounded(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        InputError: there is no such file, or it cannot be read.
        FirmwareError: it is too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(
                "the firmware path is not a file", found=str(path), expected="an ELF, HEX, UF2 or raw image"
            )
        if status.st_size > MAX_FILE_BYTES:
            _refuse_size(status.st_size)
        with path.open("rb") as stream:
            data = stream.read(min(status.st_size, MAX_FILE_BYTES) + 1)
        if len(data) > status.st_size:
            raise InputError(
                "the firmware file grows while it is read", found=str(path), next_step="wait until it is written"
            )
    except OSError as error:
        found = f"{path}: {error.strerror or error}"
        raise InputError("the firmware file cannot be read", found=found, next_step="check the path") from error
    except ValueError as error:  # a zero byte in the path
        raise InputError("the firmware file cannot be read", found=f"{path!r}: {error}") from error
    return check_size(data)


def check_size(data: bytes) -> bytes:
    """The bytes, if there are some and not too many.

    Raises:
        FirmwareError: there are none, or too many.
    """
    if not data:
        raise FirmwareError("the firmware file is empty", found="0 bytes", next_step=NEXT_STEP)
    if len(data) > MAX_FILE_BYTES:
        _refuse_size(len(data))
    return data


def _refuse_size(size: int) -> NoReturn:
    raise FirmwareError(
        "the firmware file is too large",
        found=f"{size:,} bytes",
        expected=f"at most {MAX_FILE_BYTES:,} bytes",
        next_step="give the image of one device, without the debug information of the host",
    )


def damaged(
    message: str, offset: int | None, *, found: str, expected: str | None = None, next_step: str = NEXT_STEP
) -> NoReturn:
    """Refuses a damaged file.

    Raises:
        FirmwareError: always.
    """
    raise FirmwareError(message, offset=offset, found=found, expected=expected, next_step=next_step)
