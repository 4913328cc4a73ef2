"""Scans one file after the other in one process: reads, tells the kind, runs the rules, keeps the result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from tinymlsec.errors import TinymlsecError, UsageError
from tinymlsec.scan.cache import ScanCache
from tinymlsec.scan.collect import Found
from tinymlsec.scan.reading import Unreadable, read_file
from tinymlsec.scan.records import FileKind, FileReport

if TYPE_CHECKING:
    from tinymlsec.rules.runtime import Runtime
    from tinymlsec.scan.settings import ScanSettings
    from tinymlsec.target.device import Device

_OUT_OF_TIME = "time budget"
"""Words in `FileReport.skipped` of what another run may well reach; such a report is not kept."""


class Scanner:
    """Scans files with the same settings.

    Args:
        settings: what the scan is relative to.
        cache: None to keep nothing.
    """

    def __init__(self, settings: ScanSettings, cache: ScanCache | None = None) -> None:
        self._settings, self.cache = settings, cache

    @cached_property
    def device(self) -> Device | None:
        """The device that findings are relative to."""
        from tinymlsec.target.device import load_device

        return load_device(self._settings.device) if self._settings.device else None

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime table that findings are relative to."""
        from tinymlsec.rules.runtime import load_runtime

        return load_runtime(self._settings.runtime)

    @cached_property
    def linked(self) -> frozenset[str] | None:
        """Operators of the firmware's resolver; None without firmware. Custom ones have no symbols that tell, so those
        of the runtime count as linked."""
        if self._settings.firmware is None:
            return None
        from tinymlsec.scan.linked import linked_in_file

        try:
            return linked_in_file(self._settings.firmware) | frozenset(self.runtime.custom)
        except UsageError:
            if not self._settings.confirm:  # with it a stripped image still has a use: its model is exchanged
                raise
            return None

    @cached_property
    def models(self) -> tuple[bytes, ...]:
        """Models to look for in images, in other forms than a file."""
        return tuple(path.read_bytes() for path in self._settings.models)

    def scan(self, found: Found) -> FileReport:
        """The report of one file. Whatever happens, it is a report: an error of one file never ends a scan."""
        start = time.perf_counter()
        try:
            report = self._scan(found)
        except Unreadable as error:
            report = _failed(found, str(error))
        except MemoryError:
            report = _failed(found, "it takes more memory than there is")
        except RecursionError:
            report = _failed(found, "its structure nests too deeply")
        except TinymlsecError as error:
            report = _failed(found, str(error))
        except Exception as error:  # a defect of ours must not silence the other files
            report = _failed(found, f"internal error, please report it: {type(error).__name__}: {str(error)[:300]}")
        return report.model_copy(update={"seconds": round(time.perf_counter() - start, 6)})

    def _scan(self, found: Found) -> FileReport:
        kind, reason, data = read_file(found)
        if reason:
            return FileReport(path=found.shown, kind=kind, size=found.size, skipped=(reason,))
        digest = hashlib.sha256(data).hexdigest()
        cache = None if self._settings.confirm else self.cache  # what a runtime did is seen anew each time
        key = cache.key(digest, f"{found.path.name} {kind.value}") if cache else ""
        if cache and (kept := cache.read(key, digest)):
            return kept.model_copy(update={"path": found.shown})
        look: Callable[[Found, FileKind, bytes, str], FileReport]
        look = {FileKind.TFLITE: self._model, FileKind.PTE: self._program}.get(kind, self._image)
        report = look(found, kind, data, digest)
        if cache and report.error is None and not any(_OUT_OF_TIME in text for text in report.skipped):
            cache.write(key, report)
        return report

    def _model(self, found: Found, kind: FileKind, data: bytes, digest: str) -> FileReport:
        from tinymlsec.scan.models import open_model, scan_model

        file = open_model(
            data, name=found.path.name, runtime=self.runtime, device=self.device, linked=self.linked
        )  # fmt: skip
        result = scan_model(file)
        # A file that the reader refuses, and no rule has a word for, is no file without findings.
        error = str(file.damage) if file.damage is not None and not result.findings else None
        report = FileReport(
            path=found.shown, kind=kind, sha256=digest, size=len(data), findings=result.findings,
            skipped=(*result.incomplete, *result.failures), error=error,
        )  # fmt: skip
        return _confirmed(report, data, self._settings) if self._settings.confirm else report

    def _program(self, found: Found, kind: FileKind, data: bytes, digest: str) -> FileReport:
        from tinymlsec.scan.programs import scan_program

        return FileReport(path=found.shown, kind=kind, sha256=digest, size=len(data), findings=scan_program(data))

    def _image(self, found: Found, kind: FileKind, data: bytes, digest: str) -> FileReport:
        from tinymlsec.scan.image_facts import image_facts, seen_in
        from tinymlsec.scan.images import scan_image

        result = scan_image(
            data, found.path.name, device=self.device, runtime=self.runtime, linked=self.linked, models=self.models,
            seconds=self._settings.seconds,
        )  # fmt: skip
        seen = dict(seen_in(result.file, result.findings))
        return FileReport(
            path=found.shown, kind=kind, sha256=digest, size=len(data), findings=result.findings,
            contained=result.contained, skipped=result.skipped,
            facts={**result.facts, **image_facts(result.file), "seen": seen},
        )  # fmt: skip


def _confirmed(report: FileReport, data: bytes, settings: ScanSettings) -> FileReport:
    """With what the real runtime did with the file."""
    from tinymlsec.scan.confirm import Outcome, apply_confirmations, confirm_all

    seen = confirm_all(data, settings.runtime, settings.firmware)
    missed = tuple(f"not confirmed: {each.words}" for each in seen if each.outcome is Outcome.NOT_RUN)
    facts = {**report.facts, "confirmed": [each.model_dump(mode="json") for each in seen]}
    return report.model_copy(update={
        "findings": apply_confirmations(report.findings, seen), "facts": facts, "skipped": (*report.skipped, *missed),
    })  # fmt: skip


def _failed(found: Found, reason: str) -> FileReport:
    return FileReport(path=found.shown, kind=FileKind.OTHER, size=found.size, error=reason)
