"""BOOT: what is checked before the firmware runs, and while it does. Facts are declared in profile and device file."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, bypasses, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts


@rule(
    "BOOT-01", "Firmware is not verified at start", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1326 CWE-345", threats="S6 S7",
    fix="switch secure boot on, or put a small write-protected boot loader in front that checks a signature",
    source="NIST SP 800-193, Platform Firmware Resiliency Guidelines, 2018",
)  # fmt: skip
def unverified(product: ProductFacts) -> Iterator[Hit]:
    """`boot.secure_boot = off`: whatever lies in flash runs, and what an intruder puts there stays.

    High where the part itself offers secure boot (`device.secure_boot = yes`), else medium.
    """
    state, offered = told(product, "boot.secure_boot", "device.secure_boot")
    if state == "off":
        facts = because(product, "boot.secure_boot", "device.secure_boot")
        yield Hit(f"{facts}; expected: boot.secure_boot = on.", severity=Severity.HIGH if offered == "yes" else None)


@rule(
    "BOOT-02", "The first check can be replaced", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1326", threats="S6",
    fix="keep the first checking code in ROM, or in flash that is write-protected for good",
    source="CWE-1326, MITRE; NIST SP 800-193, 2018, root of trust",
)  # fmt: skip
def mutable_root(product: ProductFacts) -> Iterator[Hit]:
    """Firmware is verified by code that can be rewritten (`boot.secure_boot = on`, `boot.immutable_root = no`)."""
    state, fixed = told(product, "boot.secure_boot", "boot.immutable_root")
    if state == "on" and fixed == "no":
        yield Hit(f"{because(product, 'boot.immutable_root')}; expected: yes.")


@rule(
    "BOOT-03", "The start-up check leaves parts out", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1274 CWE-353", threats="S6 M12",
    fix="sign everything that decides what runs: vector table, option bytes, model and its parameters",
    source="Oxide Computer Company on the LPC55S69: CVE-2021-31532, CVE-2022-22819",
)  # fmt: skip
def partial(product: ProductFacts) -> Iterator[Hit]:
    """`boot.whole_image = no`: vector table, options, model or data lie outside of what is signed."""
    state, whole = told(product, "boot.secure_boot", "boot.whole_image")
    if state == "on" and whole == "no":
        yield Hit(f"{because(product, 'boot.whole_image')}; expected: yes.")


@rule(
    "BOOT-04", "Start-up checks are not written against glitches", subject=Subject.PRODUCT, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-1247", threats="S6 H6",
    fix="test twice in different ways, compare with values far apart, and add random delays",
    source="CWE-1247, MITRE; MCUboot, fault injection hardening",
)  # fmt: skip
def glitches(product: ProductFacts) -> Iterator[Hit]:
    """`boot.fault_hardened = no` while firmware is verified: one skipped branch passes the check.

    Medium where strangers touch units (`access.physical = public`) and the part detects no glitches.
    """
    state, hardened, access, detects = told(
        product, "boot.secure_boot", "boot.fault_hardened", "access.physical", "device.glitch_detection"
    )
    if state == "on" and hardened == "no":
        exposed = access == "public" and detects == "no"
        facts = because(product, "boot.fault_hardened", "access.physical", "device.glitch_detection")
        yield Hit(f"{facts}; expected: hardened checks.", severity=Severity.MEDIUM if exposed else None)


@rule(
    "BOOT-05", "The loader takes code from strangers", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-306 CWE-1191", threats="S6 H9",
    fix="disable the serial and USB loader of ROM and flash, or let it ask for a signature",
    source="CWE-306, MITRE; catalog of threats, S6",
)  # fmt: skip
def open_loader(product: ProductFacts) -> Iterator[Hit]:
    """`debug.bootloader = open`: whoever touches the serial or USB port reads or replaces the firmware."""
    (loader,) = told(product, "debug.bootloader")
    if loader == "open":
        yield Hit(f"{because(product, 'debug.bootloader')}; expected: authenticated or disabled.")


@rule(
    "BOOT-06", "A way around this part's secure boot is published", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-1283 CWE-1310", threats="S6",
    fix="use a revision of the part that mends it, or do not let secure boot be the only wall",
    source="the publication that the device file names",
)  # fmt: skip
def known_bypass(product: ProductFacts) -> Iterator[Hit]:
    """Secure boot is on, and the device file knows a published way around it.

    Revisions and settings may close it; the device file says what was shown, and by whom.
    """
    state, bypass = told(product, "boot.secure_boot", "bypass.secure_boot")
    if state == "on" and bypass == "yes":
        yield Hit(f"{because(product, 'boot.secure_boot')}, and published: {bypasses(product, 'secure_boot')}.")


@rule(
    "BOOT-07", "Nothing checks the model after delivery", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-353", threats="S7 M12",
    fix="compare the model with a digest or signature before use and from time to time while the device runs",
    source="Kohli and Sikdar, LiteAtt, arXiv 2603.19727",
)  # fmt: skip
def unchecked_model(product: ProductFacts) -> Iterator[Hit]:
    """`model.integrity_checked = never`: a changed model, or an implant in its place, is not noticed.

    A check at boot only leaves the time in between; low where that is all there is and the device runs for long.
    """
    (checked,) = told(product, "model.integrity_checked")
    if checked in ("never", "boot"):
        severity = None if checked == "never" else Severity.LOW
        fact = because(product, "model.integrity_checked")
        yield Hit(f"{fact}; expected: periodic or each_inference.", severity=severity)
