"""Damaged and foreign files end in FirmwareError that says what, where and what to do; soon and without a crash."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from firmware.malformed_firmware import MALFORMED
from firmware.sound_firmware import SEEDS
from tinymlsec.errors import FirmwareError, InputError, UsageError
from tinymlsec.target.firmware import load_image


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_file_is_refused_with_its_message(name: str) -> None:
    bad = MALFORMED[name]
    data = bad.make()
    start = time.perf_counter()
    with pytest.raises(FirmwareError) as caught:
        load_image(data, **bad.options)
    assert time.perf_counter() - start < 2.0
    error = caught.value
    assert re.search(bad.message, error.message) or bad.message in error.message
    assert bad.found in (error.found or "")
    assert error.found
    assert error.next_step or error.expected
    if error.offset is not None:
        assert 0 <= error.offset <= len(data)
        assert f"0x{error.offset:x}" in str(error)


@pytest.mark.parametrize("name", [n for n in SEEDS if n != "raw"])
def test_sound_files_are_not_refused(name: str) -> None:
    """The counterpart that keeps the tests above honest: they must not pass because everything is refused."""
    image = load_image(SEEDS[name]())
    assert image.stored()
    assert image.kind == name.split()[0]


@pytest.mark.parametrize("name", ["elf arm", "elf riscv", "hex", "uf2"])
def test_truncated_files(name: str) -> None:
    data = SEEDS[name]()
    for end in range(5, len(data) - 1, 13):
        with pytest.raises(FirmwareError):
            load_image(data[:end])


def test_the_name_of_the_file_is_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(MALFORMED["elf: Xtensa"].make())
    with pytest.raises(FirmwareError, match=r"^bad\.bin: the ELF file is for another machine") as caught:
        load_image(path)
    assert "next step" in str(caught.value)
    assert caught.value.exit_code == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_image(tmp_path / "none.elf")
    with pytest.raises(InputError, match="is not a file"):
        load_image(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_image("zero\0byte")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.elf"
    with path.open("wb") as stream:
        stream.truncate(300 << 20)
    with pytest.raises(FirmwareError, match="too large"):
        load_image(path)


def test_options_without_meaning() -> None:
    with pytest.raises(UsageError, match="base address has no meaning for ELF"):
        load_image(SEEDS["elf arm"](), base=0)
    with pytest.raises(UsageError, match="for UF2 files only"):
        load_image(SEEDS["hex"](), family="RP2040")
    with pytest.raises(UsageError, match="machine is not known"):
        load_image(SEEDS["hex"](), machine="mips")
    with pytest.raises(UsageError, match="UF2 family is not known"):
        load_image(SEEDS["uf2"](), family="toaster")
