"""Files on the real runtime: refused, run, crashed, hung, not tried; and what that does to findings."""

from __future__ import annotations

import pytest

from oracle.oracle_models import endless
from rules.corpus.one_op import BATCH_TO_SPACE, CONV, DEPTH_TO_SPACE, SVDF, Const
from tinymlsec.errors import UsageError
from tinymlsec.records import Confidence, Finding, Severity
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan import confirm
from tinymlsec.scan.confirm import LITERT, Confirmation, Outcome, apply_confirmations, confirm_file
from tinymlsec.scan.models import run_model_rules
from tinymlsec.target.litert import litert_available
from tinymlsec.target.oracle import Limits, runtime_available

needs_runtime = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
needs_litert = pytest.mark.skipif(not litert_available(), reason="needs tinymlsec[litert]")


def confirmed(data: bytes, limits: Limits | None = None) -> Confirmation:
    (seen,) = confirm_file(data, limits=limits)
    assert seen.runtime == "tflite-micro"
    assert seen.version
    return seen


@needs_runtime
def test_a_sound_file_runs() -> None:
    seen = confirmed(CONV.file())
    assert (seen.outcome, seen.inferences, seen.step) == (Outcome.RAN, 5, "")
    assert seen.outputs == ((1, 8, 8, 4),)


@needs_runtime
def test_a_refusal_has_the_words_of_the_runtime() -> None:
    seen = confirmed(DEPTH_TO_SPACE.but(block_size=0).file())
    assert (seen.outcome, seen.step, seen.inferences) == (Outcome.GUARDED, "load", 0)
    assert "depth_to_space.cc" in seen.detail


@needs_runtime
def test_a_division_by_zero_ends_the_process() -> None:
    seen = confirmed(BATCH_TO_SPACE.but(1, Const([2, 0])).file())
    assert (seen.outcome, seen.step, seen.signal) == (Outcome.CRASH, "invoke", "SIGFPE")


@needs_runtime
def test_a_loop_without_end_is_a_hang() -> None:
    seen = confirmed(endless(), Limits(seconds_per_call=1.0))
    assert (seen.outcome, seen.step) == (Outcome.HANG, "invoke")


@needs_runtime
@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"\xff" * 64, CONV.file()[:200]])
def test_files_that_our_reader_refuses_are_run_as_well(data: bytes) -> None:
    assert confirmed(data).outcome in (Outcome.GUARDED, Outcome.CRASH)


@needs_runtime
@needs_litert
def test_two_runtimes_differ() -> None:
    micro, lite = confirm_file(SVDF.but(rank=0).file(), ("tflite-micro", LITERT))
    assert (micro.outcome, micro.signal) == (Outcome.CRASH, "SIGFPE")
    assert lite.outcome is Outcome.GUARDED
    assert "rank != 0 was not true" in lite.detail


def test_an_unknown_runtime() -> None:
    with pytest.raises(UsageError, match="no such runtime"):
        confirm_file(b"", ("tflite-macro",))


def test_without_a_runtime_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinymlsec.target.oracle.find_spec", lambda name: None)
    (seen,) = confirm_file(CONV.file())
    assert seen.outcome is Outcome.NOT_RUN
    assert "not installed" in seen.detail
    assert apply_confirmations((), [seen]) == ()


# -- findings ---------------------------------------------------------------------------------------------------------


def findings_of(data: bytes) -> tuple[Finding, ...]:
    return tuple(run_model_rules(data, runtime=load_runtime()))


def made(outcome: Outcome, step: str = "load") -> Confirmation:
    signal = "SIGSEGV" if outcome is Outcome.CRASH else ""
    return Confirmation(runtime="tflite-micro", version="1", outcome=outcome, step=step, signal=signal, inferences=5)


BAD = BATCH_TO_SPACE.but(1, Const([2, 0])).file()


def test_a_crash_makes_a_finding_sure_and_is_one_itself() -> None:
    before = findings_of(BAD)
    after = apply_confirmations(before, [made(Outcome.CRASH)])
    assert [f.id for f in after] == [*(f.id for f in before), "RUN-07"]
    assert after[0].confidence is Confidence.HIGH
    assert after[0].message.endswith("Seen: tflite-micro 1 was ended by SIGSEGV when the model was loaded.")
    assert after[-1].severity is Severity.HIGH


def test_a_run_without_complaint_makes_nothing_surer() -> None:
    before = tuple(f.model_copy(update={"confidence": Confidence.LOW}) for f in findings_of(BAD))
    after = apply_confirmations(before, [made(Outcome.RAN, "")])
    assert [f.confidence for f in after] == [Confidence.LOW] * len(before)
    assert "ran it 5 times without complaint" in after[0].message


def test_several_findings_share_what_was_seen() -> None:
    first = findings_of(BAD)[0]
    after = apply_confirmations([first, first], [made(Outcome.HANG, "invoke")])
    assert all("(one of 2 findings that can be the reason)" in f.message for f in after[:2])


def test_findings_about_other_things_stay_as_they_are() -> None:
    other = findings_of(BAD)[0].model_copy(update={"id": "PROV-01"})
    harmless = findings_of(BAD)[0].model_copy(update={"severity": Severity.NONE})
    assert apply_confirmations([other, harmless], [made(Outcome.GUARDED)]) == (other, harmless)


def test_the_rule_itself_says_nothing_without_a_run() -> None:
    assert confirm.Outcome.CRASH.value == "crash"
    assert "RUN-07" not in {f.id for f in findings_of(BAD)}


def test_the_table_decides_which_runtimes_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(confirm, "confirm_file", lambda data, names: asked.append(tuple(names)) or ())
    confirm.confirm_all(b"", "tflm-2026-08")
    confirm.confirm_all(b"", "litert-2.3")
    assert asked == [("tflite-micro",), ("tflite-micro", "litert")]
