"""RAM: what stays in memory after use. Facts are declared in the profile; `ram-residue` looks for it by emulation."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts


@rule(
    "RAM-01", "Memory is not wiped after use", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-226 CWE-1272 CWE-1301", threats="H11",
    fix="overwrite arena, inputs and decrypted weights after each use and at reset, in code the compiler cannot drop",
    source="Won et al., DeepFreeze, ICCAD 2021; CWE-226, MITRE",
)  # fmt: skip
def not_wiped(product: ProductFacts) -> Iterator[Hit]:
    """`inference.memory_wiped = no`: SRAM keeps its content over a reset.

    High where a way to read RAM is open (`debug.port = open` or `debug.bootloader = open`).
    """
    wiped, port, loader = told(product, "inference.memory_wiped", "debug.port", "debug.bootloader")
    if wiped == "no":
        exposed = "open" in (port, loader)
        facts = because(product, "inference.memory_wiped", "debug.port", "debug.bootloader")
        yield Hit(f"{facts}; expected: inference.memory_wiped = yes.", severity=Severity.HIGH if exposed else None)
