"""Operators that a firmware has linked, by the symbols of the kernels' registration functions.

TFLM's resolver takes each kernel through a function such as ``tflite::Register_CONV_2D()``, and the linker drops those
that nobody calls. A stripped file, or one whose functions were all inlined, does not tell.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.schema import enum_names

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

_REGISTER = re.compile(r"(?:^|[^A-Za-z])Register_([A-Z][A-Z0-9_]*[A-Z0-9])(?:Ev|\(|$)")


def linked_operators(image: FirmwareImage) -> frozenset[str] | None:
    """Names of linked operators, such as CONV_2D; None where the image has no such symbol."""
    known = frozenset(enum_names("BuiltinOperator"))
    found = set()
    for symbol in image.all_symbols:
        if "Register_" in symbol.name and (match := _REGISTER.search(symbol.name)):
            name = match[1]
            while name and name not in known:  # variants such as CONV_2D_INT8 register the same operator
                name = name.rpartition("_")[0]
            found.add(name)
    found.discard("")
    return frozenset(found) or None


def linked_in_file(path: Path) -> frozenset[str]:
    """Linked operators of an ELF file.

    Raises:
        InputError: the file cannot be read, or is no firmware.
        UsageError: it has no registration functions.
    """
    from tinymlsec.target.firmware.load import load_image

    image = load_image(path)
    found = linked_operators(image)
    if found is None:
        raise UsageError(
            "the firmware does not tell which operators it has", found=f"no Register_... function in {path.name}",
            expected="an ELF file with the symbols of an interpreter", next_step="leave --firmware out",
        )  # fmt: skip
    return found
