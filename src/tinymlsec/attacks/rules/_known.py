"""Twins whose answer is known: a product and an image with every weakness that rules speak of, and with none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.rules.subjects import ImageFile
from tinymlsec.target.firmware.image import FirmwareImage, Segment, Symbol
from tinymlsec.target.firmware.vectors import vector_table
from tinymlsec.threat.facts import DEPLOYMENT_FACTS, DEVICE_FACTS

if TYPE_CHECKING:
    from collections.abc import Mapping

FLASH, RAM = 0x0800_0000, 0x2000_0000
CODE = FLASH + 0x100
_BESIDE = {
    "debug.console": ("closed", "open"), "keys.random_source": ("trng", "none"),
    "supply.vulnerabilities_tracked": ("yes", "no"),
}  # fmt: skip
"""Fields of the profile that no scoring rule reads: (best, worst)."""
_ENABLE_MPU = bytes.fromhex("4ef69450 cef20000 0521 0160 7047")
"""MOVW, MOVT (r0 = MPU_CTRL); MOVS r1, #5; STR r1, [r0]; BX LR."""
_NO_MPU = bytes.fromhex("00bf 00bf 00bf 00bf 7047")
_KEY = (
    bytes.fromhex("30770201010420") + bytes(range(7, 39)) + bytes.fromhex("a00a06082a8648ce3d030107a144034200 04")
    + bytes(range(3, 67))
)  # fmt: skip
"""An EC private key by its form; its numbers are counts and open nothing."""
_PUBLISHED = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200 04") + bytes(range(100, 164))
"""A public key by its form that `rules/data/known_keys.toml` lists as this tool's own."""
_TEXTS = b"\0*** Booting Zephyr OS build v3.4.0 ***\0FreeRTOS Kernel V10.4.1\0uart:~$ \0"
_LEFT_OPEN = Segment(0x1FFF_F800, b"\xa5\x5a", 2, "r")
"""Option bytes of an STM32 with readout protection off."""


def product_facts(*, weak: bool) -> Mapping[str, str]:
    """Every fact at its worst, or at its best protected value."""
    place = -1 if weak else 0
    facts = {name: values[place] for name, values in {**DEPLOYMENT_FACTS, **DEVICE_FACTS}.items()}
    return facts | {name: values[place] for name, values in _BESIDE.items()}


def image_file(*, weak: bool) -> ImageFile:
    """A small image for a Cortex-M4 with every weakness, or with none."""
    words = (RAM + 0x1000, CODE | 1, *[CODE | 1] * 14)
    table = b"".join(word.to_bytes(4, "little") for word in words)
    code = _NO_MPU if weak else _ENABLE_MPU
    content = table.ljust(0x100, b"\0") + code.ljust(0x100, b"\0") + ((_TEXTS + _KEY + _PUBLISHED) if weak else b"")
    flash = Segment(FLASH, content, len(content), "rx", offset=0)
    # Above the stack: an overflow runs out of RAM and not into variables. Weak: below it.
    start = RAM if weak else RAM + 0x1000
    ram = Segment(FLASH + 0x4000, b"\x70\x47", 0x400, "rwx" if weak else "rw", start)
    segments = (flash, ram, *((_LEFT_OPEN,) if weak else ()))
    symbols = tuple(_symbols(weak=weak))
    image = FirmwareImage(
        "elf", "arm", CODE, segments, {s.name: s for s in symbols}, symbols, vectors=vector_table(segments),
        architecture="Armv7E-M",
    )  # fmt: skip
    return ImageFile("known-weak image" if weak else "known-good image", content, image)


def model_file(*, weak: bool) -> bytes:
    """A small model, or one that is cut off in the middle."""
    from tinymlsec.attacks._twins import linear_twin

    data = linear_twin(8)
    return data[: len(data) // 2] if weak else data


def _symbols(*, weak: bool) -> list[Symbol]:
    names = ("Reset_Handler", "gets", "strcpy") if weak else ("Reset_Handler", "__stack_chk_fail")
    return [Symbol(name, CODE + 2 * place, 2, "function") for place, name in enumerate(names)]
