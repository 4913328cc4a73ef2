"""Reads the two sides of a comparison and tells what they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.compare.records import Comparison
from tinymlsec.errors import InputError, UsageError

if TYPE_CHECKING:
    from tinymlsec.assessment import Assessment
    from tinymlsec.scan.records import ScanReport

_EXPECTED = "a run folder of assess, or the JSON report of scan (or a folder with its scan.json)"


def compare(a: Path, b: Path) -> Comparison:
    """Compares two run folders, or two JSON reports of scans.

    Raises:
        InputError: a side cannot be read.
        UsageError: one is a run and the other a scan.
    """
    from tinymlsec.compare.runs import compare_runs
    from tinymlsec.compare.scans import compare_scans
    from tinymlsec.scan.records import ScanReport

    left, right, names = _load(a), _load(b), (str(a), str(b))
    if isinstance(left, ScanReport) and isinstance(right, ScanReport):
        return compare_scans(left, right, names)
    if isinstance(left, ScanReport) or isinstance(right, ScanReport):
        raise UsageError("a scan and an assessment cannot be compared", expected="two of one kind")
    return compare_runs(left, right, names)


def _load(path: Path) -> ScanReport | Assessment:
    from tinymlsec.scan.baseline import as_record, read_json
    from tinymlsec.scan.records import ScanReport

    if path.is_dir():
        if (path / "scan.json").is_file() and not (path / "run.json").exists():
            return _load(path / "scan.json")
        from tinymlsec.assessment import read_run

        return read_run(path)
    value = read_json(path, _EXPECTED)
    if "files" not in value:
        raise InputError(f"{path} is no report of a scan", found=", ".join(sorted(value)[:5]), expected=_EXPECTED)
    return as_record(ScanReport, value, path)
