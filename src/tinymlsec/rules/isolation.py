"""ISO: walls inside of the firmware as the profile declares them, and what the image says about them."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts

_PROMISES = (
    ("isolation.mpu_used", "image.mpu", "no store to MPU_CTRL was found in it"),
    ("isolation.stack_protection", "image.canaries", "it has neither stack canaries nor a stack limit"),
)
"""(fact of the profile, what a scan saw, words for it)"""


@rule(
    "ISO-01", "The memory protection unit is not used", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-653 CWE-1189", threats="S13",
    fix="set up regions that keep communication away from keys and model, and enable the unit",
    source="Zhou et al., Good Motive but Bad Design, Pervasive Misuse of MPU, arXiv 1908.03638",
)  # fmt: skip
def no_mpu(product: ProductFacts) -> Iterator[Hit]:
    """`isolation.mpu_used = no`: an error anywhere reaches everything."""
    used, offered = told(product, "isolation.mpu_used", "device.memory_protection")
    if used == "no":
        facts = because(product, "isolation.mpu_used", "device.memory_protection")
        advice = "a part with such a unit" if offered == "no" else "isolation.mpu_used = yes"
        yield Hit(f"{facts}; expected: {advice}.")


@rule(
    "ISO-02", "All code runs privileged", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-250 CWE-653", threats="S13",
    fix="run communication and parsers unprivileged, with the few calls that they need",
    source="Clements et al., Protecting Bare-metal Embedded Systems with Privilege Overlays, IEEE S&P 2017",
)  # fmt: skip
def privileged(product: ProductFacts) -> Iterator[Hit]:
    """`isolation.privilege_separation = no`."""
    (apart,) = told(product, "isolation.privilege_separation")
    if apart == "no":
        yield Hit(f"{because(product, 'isolation.privilege_separation')}; expected: yes.")


@rule(
    "ISO-03", "Stacks are not protected", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-693 CWE-121", threats="S1 S2",
    fix="build with stack canaries, and set stack limits or guard regions",
    source="Cowan et al., StackGuard, USENIX Security 1998",
)  # fmt: skip
def bare_stacks(product: ProductFacts) -> Iterator[Hit]:
    """`isolation.stack_protection = no`: a smashed stack is used before it is noticed."""
    (guarded,) = told(product, "isolation.stack_protection")
    if guarded == "no":
        yield Hit(f"{because(product, 'isolation.stack_protection')}; expected: yes.")


@rule(
    "ISO-04", "RAM is executable", subject=Subject.PRODUCT, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-693 CWE-94", threats="S2",
    fix="forbid execution from RAM by the MPU (XN)", source="Francillon and Castelluccia, CCS 2008",
)  # fmt: skip
def executable_ram(product: ProductFacts) -> Iterator[Hit]:
    """`isolation.no_execute_ram = no`: injected data can run as code."""
    (forbidden,) = told(product, "isolation.no_execute_ram")
    if forbidden == "no":
        yield Hit(f"{because(product, 'isolation.no_execute_ram')}; expected: yes.")


@rule(
    "ISO-05", "DMA passes all walls", subject=Subject.PRODUCT, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-1189 CWE-1220", threats="S13 H5",
    fix="let only trusted code program DMA, and give bus masters regions of their own where the part can",
    source="CWE-1189, MITRE; catalog of threats, S13",
)  # fmt: skip
def free_dma(product: ProductFacts) -> Iterator[Hit]:
    """`isolation.dma_restricted = no`: the MPU guards the processor, not other masters. Low where no MPU is used."""
    restricted, used = told(product, "isolation.dma_restricted", "isolation.mpu_used")
    if restricted == "no":
        severity = Severity.LOW if used == "no" else None
        yield Hit(f"{because(product, 'isolation.dma_restricted')}; expected: yes.", severity=severity)


@rule(
    "ISO-06", "TrustZone is there and not used", subject=Subject.PRODUCT, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-653", threats="S13",
    fix="keep keys and model in the secure world behind checked entry functions",
    source="Arm, Platform Security Architecture, 2017",
)  # fmt: skip
def no_worlds(product: ProductFacts) -> Iterator[Hit]:
    """The part has a second world (`device.trusted_world = yes`), and `isolation.trustzone_used = no`."""
    offered, used = told(product, "device.trusted_world", "isolation.trustzone_used")
    if offered == "yes" and used == "no":
        yield Hit(f"{because(product, 'device.trusted_world', 'isolation.trustzone_used')}; expected: used.")


@rule(
    "ISO-07", "The image lacks what the profile promises", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-693 CWE-1053", threats="S1 S2 S13",
    fix="build in what the profile says, or mend the profile", source="this tool: profile against image",
)  # fmt: skip
def contradiction(product: ProductFacts) -> Iterator[Hit]:
    """The profile says that the MPU is used or that stacks are protected; a scan of the image found neither.

    What another image (a boot loader, the secure half) sets up is not seen in this one.
    """
    for fact, sight, words in _PROMISES:
        (promised,) = told(product, fact)
        if promised == "yes" and product.seen.get(sight) == "no":
            yield Hit(f"{because(product, fact)}, yet of the image given {words}.")
