"""A model exchanged in somebody's firmware, which is then run: the interpreter of our own hand plays the build."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from emulate.foreign.foreign_builds import build, interpreter_header, model_file, network
from tinymlsec.scan.confirm import Outcome
from tinymlsec.scan.confirm_firmware import confirm_in_firmware
from tinymlsec.target.tflite.layout import layout


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
    return build(tmp_path_factory.mktemp("exchange"), "interpreter", interpreter_header(network()))


@pytest.fixture(scope="module")
def description(elf: Path):
    from tinymlsec.emulate.foreign.examine import Question, examine, parsed

    return parsed(examine(Question(elf)).suggestion)


def damaged(value: int) -> bytes:
    """The firmware's model with another number of rows in its first weights."""
    data = bytearray(model_file(network()))
    shapes = sorted((s for s in layout(bytes(data)) if s.owner == "Tensor.shape"), key=lambda s: s.start)
    weights = next(s for s in shapes if s.end - s.start == 12 and data[s.start + 8] == 64)
    struct.pack_into("<i", data, weights.start + 4, value)
    return bytes(data)


def test_the_own_model_runs(elf: Path, description) -> None:
    seen = confirm_in_firmware(model_file(network()), elf, description)
    assert (seen.outcome, seen.inferences) == (Outcome.RAN, 3)
    assert seen.words.endswith("ran it 3 times without complaint")


def test_weights_of_too_many_rows_leave_the_ram_of_this_build(elf: Path, description) -> None:
    seen = confirm_in_firmware(damaged(1 << 20), elf, description)
    assert seen.outcome is Outcome.CRASH
    assert seen.step in ("load", "invoke")
    assert "write" in seen.detail or "read" in seen.detail


def test_a_larger_model_is_not_tried(elf: Path, description) -> None:
    seen = confirm_in_firmware(model_file(network()) + bytes([7] * 64), elf, description)
    assert seen.outcome is Outcome.NOT_RUN
    assert "larger than the one in the firmware" in seen.detail


def test_firmware_without_a_model_is_not_tried(elf: Path, tmp_path: Path, description) -> None:
    other = tmp_path / "other.elf"
    other.write_bytes(elf.read_bytes().replace(b"TFL3", b"TFLX"))
    seen = confirm_in_firmware(model_file(network()), other, description)
    assert seen.outcome is Outcome.NOT_RUN
    assert "no model in the firmware" in seen.detail


def test_firmware_that_does_not_run_with_its_own_model_proves_nothing(elf: Path, description) -> None:
    late = description.model_copy(
        update={"inference": description.inference.model_copy(update={"until": 0x08000000, "instructions": 200_000})}
    )
    seen = confirm_in_firmware(damaged(1 << 20), elf, late)
    assert seen.outcome is Outcome.NOT_RUN
    assert "its own model" in seen.detail


def test_without_a_description_the_finder_suggests_one_and_once(elf: Path) -> None:
    from tinymlsec.scan.confirm import confirm_all
    from tinymlsec.scan.confirm_firmware import _suggested

    before = _suggested.cache_info().misses
    for value in (1 << 20, 1 << 21):
        assert confirm_all(damaged(value), "tflm-2026-08", elf)[-1].outcome is Outcome.CRASH
    assert _suggested.cache_info().misses == before + 1
