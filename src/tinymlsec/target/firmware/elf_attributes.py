"""What an Arm toolchain says about the processor that a file was built for (the section .ARM.attributes).

Source: Addenda to, and Errata in, the ABI for the Arm Architecture (IHI 0045), "Build attributes". Files without the
section, and sections that make no sense, say nothing: the attributes are a help, not a check of the code.
"""

from __future__ import annotations

from typing import NamedTuple

from tinymlsec.target.firmware.elf_sections import Sections
from tinymlsec.target.firmware.line_bytes import Damaged, fixed, printable, text_end, uleb

NAME = ".ARM.attributes"
MAX_CONTENT = 4_096
"""Bytes of the section that are looked at; honest ones have some fifty."""
_FILE = 1
_CPU_NAME, _CPU_ARCH, _CPU_PROFILE = 5, 6, 7
_TEXTS = frozenset((4, 5, 65, 67))
"""Tags below 32 and others whose value is a text; from 32 on odd ones are."""
_COMPATIBILITY = 32

ARCHITECTURES = {
    1: "Armv4",
    2: "Armv4T",
    3: "Armv5T",
    4: "Armv5TE",
    5: "Armv5TEJ",
    6: "Armv6",
    7: "Armv6KZ",
    8: "Armv6T2",
    9: "Armv6K",
    10: "Armv7",
    11: "Armv6-M",
    12: "Armv6-M",
    13: "Armv7E-M",
    14: "Armv8-A",
    15: "Armv8-R",
    16: "Armv8-M Baseline",
    17: "Armv8-M Mainline",
    18: "Armv8.1-A",
    19: "Armv8.2-A",
    20: "Armv8.3-A",
    21: "Armv8.1-M",
    22: "Armv9-A",
}
"""Names of Tag_CPU_arch as device files have them; 10 is Armv7-A, -R or -M, which the profile tells apart."""
_PROFILED = 10


class Attributes(NamedTuple):
    """Processor of a file; empty texts where nothing is said."""

    architecture: str = ""
    """Such as ``Armv7E-M``."""
    cpu: str = ""
    """Such as ``Cortex-M4``, as the toolchain calls it."""
    offset: int = 0
    """of the section in the file"""

    @property
    def application(self) -> bool:
        """Whether it names a profile that no Cortex-M has."""
        return self.architecture.endswith(("-A", "-R"))


def attributes(found: Sections) -> Attributes:
    """The attributes of an ELF file for Arm."""
    index = found.find(NAME)
    if index is None:
        return Attributes()
    try:
        values = _file_values(found.content(index, MAX_CONTENT))
    except Damaged:
        return Attributes()
    number, profile, cpu = (values.get(tag, 0) for tag in (_CPU_ARCH, _CPU_PROFILE, _CPU_NAME))
    name = ARCHITECTURES.get(number, "") if isinstance(number, int) else ""
    if number == _PROFILED and isinstance(profile, int) and profile in b"ARM":
        name += f"-{chr(profile)}"
    return Attributes(name, cpu if isinstance(cpu, str) else "", found.value(index, "offset"))


def _file_values(content: bytes) -> dict[int, int | str]:
    """Values by tag of the part that is about the whole file, of the vendor aeabi.

    Raises:
        Damaged: the section makes no sense.
    """
    if content[:1] != b"A":
        raise Damaged("an unknown format")
    at = 1
    while at < len(content):
        size = fixed(content, at, 4, len(content))
        end = at + size
        name_end = text_end(content, at + 4, min(end, len(content)))
        if content[at + 4 : name_end] == b"aeabi":
            return _values(content, name_end + 1, min(end, len(content)))
        at = max(end, at + 5)
    return {}


def _values(content: bytes, at: int, end: int) -> dict[int, int | str]:
    tag, size = fixed(content, at, 1, end), fixed(content, at + 1, 4, end)
    if tag != _FILE:
        return {}
    values: dict[int, int | str] = {}
    end, at = min(at + size, end), at + 5
    while at < end:
        tag, at = uleb(content, at, end)
        if tag == _COMPATIBILITY:
            _, at = uleb(content, at, end)
        if tag in _TEXTS or (tag >= _COMPATIBILITY and (tag % 2 or tag == _COMPATIBILITY)):
            stop = text_end(content, at, end)
            values[tag], at = printable(content[at:stop]), stop + 1
        else:
            values[tag], at = uleb(content, at, end)
    return values
