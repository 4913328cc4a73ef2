"""The run folder: what survives, what is noticed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tinymlsec.assessment import default_run_folder
from tinymlsec.errors import RunFolderError
from tinymlsec.evidence import Evidence
from tinymlsec.records import Basis, Verdict, VerdictKind
from tinymlsec.run_record import Request, RunRecord, RunStatus
from tinymlsec.store import EVIDENCE_FILE, RUN_FILE, RunStore

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def record() -> RunRecord:
    return RunRecord(
        tool_version="0", status=RunStatus.RUNNING, created=NOW, updated=NOW, request=Request(effort="quick", seed=0),
        target_digest="0" * 64, device_class="TinyML", command="tinymlsec assess",
    )  # fmt: skip


def evidence(number: int = 0) -> Evidence:
    return Evidence(
        verdict=Verdict(kind=VerdictKind.INCONCLUSIVE, reason="test"), basis=Basis.STATIC, summary="s",
        key=f"{number:064x}", attack="square", threats=("M2",), target_digest="0" * 64, seed=0, tool_version="0",
        started=NOW, seconds=1.0, reproduce="tinymlsec assess",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "run")
    made.prepare(resume=False)
    made.write_record(record())
    return made


def test_records_come_back_equal(store: RunStore) -> None:
    for number in range(3):
        store.append(evidence(number))
    assert store.read_record() == record()
    assert store.read_evidence() == [evidence(n) for n in range(3)]


def test_a_line_cut_by_a_kill_is_dropped_and_the_rest_kept(store: RunStore) -> None:
    store.append(evidence(0))
    path = store.folder / EVIDENCE_FILE
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert store.read_evidence() == [evidence(0)]
    store.repair_tail()
    store.append(evidence(1))
    assert store.read_evidence() == [evidence(0), evidence(1)]


@pytest.mark.parametrize("file", [RUN_FILE, EVIDENCE_FILE])
def test_changes_by_hand_are_noticed(store: RunStore, file: str) -> None:
    store.append(evidence())
    path = store.folder / file
    text = path.read_text()
    path.write_text(text.replace('"quick"', '"thorough"').replace("inconclusive", "vulnerable"))
    read = store.read_record if file == RUN_FILE else store.read_evidence
    with pytest.raises(RunFolderError, match="does not match its checksum"):
        read()


DEEP = '{"a":' * 100 + "1" + "}" * 100


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"sha256": 1}', "[" * 100_000, '{"run": {"a": NaN}}', f'{{"run": {DEEP}}}'],
    ids=range(8),
)
def test_damaged_records_are_refused(store: RunStore, content: str) -> None:
    (store.folder / RUN_FILE).write_text(content)
    with pytest.raises(RunFolderError):
        store.read_record()


def test_another_schema_version_is_refused(store: RunStore) -> None:
    from tinymlsec.store import digest_of

    body = {**record().model_dump(mode="json"), "schema_version": "9.0"}
    (store.folder / RUN_FILE).write_text(json.dumps({"sha256": digest_of(body), "run": body}))
    with pytest.raises(RunFolderError, match="another schema version"):
        store.read_record()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunFolderError, match="other files"):
        RunStore(tmp_path).prepare(resume=False)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_run_is_not_overwritten(store: RunStore) -> None:
    with pytest.raises(RunFolderError, match="--resume"):
        RunStore(store.folder).prepare(resume=False)
    assert RunStore(store.folder).prepare(resume=True) is False


def test_a_path_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunStore(tmp_path / "file" / "run").prepare(resume=False)


def test_two_processes_on_one_folder_count_once(store: RunStore) -> None:
    for number in (0, 1, 0, 1):
        store.append(evidence(number))
    assert store.read_evidence() == [evidence(0), evidence(1)]


def test_evidence_of_another_target_is_not_reported_on(store: RunStore) -> None:
    store.append(evidence())
    assert store.read_evidence("0" * 64) == [evidence()]
    with pytest.raises(RunFolderError, match="another target"):
        store.read_evidence("1" * 64)


def test_a_run_killed_before_its_first_record_can_start_again(tmp_path: Path) -> None:
    (tmp_path / ".run.json.4711.tmp").write_text("{")
    (tmp_path / ".write-probe").write_text("")
    RunStore(tmp_path).prepare(resume=False)
    (tmp_path / ".mine").write_text("precious")
    with pytest.raises(RunFolderError, match="other files"):
        RunStore(tmp_path).prepare(resume=False)


def test_the_default_folder_is_a_new_one_or_the_last_one(tmp_path: Path) -> None:
    assert default_run_folder("m", tmp_path, resume=True).name == "tinymlsec-run-m"
    for name in ("tinymlsec-run-m", "tinymlsec-run-m-2"):
        assert default_run_folder("m", tmp_path).name == name
        (tmp_path / name).mkdir()
        assert default_run_folder("m", tmp_path, resume=True).name == name
