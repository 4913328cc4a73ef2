"""A scan from paths to a report: collects the files, scans them here or in worker processes, and closes the record."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tinymlsec.context import Progress, silent
from tinymlsec.scan.cache import ScanCache, code_digest
from tinymlsec.scan.collect import Found, collect
from tinymlsec.scan.fingerprint import fingerprints
from tinymlsec.scan.kinds import MODEL_NAMES
from tinymlsec.scan.records import FileKind, FileReport, ScanReport
from tinymlsec.scan.scanner import Scanner
from tinymlsec.scan.settings import ScanSettings

_START_SECONDS = 1.5
"""Work below which processes cost more than they save: each imports everything anew."""
_FILE_SECONDS, _BYTE_SECONDS = 0.008, 0.5e-6
"""About what a file costs; only to choose between one process and several."""
_MODELS, _MODEL_BYTES = 16, 8 << 20
"""Models, and their size, that images are searched for."""


def scan(
    paths: Sequence[Path],
    settings: ScanSettings | None = None,
    *,
    jobs: int | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> ScanReport:
    """Scan files and folders.

    Args:
        paths: files and folders.
        settings: what findings are relative to.
        jobs: processes at most; None for as many as there are processors.
        use_cache: take results of earlier scans and keep new ones.
        progress: told how many files are done.

    Raises:
        InputError: a path that does not exist, or settings that name nothing. Faults of single files are in their
            reports.
    """
    settings, begin = settings or ScanSettings(), time.perf_counter()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    found = collect(paths)
    settings = replace(settings, models=settings.models or _given_models(found.files))
    scanner = _checked(settings)
    scanner.cache = _cache(settings) if use_cache else None
    device = scanner.device
    reports = _run(found.files, scanner, settings, jobs or processors(), progress)
    if device is not None or settings.deployment is not None:
        from tinymlsec.scan.product_report import product_report

        reports.append(product_report(settings, device, reports))
    reports += [FileReport(path=p, kind=FileKind.OTHER, size=0, skipped=(why,)) for p, why in found.skipped]
    reports += [FileReport(path=p, kind=FileKind.OTHER, size=0, error=why) for p, why in found.failed]
    return _closed(reports, settings, device.id if device else None, started, begin)


def _checked(settings: ScanSettings) -> Scanner:
    """A scanner whose settings name what exists: wrong names are told before any work begins."""
    scanner = Scanner(settings)
    scanner.device, scanner.runtime, scanner.linked  # noqa: B018 - worked out now, so that errors come now
    if settings.deployment is not None:
        from tinymlsec.target.deployment import load_deployment

        load_deployment(settings.deployment)
    return scanner


def _given_models(files: Sequence[Found]) -> tuple[Path, ...]:
    """Model files that the user named beside other files: those are likely to hold them."""
    models = [
        item.path for item in files
        if item.given and item.path.suffix.lower() in MODEL_NAMES and item.size <= _MODEL_BYTES
    ]  # fmt: skip
    return tuple(models[:_MODELS]) if len(models) < len(files) else ()


def processors() -> int:
    """Processors that this process may use."""
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache(settings: ScanSettings) -> ScanCache:
    cache = ScanCache(settings.digest(code_digest()))
    cache.prune()
    return cache


def _run(
    files: list[Found], scanner: Scanner, settings: ScanSettings, jobs: int, progress: Progress
) -> list[FileReport]:
    work = sum(_FILE_SECONDS + item.size * _BYTE_SECONDS for item in files)
    if min(jobs, len(files)) > 1 and work > _START_SECONDS:
        from tinymlsec.scan.pool import scan_in_processes

        return scan_in_processes(
            files, settings, scanner.cache.common if scanner.cache else None, min(jobs, len(files)), progress
        )
    reports = []
    for number, item in enumerate(files):
        progress(number, len(files), item.shown)
        reports.append(scanner.scan(item))
    progress(len(files), len(files), "done")
    return reports


def _closed(
    reports: list[FileReport], settings: ScanSettings, device: str | None, started: str, begin: float
) -> ScanReport:
    from tinymlsec import __version__
    from tinymlsec.rules.discovery import rule_book

    marked = [report.model_copy(update={"fingerprints": fingerprints(report)}) for report in reports]
    return ScanReport(
        tool_version=__version__,
        runtime=settings.runtime,
        device=device,
        started=started,
        seconds=round(time.perf_counter() - begin, 3),
        files=tuple(sorted(marked, key=lambda report: report.path)),
        problems=rule_book().problems,
    )
