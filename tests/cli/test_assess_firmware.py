"""`tinymlsec assess --firmware`: the image is part of the target, and a bad one exits 2 and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Call
from firmware.elf_builder import Elf, Load, Sec, Sym
from tinymlsec.assessment import read_run
from tinymlsec.capabilities import Capability
from tinymlsec.loading import Sources, load_target
from tinymlsec.target.oracle import OraclePool

VECTORS = b"".join(word.to_bytes(4, "little") for word in (0x2000_4000, 0x0800_0041, *(0x0800_0043,) * 14))
CODE = VECTORS + b"\xfe\xe7\xfe\xe7" * 32


def elf_file(folder: Path, *, symbols: bool = True) -> Path:
    """A firmware that does nothing."""
    path = folder / "device.elf"
    names = [Sym("main", 0x0800_0041, 4)] if symbols else []
    text = Sec(".text", CODE, flags=6, addr=0x0800_0000)
    path.write_bytes(Elf([Load(0x0800_0000, CODE)], [text], names).build())
    return path


def raw_file(folder: Path) -> Path:
    path = folder / "device.bin"
    path.write_bytes(CODE)
    return path


def test_an_image_alone_is_something_to_assess(call: Call, tmp_path: Path) -> None:
    elf_file(tmp_path)
    done = call("assess", "--firmware", "device.elf", "--only", "static-extraction", "-o", "run", "-q")
    assert done.returncode in (0, 3), done.stderr
    run = read_run(tmp_path / "run").run
    assert run.image is not None
    assert (run.image.name, run.image.kind, run.image.symbols) == ("device.elf", "elf", 1)
    assert run.image.stored_bytes == len(CODE)
    assert "Firmware image" in (tmp_path / "run" / "report.html").read_text()


def test_another_image_or_base_is_another_target(tmp_path: Path) -> None:
    path = raw_file(tmp_path)
    digests = []
    with OraclePool(1) as pool:
        for sources in (
            Sources(device="rp2040"),
            Sources(device="rp2040", firmware=path),
            Sources(device="rp2040", firmware=path, firmware_base=0x1000_0000),
        ):
            digests.append(load_target(sources, pool).digest)
        path.write_bytes(CODE + b"\0")
        digests.append(load_target(Sources(device="rp2040", firmware=path), pool).digest)
    assert len(set(digests)) == 4


@pytest.mark.parametrize("symbols", [True, False])
def test_what_an_image_offers(tmp_path: Path, symbols: bool) -> None:
    with OraclePool(1) as pool:
        offered = load_target(Sources(firmware=elf_file(tmp_path, symbols=symbols)), pool).capabilities
    assert Capability.IMAGE in offered
    assert (Capability.ELF_SYMBOLS in offered) is symbols
    assert Capability.FIRMWARE not in offered, "the twin needs a model"


BAD = {
    "no such file": (["--firmware", "none.elf"], "cannot be read"),
    "a model": (["--firmware", "model.tflite"], "give it as the model"),
    "empty": (["--firmware", "empty.bin"], "is empty"),
    "base of an ELF": (["--firmware", "device.elf", "--firmware-base", "0x0"], "have their own"),
    "base without a file": (["--device", "rp2040", "--firmware-base", "0x0"], "give --firmware as well"),
    "base that is no number": (["--firmware", "device.elf", "--firmware-base", "start"], "is no address"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_bad_images(call: Call, tmp_path: Path, options: list[str], words: str) -> None:
    elf_file(tmp_path)
    (tmp_path / "empty.bin").touch()
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 64)
    before = sorted(tmp_path.iterdir())
    done = call("assess", *options, "-q")
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before
