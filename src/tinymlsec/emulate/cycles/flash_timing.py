"""Flash of a device: wait states at its clock and the caches in front of it. Only where a source is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tinymlsec.emulate.contract import FlashLines, Region
from tinymlsec.errors import DeviceError
from tinymlsec.records import Record
from tinymlsec.target.device_facts import Words
from tinymlsec.target.toml_file import parse, read_text, validate

FOLDER = Path(__file__).with_name("flash")

Count = Annotated[int, Field(strict=True, ge=0, le=65536)]


class LineCache(Record):
    """Lines that are kept in front of the flash array."""

    lines: Count
    """How many in all; 0: none is kept, only the line that was read last."""
    ways: Annotated[int, Field(strict=True, ge=0, le=65536)] = 0
    """Lines of a set; 0 for a fully associative cache."""

    @property
    def geometry(self) -> tuple[int, int]:
        """Sets and ways."""
        ways = self.ways or self.lines
        return (self.lines // ways if ways else 1), ways

    @model_validator(mode="after")
    def _even(self) -> LineCache:
        if self.ways and self.lines % self.ways:
            raise ValueError(f"{self.lines} lines do not make sets of {self.ways}")
        return self


class FlashTiming(Record):
    """What reading from the flash of a device costs at one clock."""

    device: Words
    """Id of the device."""
    mhz: float = Field(gt=0, le=10_000)
    """Clock of the core."""
    wait_states: Annotated[int, Field(strict=True, ge=0, le=64)]
    """Cycles on top for each line that is read from the array."""
    line_bytes: Literal[4, 8, 16, 32, 64]
    """Bytes that one read of the array brings."""
    code: LineCache
    """In front of instruction fetch."""
    data: LineCache
    """In front of data reads, weights and literals."""
    source: Words = Field(min_length=1)
    """Who says so."""
    confidence: Literal["A", "B", "C"]
    """A: read in the vendor's manual; B: widely quoted; C: from memory, to be checked."""
    note: Words = ""
    """What is not modeled."""

    def lines_of(self, region: Region) -> FlashLines:
        """What a run must count misses of, for a flash that lies somewhere."""
        return FlashLines(region.address, region.size, self.line_bytes, self.code.geometry, self.data.geometry)


@cache
def flash_timing(device: str) -> FlashTiming | None:
    """The flash of a device of the library; None where no source is known, and the flash term is not modeled.

    Raises:
        DeviceError: our file does not follow the schema.
    """
    path = FOLDER / f"{device}.toml"
    if not path.is_file() or path.parent != FOLDER:
        return None
    return read_flash_timing(path, "reinstall tinymlsec")


def read_flash_timing(path: Path, next_step: str = "see docs/firmware/cycles.md") -> FlashTiming:
    """The flash of a device from a file, a user's own for instance.

    Args:
        path: a TOML file with the fields of `FlashTiming`.
        next_step: what an error tells to do.

    Raises:
        DeviceError: it cannot be read, or does not follow the schema.
    """
    text = read_text(path, DeviceError, next_step)
    return validate(FlashTiming, parse(text, path, DeviceError), path, text, DeviceError)
