"""What a scan says: one record a file, one record for all, to JSON and back."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, model_validator

from tinymlsec.records import SCHEMA_VERSION, Digest, Finding, Record, Severity


class FileKind(StrEnum):
    """What a file was taken for, by its content."""

    TFLITE = "tflite"
    ELF = "elf"
    HEX = "hex"
    UF2 = "uf2"
    RAW = "raw"
    PTE = "pte"
    ONNX = "onnx"
    PRODUCT = "product"
    """No file: device and deployment facts, as they were declared."""
    OTHER = "other"
    """Nothing that rules exist for; named, not silently left out."""


class Contained(Record):
    """Something found inside an image: a model, or another file."""

    kind: FileKind
    offset: int = Field(ge=0)
    """Of its first byte in the scanned file; of the compressed stream where there is one."""
    address: int | None = None
    """Where it lies in the device's memory, if the image says so."""
    size: int = Field(ge=0)
    """bytes, unpacked"""
    sha256: Digest
    encoding: str = ""
    """How it was hidden: empty for plain, else such as ``xor:5a``, ``gzip``, ``zlib``, ``lz4``, ``raw-deflate``."""
    findings: tuple[Finding, ...] = ()
    """Findings of the model rules. Where it lies plain, offsets are those of the scanned file; else of the unpacked."""
    facts: dict[str, Any] = Field(default_factory=dict)


class Suppressed(Record):
    """A finding that the project's owner accepted, with the reason; shown, not hidden."""

    finding: Finding
    reason: str
    expires: str = ""
    """ISO date after which the finding counts again; empty for never."""
    fingerprint: Digest | Literal[""] = ""
    """As in `FileReport.fingerprints`."""


class Known(Record):
    """A finding that an earlier scan had, as a baseline keeps it."""

    fingerprint: Digest
    rule: str
    path: str
    title: str
    severity: Severity


class FileReport(Record):
    """One scanned file."""

    path: str
    """As given, or below the folder that was given; POSIX separators."""
    kind: FileKind
    sha256: Digest | None = None
    size: int = Field(ge=0)
    seconds: float = Field(default=0.0, ge=0)
    findings: tuple[Finding, ...] = ()
    contained: tuple[Contained, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    fingerprints: tuple[Digest, ...] = ()
    """One for each of `all_findings`, in their order; filled in when the scan ends (`scan.fingerprint`)."""
    known: tuple[str, ...] = ()
    """Fingerprints of findings that the baseline has; they are shown and do not count for --fail-on."""
    skipped: tuple[str, ...] = ()
    """What could not be looked at, and why (a time budget that ran out, a library that is missing); never empty-handed
    silence."""
    error: str | None = None
    """Why the file could not be read at all."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What rules and reports want to show beside findings: versions, entropy map, memory facts."""

    @model_validator(mode="after")
    def _one_fingerprint_each(self) -> FileReport:
        if self.fingerprints and len(self.fingerprints) != len(self.all_findings):
            raise ValueError(f"{len(self.fingerprints)} fingerprints for {len(self.all_findings)} findings")
        return self

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Its own and those of what it contains."""
        return self.findings + tuple(f for part in self.contained for f in part.findings)

    @property
    def worst(self) -> Severity:
        """The gravest severity of its findings; NONE without any."""
        return max((f.severity for f in self.all_findings), key=lambda s: s.rank, default=Severity.NONE)


class ScanReport(Record):
    """One run of the scanner."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    runtime: str
    """Id of the runtime table that findings are relative to."""
    device: str | None = None
    started: str
    seconds: float = Field(ge=0)
    files: tuple[FileReport, ...]
    problems: tuple[str, ...] = ()
    """Plug-ins that could not be loaded, entries of configuration that match nothing."""
    baseline: bool = False
    """The findings were held against those of an earlier scan."""
    gone: tuple[Known, ...] = ()
    """Findings of the baseline, in files that were scanned, that are there no more."""
