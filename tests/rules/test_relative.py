"""What a fault means on a runtime and a device."""

from __future__ import annotations

import pytest

from rules.corpus.one_op import (
    BATCH_TO_SPACE,
    CONV,
    DEPTH_TO_SPACE,
    DEPTHWISE,
    DIV,
    MAXIMUM,
    SVDF,
    Const,
    Feed,
    OneOp,
    out,
    weights,
)
from tinymlsec.records import Finding, Severity
from tinymlsec.rules._relative import _DIVISION
from tinymlsec.rules.runtime import Guard, Row, Runtime, list_runtimes, load_runtime
from tinymlsec.scan.models import run_model_rules
from tinymlsec.target.device import list_devices, load_device

BLOCK = BATCH_TO_SPACE.but(1, Const([2, 0])).file()


def finding(data: bytes, runtime: str | None = "tflm-2026-08", device: str | None = None) -> Finding:
    found = run_model_rules(
        data, runtime=load_runtime(runtime) if runtime else None, device=load_device(device) if device else None
    )
    return next(f for f in found if f.id.partition("-")[0] in ("OPT", "SHAPE", "QUANT"))


@pytest.mark.parametrize(
    ("model", "runtime", "needed"),
    [
        (SVDF.but(3, None), "tflm-2026-08", True),
        (SVDF.but(3, None), "litert-2.3", False),
        (DEPTHWISE.but(2, None), "tflm-2026-08", True),
        (DEPTHWISE.but(2, None), "litert-2.3", True),
        (CONV.but(2, None), "tflm-2026-08", False),
    ],
)
def test_which_bias_is_needed_depends_on_the_runtime(model: OneOp, runtime: str, needed: bool) -> None:
    found = run_model_rules(model.file(), runtime=load_runtime(runtime))
    assert ("IDX-06" in {f.id for f in found}) is needed


def test_an_open_kernel_leaves_the_severity() -> None:
    found = finding(BLOCK)
    assert found.severity is Severity.HIGH
    assert "tflm-2026-08 does not check this" in found.message
    assert "divides by zero" in found.message


def test_an_assertion_does_not_help_in_a_release_build() -> None:
    found = finding(CONV.but(2, Const(weights(5))).file())
    assert found.severity is Severity.HIGH
    assert "debug builds only" in found.message


def test_a_guarded_kernel_is_a_refusal() -> None:
    found = finding(DEPTH_TO_SPACE.but(block_size=0).file())
    assert found.severity is Severity.LOW
    assert "guards against this (tensorflow/lite/micro/kernels/depth_to_space.cc:61)" in found.message


def test_a_kernel_that_is_not_there_cannot_be_reached() -> None:
    one_hot = OneOp(
        "ONE_HOT", (Feed((2, 0), "int32"), Const(4), Const(weights(1)), Const(weights(1))), (out((2, 0, 4)),)
    ).file()
    found = finding(one_hot)
    assert found.severity is Severity.LOW
    assert "has no kernel of this operator" in found.message


def test_without_a_runtime_nothing_is_known_to_be_guarded() -> None:
    found = finding(DEPTH_TO_SPACE.but(block_size=0).file(), None)
    assert found.severity is Severity.HIGH
    assert "A kernel without a guard divides by zero" in found.message


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("stm32l4r5zi", "gets 0, a silent wrong value, unless CCR.DIV_0_TRP is set"),
        ("rp2040", "no divide instruction"),
        ("esp32-c3", "gets all ones"),
        ("esp32-s3", "IntegerDivideByZero"),
    ],
)
def test_a_division_by_zero_is_what_the_core_makes_of_it(device: str, words: str) -> None:
    found = finding(BLOCK, device=device)
    assert device in found.message
    assert words in found.message


def test_no_device_no_claim_about_a_core() -> None:
    assert "CCR" not in finding(BLOCK).message


def test_every_instruction_set_of_our_devices_is_known() -> None:
    known = tuple(prefix for prefixes, _ in _DIVISION for prefix in prefixes)
    sets = {device.cores[0].isa.lower() for device in list_devices() if device.cores[0].isa}
    assert {isa for isa in sets if not isa.startswith(known)} == set()


def test_memory_without_protection_is_told_where_it_is_known() -> None:
    assert "has no MMU" in finding(MAXIMUM.but(1, Feed((2, 2))).file(), device="stm32l4r5zi").message


def test_rows_of_one_kernel_come_before_those_of_all() -> None:
    rows = {"CVE-1": Row(guard=Guard.DCHECK, ops=("A", "B")), "CVE-1 B": Row(guard=Guard.GUARD, ops=("B",))}
    runtime = Runtime(id="x", title="x", version="1", source="x", rows=rows)
    assert runtime.row("CVE-1", op="A").guard is Guard.DCHECK
    assert runtime.row("CVE-1", op="B").guard is Guard.GUARD
    assert runtime.row("CVE-1", op="C") is None
    assert runtime.row("CVE-2", "CVE-1").guard is Guard.DCHECK


@pytest.mark.parametrize("name", list_runtimes())
def test_tables_are_sound(name: str) -> None:
    runtime = load_runtime(name)
    for key, row in runtime.rows.items():
        last = key.rpartition(" ")[2]  # an operator is in capitals; words in small letters tell conditions apart
        assert " " not in key or not last.isupper() or not row.ops or last in row.ops
        assert not (row.guard is Guard.OPEN and row.unchecked)
        # A kernel that is not there can neither be open nor guarded.
        absent = [op for op in row.ops if runtime.lacks(op)]
        assert len(absent) < max(len(row.ops), 1) or row.guard is Guard.ABSENT, key


def test_float_division_by_zero_is_no_fault() -> None:
    found = finding(DIV.but(1, Const([[0.0, 1, 2], [3, 4, 5]], "float32")).file())
    assert "computes wrong values" in found.message
