"""Scans one firmware image: carves models out of it, runs the image rules on it model rules on what it holds."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from tinymlsec.errors import FirmwareError
from tinymlsec.records import Finding, Location
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Subject
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.scan.models import MAX_HITS, open_model, scan_model
from tinymlsec.scan.records import Contained, FileKind
from tinymlsec.target.firmware.carve.limits import DEFAULT_SECONDS

if TYPE_CHECKING:
    from tinymlsec.rules.runtime import Runtime
    from tinymlsec.target.device import Device
    from tinymlsec.target.firmware.carve.carve import Carved, Found

MOST_AREAS = 64
"""Areas of the entropy map and streams that the facts list, the largest ones."""


@dataclass(frozen=True)
class ImageScan:
    """What was found in one image."""

    file: ImageFile = field(repr=False)
    """The subject, for rules and reports that ask more of it."""
    findings: tuple[Finding, ...]
    """Of the image rules; those of the models are with them."""
    contained: tuple[Contained, ...]
    models: tuple[bytes, ...] = field(repr=False)
    """The carved files, one for each of `contained`."""
    facts: dict[str, Any]
    """JSON values: entropy map, compressed streams, time budget."""
    skipped: tuple[str, ...]
    """What could not be looked at, and why."""


def scan_image(
    data: bytes,
    name: str = "",
    *,
    base: int | None = None,
    device: Device | None = None,
    runtime: Runtime | None = None,
    linked: frozenset[str] | None = None,
    models: tuple[bytes, ...] = (),
    seconds: float = DEFAULT_SECONDS,
) -> ImageScan:
    """Everything that can be told of an image. A file of no known kind is searched as raw bytes.

    Args:
        data: the whole file.
        name: for messages.
        base: address of the first byte of a raw image, where it is known.
        device: the device that findings are relative to.
        runtime: table of the runtime that findings about models are relative to.
        linked: operators in the firmware's resolver, where known.
        models: model files to look for in the image in other forms, such as compiled-in arrays.
        seconds: CPU time for carving.
    """
    file, notes, placed = _open(data, name, base, device, seconds)
    carved = file.carved
    file.models = tuple(dict.fromkeys((*models, *(found.hit.data for found in carved.found))))
    findings, missed = _image_findings(file)
    if not placed:  # addresses that count from the start of the file are its offsets, which are told already
        findings = [
            f.model_copy(update={"location": f.location.model_copy(update={"address": None})}) for f in findings
        ]
    parts = [_contained(found, carved, placed, runtime, device, linked) for found in carved.found]
    skipped = (*notes, *carved.skipped, *missed, *(words for _, more in parts for words in more))
    return ImageScan(
        file, tuple(findings), tuple(part for part, _ in parts), tuple(found.hit.data for found in carved.found),
        _facts(carved), tuple(dict.fromkeys(skipped)),
    )  # fmt: skip


def _open(
    data: bytes, name: str, base: int | None, device: Device | None, seconds: float
) -> tuple[ImageFile, list[str], bool]:
    """(the subject, what is to be said of it, whether its addresses are those of the device)."""
    from tinymlsec.target.firmware.load import kind_of, load_image
    from tinymlsec.target.firmware.raw import read_raw

    try:
        image = load_image(data, base=base if kind_of(data) == "raw" else None)
        return ImageFile(name, data, image, device, seconds=seconds), [], True
    except FirmwareError as error:
        image = read_raw(data, 0)
        found = f" ({error.found})" if error.found else ""
        note = f"searched as raw bytes, with addresses that count from the start of the file: {error.message}{found}"
        return ImageFile(name, data, image, device, seconds=seconds), [note], False


def _image_findings(file: ImageFile) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    missed: list[str] = []
    for rule in rule_book().about(Subject.IMAGE):
        try:
            hits = list(islice(rule.check(file), MAX_HITS + 1))
        except Exception as error:  # a plug-in's rule, or a fault of ours, must not silence the other rules
            missed.append(f"rule {rule.id} failed: {type(error).__name__}: {str(error)[:200]}")
            continue
        findings += [rule.finding(hit) for hit in hits[:MAX_HITS]]
        if len(hits) > MAX_HITS:
            missed.append(f"{rule.id}: more than {MAX_HITS} places, the first {MAX_HITS} are listed")
    return findings, missed


def _contained(
    found: Found,
    carved: Carved,
    placed: bool,
    runtime: Runtime | None,
    device: Device | None,
    linked: frozenset[str] | None,
) -> tuple[Contained, tuple[str, ...]]:
    findings: tuple[Finding, ...] = ()
    missed: tuple[str, ...] = ()
    if found.hit.kind == "tflite":
        scan = scan_model(open_model(found.hit.data, runtime=runtime, device=device, linked=linked))
        findings, missed = scan.findings, (*scan.incomplete, *scan.failures)
        if not found.hit.encodings:
            findings = tuple(_moved(finding, found, carved, placed) for finding in findings)
    facts: dict[str, Any] = {"stored": found.hit.stored, "inside": found.hit.inside}
    part = Contained(
        kind=FileKind(found.hit.kind), offset=found.offset or 0, address=found.address if placed else None,
        size=len(found.hit.data), sha256=hashlib.sha256(found.hit.data).hexdigest(), encoding=found.encoding,
        findings=findings, facts=facts,
    )  # fmt: skip
    where = f"the model at 0x{found.address:x}"
    return part, tuple(f"{where}: {words}" for words in missed)


def _moved(finding: Finding, found: Found, carved: Carved, placed: bool) -> Finding:
    """A finding about a plain model with the place in the scanned file instead of that in the model."""
    within = finding.location.file_offset
    if within is None:
        return finding
    address = found.address + within
    change: dict[str, Any] = {"file_offset": carved.places.offset(address)}
    if placed:
        change["address"] = address
    location: Location = finding.location.model_copy(update=change)
    return finding.model_copy(update={"location": location})


def _facts(carved: Carved) -> dict[str, Any]:
    areas = [
        (run.address + area.start, area)
        for run, content in zip(carved.runs, carved.maps, strict=True)
        for area in content.areas
    ]
    totals: Counter[str] = Counter()
    for _, area in areas:
        totals[area.content.value] += area.end - area.start
    largest = sorted(areas, key=lambda pair: pair[1].start - pair[1].end)[:MOST_AREAS]
    return {
        "carving": {"budget_seconds": carved.budget, "cpu_seconds": round(carved.seconds, 3)},
        "content_bytes": dict(totals),
        "entropy_areas": [
            {"address": address, "bytes": area.end - area.start, "content": area.content.value, "entropy": area.entropy}
            for address, area in sorted(largest, key=lambda pair: pair[0])
        ],
        "compressed_streams": [
            {"encoding": s.encoding, "address": s.address, "offset": s.offset, "stored": s.stored,
             "unpacked": s.unpacked} for s in carved.streams[:MOST_AREAS]
        ],
    }  # fmt: skip
