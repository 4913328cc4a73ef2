"""The firmware image that the user gave: the file as it lies on disk, and as memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage


@dataclass(frozen=True, eq=False)
class GivenImage:
    """A firmware image with what is known of it."""

    name: str
    """Of the file, without its folder."""
    data: bytes = field(repr=False)
    """The whole file."""
    image: FirmwareImage
    """Segments, and symbols where the file has them; `image.digest` is the file's SHA-256."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return self.image.digest


def load_given_image(path: Path, base: int | None = None) -> GivenImage:
    """Reads a firmware file of any kind.

    Args:
        path: ELF, Intel HEX, UF2 or raw.
        base: address of the first byte, for raw images.

    Raises:
        InputError: the file cannot be read.
        FirmwareError: its content is no usable firmware; the error says where.
        UsageError: a base address for a file that has its own.
    """
    from tinymlsec.target.firmware.bytes_of_file import read_bounded
    from tinymlsec.target.firmware.load import load_image

    data = read_bounded(path)
    return GivenImage(path.name, data, load_image(data, base=base))
