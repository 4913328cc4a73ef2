"""Facts of a firmware image beside findings: for reports, for a bill of materials, and for rules about the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tinymlsec.rules._readout import readouts

if TYPE_CHECKING:
    from tinymlsec.records import Finding
    from tinymlsec.rules.subjects import ImageFile

_S_BOX = bytes.fromhex("637c777bf26b6fc53001672bfed7ab76")
"""First row of the S-box (FIPS 197, figure 7)."""
_DEBUG_SECTIONS = (".debug_info", ".debug_line", ".zdebug_info")


def image_facts(file: ImageFile) -> dict[str, Any]:
    """JSON values: memory and isolation, components with versions, readout protection, AES tables, compilers."""
    image = file.image
    return {
        "memory": file.memory.as_dict(),
        "components": [component.as_dict() for component in file.components],
        "readout": [{"state": each.state, "address": each.address, "what": each.what} for each in readouts(file)],
        "aes_in_software": _aes(file),
        "compilers": image.producer,
        "build_id": image.build_id,
        "debug_information": any(section.name in _DEBUG_SECTIONS for section in image.sections),
    }


def seen_in(file: ImageFile, findings: Iterable[Finding] = ()) -> Mapping[str, str]:
    """What product rules may ask about an image; what the image does not tell is left out.

    Args:
        file: the image.
        findings: of the image rules on it, for the number of secrets and flawed components.
    """
    facts = file.memory
    ids = [finding.id for finding in findings]
    seen = {
        "image.mpu": _word(facts.mpu),
        "image.canaries": _word(None if facts.canaries is None else facts.canaries or bool(facts.stack_limit)),
        "image.secrets": str(sum(each.startswith("SECRET-0") and each not in _NO_SECRETS for each in ids)),
        "image.published_keys": str(ids.count("SECRET-02")),
        "image.flawed_components": str(sum(bool(component.flaws) for component in file.components)),
    }
    states = [each.state for each in readouts(file)]
    if states:
        seen["image.readout_protection"] = "off" if "off" in states else states[0]
    return {name: value for name, value in seen.items() if value}


def _aes(file: ImageFile) -> list[int]:
    """Load addresses of the S-box of AES: where it is, a cipher runs in software, and its key in memory."""
    runs = file.image.stored()
    found = [(address, data.find(_S_BOX)) for address, data in runs]
    return [address + at for address, at in found if at >= 0]


_NO_SECRETS = ("SECRET-02", "SECRET-07")
"""Published keys are often public halves, and certificates are no secrets."""


def _word(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
