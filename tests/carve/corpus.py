"""Images with a model in them: models x ways of hiding x kinds of files, each with what should be found."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from carve.encoders import encrypt, heatshrink, lz4_block, lz4_frame, raw_deflate, xor
from carve.surroundings import FLASH, firmware, image_of
from firmware.elf_builder import Elf, Load
from tinymlsec.attacks._twins import linear_twin
from tinymlsec.target.firmware import FirmwareImage, write_bin, write_hex, write_uf2
from tinymlsec.target.tflite.builder import GraphBuilder

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = (
    "mlperf_tiny_kws/kws_ref_model.tflite", "mlperf_tiny_ic/pretrainedResnet_quant.tflite",
    "tflm_hello_world/hello_world_int8.tflite", "tflm_micro_speech/micro_speech_quantized.tflite",
    "tflm_micro_speech/audio_preprocessor_int8.tflite", "microwakeword/vad.tflite",
)  # fmt: skip


def _dense(seed: int, width: int) -> bytes:
    rng = np.random.default_rng(seed)
    builder = GraphBuilder(f"dense {seed}")
    x = builder.input((1, width), "int8", scale=0.1)
    weights = np.clip(rng.normal(0, 30, (width, width)), -127, 127).astype(np.int8)
    w, b = builder.constant(weights, scale=0.01), builder.constant(np.arange(width, dtype=np.int32), scale=0.001)
    builder.output(builder.op("FULLY_CONNECTED", [x, w, b], scale=0.2, options={}))
    return builder.tobytes()


@cache
def models() -> dict[str, bytes]:
    """By name; real ones only where they are."""
    found = {"twin": linear_twin(8), "dense-48": _dense(1, 48), "dense-160": _dense(2, 160)}
    found["digits"] = (resources.files("tinymlsec") / "examples/digits/digits.tflite").read_bytes()
    found |= {Path(name).stem: (SHARED / name).read_bytes() for name in REAL if (SHARED / name).is_file()}
    return found


KEYS = {"xor-1": b"\x5a", "xor-2": b"\xc3\x1f", "xor-4": b"\xde\xad\x0b\x77"}
HIDE: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "unaligned": lambda data: data,
    **{name: (lambda data, key=key: xor(data, key)) for name, key in KEYS.items()},
    "zlib": lambda data: zlib.compress(data, 9),
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "raw-deflate": raw_deflate,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4-frame": lz4_frame,
    "lz4-block": lz4_block,
    "heatshrink": lambda data: heatshrink(data, 8, 4),
    "gzip-xor": lambda data: gzip.compress(xor(data, b"\x91"), mtime=0),
    "xor-gzip": lambda data: xor(gzip.compress(data, mtime=0), b"\x7e\x21"),
    "gzip-gzip": lambda data: gzip.compress(gzip.compress(b"\0" * 700 + data, mtime=0), mtime=0),
    "encrypted": lambda data: encrypt(data, len(data)),
}  # fmt: skip
KINDS = ("bin", "hex", "elf", "uf2")


@cache
def hidden(model: str, how: str) -> bytes:
    return HIDE[how](models()[model])


@dataclass(frozen=True)
class Case:
    """One image."""

    model: str
    how: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.model}-{self.how}-{self.kind}"

    def parts(self) -> tuple[list[bytes], int]:
        """(what lies in a row, place of the model's or stream's first byte behind the vector table)."""
        rng = np.random.default_rng(sum(self.name.encode()))
        before = firmware(rng)
        before += bytes(-len(before) % 16) + (b"\x01\x02\x03" if self.how == "unaligned" else b"")
        after = [b"\0" * 40 + firmware(rng), b"\xff" * 200, firmware(rng, 4096)][int(rng.integers(3)) :]
        return [before, hidden(self.model, self.how), *after], len(before)

    def file(self) -> tuple[bytes, int]:
        """(the file, load address of the first byte that was hidden)."""
        parts, place = self.parts()
        at = 0x100 + place
        split = at + len(parts[1]) // 2 + 1
        return as_file(image_of(parts), self.kind, split), FLASH + at


def as_file(image: FirmwareImage, kind: str, split: int = 0) -> bytes:
    """An image as a file; an ELF file has it in two segments, cut at `split`."""
    if kind == "hex":
        return write_hex(image)
    if kind == "uf2":
        return write_uf2(image, "STM32F4")
    data = write_bin(image)
    if kind == "bin":
        return data
    cut = split or len(data) // 2
    return Elf(loads=[Load(FLASH, data[:cut]), Load(FLASH + cut, data[cut:], flags=4)]).build()


def cases() -> Iterator[Case]:
    """All images, in an order that mixes models, ways and kinds."""
    for model in models():
        for how in HIDE:
            for kind in KINDS:
                yield Case(model, how, kind)
