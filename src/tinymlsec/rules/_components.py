"""Software inside an image, and versions with known flaws: the table lies in `data/components.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tinymlsec.rules.subjects import ImageFile

_FILE = Path(__file__).with_name("data") / "components.toml"
_ESP_APP = bytes.fromhex("3254cdab")
"""Magic word of the description in ESP-IDF applications (esp_app_desc_t); the version of the framework is at 0x70."""
_MOST_DESCRIPTIONS = 64
_ESP_VERSION = re.compile(rb"v?(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)")


class Flaw(NamedTuple):
    """A known vulnerability of some versions."""

    cve: tuple[str, ...]
    ranges: tuple[tuple[str, str], ...]
    """(from, before), either may be empty."""
    severity: str
    condition: str
    source: str


@dataclass(frozen=True)
class Kind:
    """A row of the table."""

    name: str
    kind: str
    purl: str
    texts: tuple[re.Pattern[bytes], ...]
    symbols: frozenset[str]
    prefixes: tuple[str, ...]
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True)
class Component:
    """A piece of software in one image."""

    name: str
    kind: str
    """bootloader, rtos, runtime, library or debug"""
    version: str
    """Empty where the image does not tell."""
    address: int | None
    """Load address of the text that tells; None where a symbol does."""
    reason: str
    """What tells: the text, or the symbol."""
    purl: str
    """Package URL with the version, for a bill of materials; empty where there is none."""
    flaws: tuple[Flaw, ...] = ()
    """Known vulnerabilities of this version."""

    def as_dict(self) -> dict[str, Any]:
        """JSON values for a report or a bill of materials."""
        cves = [cve for flaw in self.flaws for cve in flaw.cve]
        return {
            "name": self.name, "kind": self.kind, "version": self.version, "reason": self.reason, "purl": self.purl,
            "address": self.address, "cve": cves,
        }  # fmt: skip


@cache
def kinds() -> tuple[Kind, ...]:
    """The table."""
    with _FILE.open("rb") as file:
        return tuple(_kind(row) for row in tomllib.load(file)["component"])


def _kind(row: Mapping[str, Any]) -> Kind:
    return Kind(
        row["name"], row["kind"], row["purl"], tuple(re.compile(text.encode()) for text in row["texts"]),
        frozenset(row.get("symbols", ())), tuple(row.get("prefixes", ())),
        tuple(
            Flaw(
                tuple(f["cve"]), tuple((r.get("from", ""), r.get("before", "")) for r in f["ranges"]), f["severity"],
                f["condition"], f["source"],
            )
            for f in row.get("vulnerable", ())
        ),
    )  # fmt: skip


def every_cve() -> tuple[str, ...]:
    """All CVE ids of the table."""
    return tuple(sorted({cve for kind in kinds() for flaw in kind.flaws for cve in flaw.cve}))


def version_key(version: str) -> tuple[tuple[int, ...], str, int]:
    """What versions are ordered by: numbers, a letter (1.0.1g), and a release candidate before its release."""
    match = re.match(r"(\d+(?:\.\d+)*)([a-z]{0,2})(?:-rc(\d+))?", version)
    if match is None:
        return (), "", 0
    numbers = tuple(int(part) for part in match[1].split("."))
    return numbers + (0,) * (4 - len(numbers)), match[2], int(match[3]) if match[3] else 1 << 30


def flaws_of(kind: Kind, version: str) -> tuple[Flaw, ...]:
    """Known vulnerabilities of a version; none of an unknown one."""
    if not version:
        return ()
    key = version_key(version)
    return tuple(flaw for flaw in kind.flaws if any(_within(key, low, high) for low, high in flaw.ranges))


def _within(key: tuple[tuple[int, ...], str, int], low: str, high: str) -> bool:
    return (not low or version_key(low) <= key) and (not high or key < version_key(high))


def components_of(file: ImageFile) -> tuple[Component, ...]:
    """Everything that an image tells about the software in it, in the order of the table; each kind once."""
    runs = file.image.stored()
    names = file.names
    found = [_found(kind, runs, names) for kind in kinds()]
    return tuple(component for component in found if component is not None)


def _found(kind: Kind, runs: tuple[tuple[int, bytes], ...], names: frozenset[str]) -> Component | None:
    best: Component | None = None
    for address, version, text in _told(kind, runs):
        if best is None or (version and not best.version):
            best = _component(kind, version, address, f'the text "{text}"')
    if best is None or not best.version:
        symbol = min(kind.symbols & names, default="") or min(
            (name for name in names if kind.prefixes and name.startswith(kind.prefixes)), default=""
        )
        if symbol and best is None:
            best = _component(kind, "", None, f"the symbol {symbol[:80]}")
    return best


def _component(kind: Kind, version: str, address: int | None, reason: str) -> Component:
    purl = f"{kind.purl}@{version}" if kind.purl and version else kind.purl
    return Component(kind.name, kind.kind, version, address, reason, purl, flaws_of(kind, version))


def _told(kind: Kind, runs: tuple[tuple[int, bytes], ...]) -> Iterator[tuple[int, str, str]]:
    """(load address, version, text) of what texts tell."""
    for start, data in runs:
        if kind.name == "ESP-IDF":
            yield from _esp(start, data)
        for pattern in kind.texts:
            match = pattern.search(data)
            if match is not None:
                version = match.groupdict().get("version") or b""
                text = match.group().rstrip(b"\0")[:80].decode("ascii", "replace")
                yield start + match.start(), version.decode(), text


def _esp(start: int, data: bytes) -> Iterator[tuple[int, str, str]]:
    """The description that ESP-IDF puts into every application."""
    at = data.find(_ESP_APP)
    for _ in range(_MOST_DESCRIPTIONS):
        if at < 0:
            return
        told = data[at + 0x70 : at + 0x90].split(b"\0")[0]
        match = _ESP_VERSION.match(told)
        if match is not None and all(0x20 <= byte < 0x7F for byte in told):
            yield start + at, match[1].decode(), f"ESP-IDF {told.decode()}"
            return
        at = data.find(_ESP_APP, at + 1)
