"""Scans in several processes. A file that kills its process, or never ends, costs itself only.

Workers keep each result in the cache as soon as they have it, so that an interrupted scan goes on where it was.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from tinymlsec.context import Progress
from tinymlsec.scan.cache import ScanCache
from tinymlsec.scan.collect import Found
from tinymlsec.scan.records import FileKind, FileReport
from tinymlsec.scan.scanner import Scanner
from tinymlsec.scan.settings import ScanSettings

CHUNK_FILES, CHUNK_BYTES = 16, 4 << 20
PATIENCE = 600.0
"""Seconds without any result after which the workers count as hanging."""
_MEMORY = 6 << 30
"""Address space of one worker."""

_scanner: Scanner | None = None


def _start(settings: ScanSettings, common: str | None) -> None:
    """First thing in a worker: Ctrl-C is the parent's business, and memory has an end."""
    global _scanner
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard == resource.RLIM_INFINITY or hard > _MEMORY:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, hard))
    except (ImportError, ValueError, OSError):
        pass  # a system without such limits; readers are bounded anyway
    _scanner = Scanner(settings, ScanCache(common) if common else None)


def _work(files: list[Found]) -> list[FileReport]:
    assert _scanner is not None
    return [_scanner.scan(item) for item in files]


class _Workers:
    """A pool that can be ended at once."""

    def __init__(self, settings: ScanSettings, common: str | None, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, context, _start, (settings, common))

    def submit(self, files: list[Found]) -> Future[list[FileReport]]:
        return self._pool.submit(_work, files)

    def end(self) -> None:
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def scan_in_processes(
    files: list[Found], settings: ScanSettings, common: str | None, jobs: int, progress: Progress,
    patience: float = PATIENCE,
) -> list[FileReport]:  # fmt: skip
    """Reports of all files, in no order.

    Args:
        files: what to scan.
        settings: what findings are relative to.
        common: first part of the cache's keys; None for no cache.
        jobs: processes.
        progress: told how many files are done.
        patience: seconds without a result after which a worker counts as hanging.
    """
    done: list[FileReport] = []
    waiting = deque(_chunks(files))
    while waiting:
        suspects = _until_broken(waiting, settings, common, jobs, progress, done, len(files), patience)
        for item in suspects:
            done.append(_alone(item, settings, common, patience))
            progress(len(done), len(files), item.shown)
    return done


def _chunks(files: list[Found]) -> Iterator[list[Found]]:
    chunk: list[Found] = []
    size = 0
    for item in files:
        if chunk and (len(chunk) >= CHUNK_FILES or size + item.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk


def _until_broken(
    waiting: deque[list[Found]], settings: ScanSettings, common: str | None, jobs: int, progress: Progress,
    done: list[FileReport], total: int, patience: float,
) -> list[Found]:  # fmt: skip
    """Scans chunks until all are done, or a worker dies or hangs; returns the files that may be why."""
    workers = _Workers(settings, common, jobs)
    running: dict[Future[list[FileReport]], list[Found]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * jobs:
                chunk = waiting.popleft()
                running[workers.submit(chunk)] = chunk
            ended, _ = wait(running, patience, FIRST_COMPLETED)
            if not ended:
                return [item for chunk in running.values() for item in chunk]
            for future in ended:
                done += future.result()
                progress(len(done), total, running.pop(future)[-1].shown)
    except BrokenProcessPool:
        return [item for chunk in running.values() for item in chunk]
    finally:
        workers.end()
    return []


def _alone(item: Found, settings: ScanSettings, common: str | None, patience: float) -> FileReport:
    """One file in a process of its own."""
    workers = _Workers(settings, common, 1)
    try:
        return workers.submit([item]).result(patience)[0]
    except BrokenProcessPool:
        reason = "the process that scanned it died"
    except TimeoutError:
        reason = f"it was not done after {patience:g} s"
    finally:
        workers.end()
    return FileReport(path=item.shown, kind=FileKind.OTHER, size=item.size, error=reason)
