"""Opens a firmware file of any kind; which kind it is, its content says, not its name."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from tinymlsec.errors import FirmwareError, UsageError
from tinymlsec.target.firmware import elf, uf2
from tinymlsec.target.firmware.bytes_of_file import check_size, read_bounded
from tinymlsec.target.firmware.image import FirmwareImage, Kind
from tinymlsec.target.firmware.intel_hex import looks_like_hex, read_hex
from tinymlsec.target.firmware.raw import read_raw
from tinymlsec.target.tflite.sniff import looks_like

_NOT_RAW = ("zip", "archive", "HTML", "JSON", "PNG", "JPEG", "PDF", "Windows program", "GGUF", "Git LFS", "C source")
_MODEL = b"TFL3"
_HEAD = 4096


def load_image(
    source: Path | str | bytes,
    *,
    base: int | None = None,
    machine: str | None = None,
    family: str | None = None,
) -> FirmwareImage:
    """Read firmware from an ELF, Intel HEX, UF2 or raw file. Time and memory are bounded on any bytes.

    Args:
        source: path of the file, or its bytes.
        base: address of the first byte, for raw images; others know theirs.
        machine: arm or riscv32. Where the file says another one it is refused; where it says none, it is believed.
        family: name or number of the device family, for UF2 files that hold several.

    Raises:
        InputError: the file cannot be read.
        FirmwareError: its content is no usable firmware; the error says where.
        UsageError: an option has no meaning.
    """
    if machine not in (None, "arm", "riscv32"):
        raise UsageError("the machine is not known", found=machine, expected="arm or riscv32")
    data = check_size(bytes(source)) if isinstance(source, (bytes, bytearray, memoryview)) else _read(source)
    try:
        image = _load(data, base, machine, family)
    except FirmwareError as error:
        if isinstance(source, (Path, str)):
            error.message = f"{Path(source).name}: {error.message}"
            error.args = (str(error),)
        raise
    return dataclasses.replace(image, digest=hashlib.sha256(data).hexdigest())


def _read(source: Path | str) -> bytes:
    return read_bounded(Path(source))


def kind_of(data: bytes) -> Kind:
    """Kind of file by its first bytes; raw where nothing else fits."""
    if data.startswith(elf.MAGIC):
        return "elf"
    if data.startswith(uf2.MAGIC):
        return "uf2"
    return "hex" if looks_like_hex(data) else "raw"


def _load(data: bytes, base: int | None, machine: str | None, family: str | None) -> FirmwareImage:
    kind = kind_of(data)
    if base is not None and kind != "raw":
        raise UsageError(
            f"a base address has no meaning for {kind.upper()} files, which have their own", found=hex(base)
        )
    if family is not None and kind != "uf2":
        raise UsageError("a device family has a meaning for UF2 files only", found=family)
    if kind == "elf":
        return elf.read_elf(data, machine)
    if kind == "uf2":
        return uf2.read_uf2(data, machine, family)
    if kind == "hex":
        return read_hex(data, machine)
    if base is None:
        _check_raw(data)
    return read_raw(data, base, machine)


def _check_raw(data: bytes) -> None:
    if data[4:8] == _MODEL:
        raise FirmwareError(
            "this is no firmware image",
            offset=4,
            found="a model file (.tflite)",
            expected="an ELF, Intel HEX, UF2 or raw image",
            next_step="give it as the model, and as firmware what is flashed",
        )
    words = looks_like(data[:_HEAD], len(data))
    if any(part in words for part in _NOT_RAW):
        raise FirmwareError(
            "this is no firmware image",
            offset=0,
            found=words,
            expected="an ELF, Intel HEX, UF2 or raw image",
            next_step="give the file that is flashed, or the ELF that it was made from",
        )
