"""Operators of a firmware's resolver, by symbols."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.elf_builder import FUNC, GLOBAL, Sym
from firmware.sound_firmware import CODE, arm_elf
from tinymlsec.errors import UsageError
from tinymlsec.scan.linked import linked_in_file, linked_operators
from tinymlsec.target.firmware import load_image

NAMES = {
    "_ZN6tflite16Register_CONV_2DEv": "CONV_2D",
    "_ZN6tflite21Register_CONV_2D_INT8Ev": "CONV_2D",
    "_ZN6tflite12Register_ADDEv": "ADD",
    "_ZN6tflite14Register_ADD_NEv": "ADD_N",
    "tflite::Register_MAX_POOL_2D_INT16()": "MAX_POOL_2D",
    "_ZN6tflite22Register_DETECTION_POSTPROCESSEv": None,
    "Register_nothing": None,
    "MyRegister_CONV_3D": None,
}


def firmware(*names: str) -> bytes:
    elf = arm_elf()
    elf.symbols += [Sym(name, (CODE + 2 * n) | 1, 2, FUNC, GLOBAL, 2) for n, name in enumerate(names)]
    return elf.build()


@pytest.mark.parametrize(("symbol", "operator"), NAMES.items())
def test_names_of_registration_functions(symbol: str, operator: str | None) -> None:
    assert linked_operators(load_image(firmware(symbol))) == (frozenset({operator}) if operator else None)


def test_a_firmware_that_does_not_tell_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fw.elf").write_bytes(firmware())
    with pytest.raises(UsageError, match="does not tell"):
        linked_in_file(tmp_path / "fw.elf")


def test_a_scan_names_what_is_not_linked(project: Path) -> None:
    Path("fw.elf").write_bytes(firmware("_ZN6tflite16Register_RESHAPEEv"))
    command = [sys.executable, "-m", "tinymlsec", "scan", "models", "--firmware", "fw.elf", "--format", "json"]
    done = subprocess.run([*command, "--fail-on", "none"], capture_output=True, text=True, check=True)
    found = {f["id"] for file in json.loads(done.stdout)["files"] for f in file["findings"]}
    assert "RUN-03" in found
