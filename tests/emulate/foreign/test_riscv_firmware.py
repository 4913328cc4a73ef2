"""A firmware for RISC-V: started from its entry, a timer interrupt that returns by mret, semihosting, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulate.foreign.foreign_builds import build_riscv
from tinymlsec.emulate.contract import Probe, RunEnd
from tinymlsec.emulate.foreign.description import description_of
from tinymlsec.emulate.foreign.examine import Question, examine
from tinymlsec.emulate.foreign.first_run import Limits
from tinymlsec.emulate.foreign.session import Session
from tinymlsec.target.firmware import load_image

X = np.random.default_rng(1).integers(-128, 128, (20, 8)).astype(np.int8)


@pytest.fixture(scope="module")
def riscv_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    return build_riscv(tmp_path_factory.mktemp("riscv"))


def answers(x: np.ndarray) -> np.ndarray:
    weights = np.arange(8)[None] - np.arange(4)[:, None]
    return (x.astype(np.int64) @ weights.T + np.array([1, -2, 3, -4])).astype(np.int16)


def described(function: str = "classify", **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "core": "rv32imc",
        "boot": {"start": "entry", "until": "main_loop", "instructions": 100_000},
        "inference": {"function": function, "instructions": 100_000},
        "input": {"at": "frame", "bytes": 8},
        "output": {"at": "scores", "bytes": 8, "type": "int16"},
        "systick": {"every": 300, "handler": "timer_interrupt"},
    }
    return {key: value for key, value in (data | changes).items() if value is not None}


@pytest.mark.parametrize("start", ["entry", "vector_table"])
def test_inferences(riscv_elf: Path, start: str) -> None:
    """There is no vector table on RISC-V; its default means the entry."""
    boot = {"start": start, "until": "main_loop"}
    with Session.open(riscv_elf, description_of(described(boot=boot))) as session:
        assert np.array_equal(session.infer(X), answers(X))
        assert session.boot_report.ticks >= 2
        watched = session.run(X[:1], Probe(counts=True))
        assert np.array_equal(watched.output, answers(X[:1])[0])
        assert session.run(X[:1]).result.instructions == watched.result.instructions


def test_pointers_of_ours(riscv_elf: Path) -> None:
    inference = {"function": "infer", "arguments": ["input", "output"], "returns": 1}
    changes = {"input": {"bytes": 8}, "output": {"bytes": 8, "type": "int16"}, "boot": {"start": "none"}}
    with Session.open(riscv_elf, description_of(described(inference=inference, systick=None, **changes))) as session:
        assert np.array_equal(session.infer(X), answers(X))


def test_stubs_and_semihosting(riscv_elf: Path) -> None:
    stubbed = {"systick": None, "stub": [{"function": "pause"}]}
    with Session.open(riscv_elf, description_of(described(**stubbed))) as session:
        assert np.array_equal(session.infer(X), answers(X))
    with Session.open(riscv_elf, description_of(described("greets", semihosting=True))) as session:
        made = session.run(X[:1])
        assert made.ending.ok, made.ending.text
        assert made.text == {"semihosting": "hello\n"}
        assert np.array_equal(made.output, answers(X[:1])[0])


def test_a_wait_for_an_interrupt_goes_on(riscv_elf: Path) -> None:
    with Session.open(riscv_elf, description_of(described("waits"))) as session:
        made = session.run(X[:1])
        assert made.ending.ok, made.ending.text


@pytest.mark.parametrize(
    ("function", "title"),
    [
        ("writes_flash", "write to read-only memory"),
        ("is_undefined", "undefined instruction"),
        ("calls_environment", "environment call"),
        ("greets", "breakpoint"),
    ],
)
def test_faults(riscv_elf: Path, function: str, title: str) -> None:
    with Session.open(riscv_elf, description_of(described(function))) as session:
        made = session.run(X[:1])
    assert made.ending.end is RunEnd.FAULT
    assert title in made.ending.title
    assert made.ending.symbol.split("+")[0] in (function, "ask")
    assert "riscv.cpp:" in made.ending.line or function == "greets"


def test_doctor(riscv_elf: Path) -> None:
    found = examine(Question(riscv_elf, limits=Limits(instructions=2_000_000, seconds=30)))
    assert found.core.id == "rv32imc"
    assert found.image.machine == "riscv32"
    assert found.run is not None
    assert found.run.ending.title == "still running"
    assert found.run.ending.symbol.startswith("pause")  # there is no clock: nothing names its handler
    assert "classify" in found.suggestion
    assert load_image(riscv_elf).symbols["frame"].size == 8
