"""Results are kept by what they depend on, and hostile entries are not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinymlsec.scan import scanner as scanner_module
from tinymlsec.scan.cache import ScanCache, code_digest
from tinymlsec.scan.engine import scan
from tinymlsec.scan.records import FileReport, ScanReport
from tinymlsec.scan.settings import ScanSettings

MODELS = Path("models")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files that rules really ran over."""
    names: list[str] = []
    real = scanner_module.Scanner._model

    def count(self: scanner_module.Scanner, found: object, *rest: object) -> FileReport:
        names.append(found.shown)  # type: ignore[attr-defined]
        return real(self, found, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scanner_module.Scanner, "_model", count)
    return names


def findings(report: ScanReport) -> list[tuple[str, list[str]]]:
    return [(file.path, [f.message for f in file.findings]) for file in report.files]


def entries(own_cache: Path) -> list[Path]:
    return sorted((own_cache / "scan").glob("*/*.json"))


def test_the_second_scan_runs_nothing_and_says_the_same(project: Path, looked_at: list[str]) -> None:
    first = scan([MODELS])
    assert sorted(looked_at) == ["models/bad.tflite", "models/good.tflite"]
    second = scan([MODELS])
    assert len(looked_at) == 2
    assert findings(second) == findings(first)
    assert [f.fingerprints for f in second.files] == [f.fingerprints for f in first.files]


def test_a_moved_file_is_known_under_its_new_path(project: Path, looked_at: list[str]) -> None:
    scan([MODELS])
    MODELS.rename("moved")
    assert scan([Path("moved")]).files[0].path == "moved/bad.tflite"
    assert len(looked_at) == 2


@pytest.mark.parametrize(
    "settings", [ScanSettings(device="stm32l4r5zi"), ScanSettings(seconds=9.0)], ids=["device", "seconds"]
)
def test_other_options_are_other_results(project: Path, looked_at: list[str], settings: ScanSettings) -> None:
    scan([MODELS])
    scan([MODELS], settings)
    assert len(looked_at) == 4


def test_changed_bytes_and_no_cache_are_scanned(project: Path, looked_at: list[str], own_cache: Path) -> None:
    scan([MODELS], use_cache=False)
    assert not entries(own_cache)
    scan([MODELS])
    path = MODELS / "bad.tflite"
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")
    scan([MODELS])
    assert len(looked_at) == 5


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"null", b"[]", b'{"path": 1}', b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500,
        b'{"x": "' + b"a" * (5 << 20) + b'"}',
    ],
    ids=["empty", "binary", "null", "list", "wrong", "brackets", "deep", "large"],
)  # fmt: skip
def test_damaged_entries_count_as_missing(project: Path, looked_at: list[str], own_cache: Path, content: bytes) -> None:
    first = scan([MODELS])
    for entry in entries(own_cache):
        entry.write_bytes(content)
    assert findings(scan([MODELS])) == findings(first)
    assert len(looked_at) == 4


def test_an_entry_of_another_file_is_not_taken(project: Path, looked_at: list[str], own_cache: Path) -> None:
    first = scan([MODELS])
    a, b = entries(own_cache)
    a.write_bytes(b.read_bytes())
    assert findings(scan([MODELS])) == findings(first)


def test_entries_with_unknown_fields_or_errors_are_not_taken(project: Path, own_cache: Path) -> None:
    scan([MODELS])
    entry = entries(own_cache)[0]
    value = json.loads(entry.read_bytes())
    cache = ScanCache(ScanSettings().digest(code_digest()))
    assert cache.read(entry.stem, value["sha256"])
    entry.write_text(json.dumps({**value, "more": 1}))
    assert cache.read(entry.stem, value["sha256"]) is None
    entry.write_text(json.dumps({**value, "error": "no"}))
    assert cache.read(entry.stem, value["sha256"]) is None


def test_the_oldest_entries_go(project: Path, own_cache: Path) -> None:
    scan([MODELS])
    cache = ScanCache("x")
    assert cache.prune(limit=1) == 1
    assert len(entries(own_cache)) == 1


def test_a_folder_that_others_can_write_is_not_used(project: Path, own_cache: Path, looked_at: list[str]) -> None:
    (own_cache / "scan").mkdir()
    (own_cache / "scan").chmod(0o777)
    scan([MODELS])
    scan([MODELS])
    assert len(looked_at) == 4
    assert not entries(own_cache)


def test_the_code_has_a_digest_that_changes_with_it() -> None:
    assert code_digest() == code_digest()
    assert len(code_digest()) == 64
