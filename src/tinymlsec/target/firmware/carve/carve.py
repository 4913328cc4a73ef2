"""Carves models out of a firmware image of any kind, within a time budget that is said and kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.entropy import EntropyMap, entropy_map
from tinymlsec.target.firmware.carve.hits import Hit, Stream
from tinymlsec.target.firmware.carve.limits import DEFAULT_SECONDS, MAX_FOUND
from tinymlsec.target.firmware.carve.nested import search_hidden, search_plain
from tinymlsec.target.firmware.carve.places import Places
from tinymlsec.target.firmware.carve.runs import Run, runs_of
from tinymlsec.target.firmware.image import FirmwareImage

MOST_LISTED = 256
"""Compressed streams that are listed."""


@dataclass(frozen=True)
class Found:
    """A model in an image, and where it lies there."""

    hit: Hit
    address: int
    """Load address of its first byte, or of the compressed stream's."""
    offset: int | None
    """Of the same byte in the file; None where the file left it out as erased flash."""

    @property
    def encoding(self) -> str:
        """How it is hidden, the outermost first, such as ``gzip+xor:5a``; empty where it lies plain."""
        return "+".join(self.hit.encodings)


@dataclass(frozen=True)
class PackedStream:
    """A compressed stream in an image."""

    encoding: str
    address: int
    offset: int | None
    stored: int
    """bytes in the image; 0 where it does not tell"""
    unpacked: int
    """bytes"""


@dataclass(frozen=True)
class Carved:
    """What was found in an image."""

    found: tuple[Found, ...]
    """In order of address."""
    streams: tuple[PackedStream, ...]
    runs: tuple[Run, ...] = field(repr=False)
    """What was searched."""
    maps: tuple[EntropyMap, ...] = field(repr=False)
    """One for each run."""
    places: Places = field(repr=False)
    budget: float = DEFAULT_SECONDS
    """CPU seconds that the search was given."""
    seconds: float = 0.0
    """CPU seconds that it took."""
    skipped: tuple[str, ...] = ()
    """What was not looked at, and why."""


def carve_image(image: FirmwareImage, data: bytes, seconds: float = DEFAULT_SECONDS) -> Carved:
    """Everything that can be carved out of an image. Time and memory are bounded on any bytes.

    Args:
        image: what was read from the file.
        data: the file, for offsets.
        seconds: of CPU time for all searches but that for models in plain.
    """
    budget, places = Budget(seconds), Places(data, image)
    runs = runs_of(image, budget)
    found: list[Found] = []
    streams: list[PackedStream] = []
    # What lies plain is looked for in all runs first, so that nothing hidden or hostile takes its time.
    largest_first = sorted(runs, key=lambda each: -len(each.data))
    plain = [search_plain(run.data, budget) for run in largest_first]
    for run, before in zip(largest_first, plain, strict=True):

        def note(stream: Stream, run: Run = run) -> None:
            if len(streams) < MOST_LISTED:
                address = run.address + stream.at
                where = places.offset(address)
                streams.append(PackedStream(stream.encoding, address, where, stream.stored, len(stream.data)))

        for hit in search_hidden(run.data, budget, note, before):
            address = run.address + hit.at
            found.append(Found(hit, address, places.offset(address)))
    found = sorted(found, key=lambda each: each.address)[:MAX_FOUND]
    maps = tuple(entropy_map(run.data) for run in runs)
    return Carved(tuple(found), tuple(streams), runs, maps, places, seconds, budget.used, budget.skipped)
