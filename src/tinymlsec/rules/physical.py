"""PHYS: what whoever touches a unit gets at: debug port, readout, external memory, the opened chip.

Facts are declared in the profile and in the device file.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, bypasses, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts


@rule(
    "PHYS-01", "The debug port is open", subject=Subject.PRODUCT, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-1191 CWE-1244", threats="H9",
    fix="lock SWD or JTAG in production, for good or behind authenticated debug",
    source="CWE-1191, MITRE; catalog of threats, H9",
)  # fmt: skip
def open_port(product: ProductFacts) -> Iterator[Hit]:
    """`debug.port = open`: a probe for some ten dollars reads model, keys and firmware, and writes them."""
    (port,) = told(product, "debug.port")
    if port == "open":
        yield Hit(f"{because(product, 'debug.port')}; expected: locked or fused.")


@rule(
    "PHYS-02", "Flash can be read out", subject=Subject.PRODUCT, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-1191 CWE-1263", threats="H9",
    fix="program the readout protection of the part, and choose a part that has one",
    source="CWE-1263, MITRE; catalog of threats, H9",
)  # fmt: skip
def readable(product: ProductFacts) -> Iterator[Hit]:
    """`debug.readout_protection = off`, or a part without any (`device.readout_protection = no`)."""
    state, offered = told(product, "debug.readout_protection", "device.readout_protection")
    if state == "off":
        yield Hit(f"{because(product, 'debug.readout_protection')}; expected: on or permanent.")
    elif offered == "no" and state == "unknown":
        facts = because(product, "device.readout_protection", "debug.readout_protection")
        yield Hit(f"{facts}; expected: a part whose flash can be locked.", severity=Severity.MEDIUM)


@rule(
    "PHYS-03", "A way around this part's readout protection is published", subject=Subject.PRODUCT,
    severity=Severity.MEDIUM, confidence=Confidence.MEDIUM, cwe="CWE-1278 CWE-1191", threats="H9",
    fix="use a part or revision without it, or keep nothing in flash that must not be read",
    source="the publication that the device file names",
)  # fmt: skip
def known_bypass(product: ProductFacts) -> Iterator[Hit]:
    """Readout protection is on, and the device file knows a published way around it."""
    state, bypass = told(product, "debug.readout_protection", "bypass.readout_protection")
    if state in ("on", "permanent") and bypass == "yes":
        ways = bypasses(product, "readout_protection")
        yield Hit(f"{because(product, 'debug.readout_protection')}, and published: {ways}.")


@rule(
    "PHYS-04", "A console is left open", subject=Subject.PRODUCT, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-489 CWE-1191", threats="H9",
    fix="take the shell out of releases, or let it ask for a credential of this unit",
    source="OWASP IoT Top 10, I10, 2018",
)  # fmt: skip
def console(product: ProductFacts) -> Iterator[Hit]:
    """`debug.console = open`: a shell or verbose log on a serial port."""
    (state,) = told(product, "debug.console")
    if state == "open":
        yield Hit(f"{because(product, 'debug.console')}; expected: closed.")


@rule(
    "PHYS-05", "The model crosses the board in the clear", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-319 CWE-311", threats="H10",
    fix="decrypt on the fly with a key of the unit, or keep the model inside of the chip",
    source="Abdellatif, Heriveaux, Thillard, Unlimited Results, 2023; catalog of threats, H10",
)  # fmt: skip
def plain_external(product: ProductFacts) -> Iterator[Hit]:
    """The model lies in a memory beside the chip and is not encrypted (`model.location = external`,
    `model.encrypted_at_rest = no`): a clip and a logic analyzer read it.

    Medium where the location is not given and the part keeps code and model in external flash
    (`device.external_flash = yes`).
    """
    location, hidden, board = told(product, "model.location", "model.encrypted_at_rest", "device.external_flash")
    if hidden == "no" and (location == "external" or (location == "unknown" and board == "yes")):
        facts = because(product, "model.location", "model.encrypted_at_rest", "device.external_flash")
        severity = None if location == "external" else Severity.MEDIUM
        yield Hit(f"{facts}; expected: an encrypted or internal model.", severity=severity)


@rule(
    "PHYS-06", "External memory is believed after one check", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-367 CWE-353", threats="H10",
    fix="copy the model into the chip and check it there, or authenticate what is read each time",
    source="CWE-367, MITRE; Courk, Breaking the Flash Encryption Feature of Espressif's Parts, 2024",
)  # fmt: skip
def unchecked_external(product: ProductFacts) -> Iterator[Hit]:
    """The model lies in external memory and is checked never or at boot only: an interposer swaps it afterwards."""
    location, checked = told(product, "model.location", "model.integrity_checked")
    if location == "external" and checked in ("never", "boot"):
        yield Hit(f"{because(product, 'model.location', 'model.integrity_checked')}; expected: each_inference.")


@rule(
    "PHYS-07", "A laboratory that opens one unit opens all", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1278 CWE-321", threats="H12",
    fix="give each unit keys of its own, kept in a secure element that is built against opening",
    source="Skorobogatov, Semi-invasive attacks, UCAM-CL-TR-630, 2005; catalog of threats, H12",
)  # fmt: skip
def opened_fleet(product: ProductFacts) -> Iterator[Hit]:
    """Attackers can take units to a laboratory (`access.lab_access = yes`), all units share a key, and the key lies
    in a general-purpose chip.
    """
    lab, same, storage = told(product, "access.lab_access", "keys.shared_fleet_key", "keys.storage")
    if lab == "yes" and same == "yes" and storage in ("plain_flash", "protected", "unknown"):
        facts = because(product, "access.lab_access", "keys.shared_fleet_key", "keys.storage")
        yield Hit(f"{facts}; expected: a key for each unit.")


@rule(
    "PHYS-08", "Secrets in a chip that is not built against opening", subject=Subject.PRODUCT, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-1278 CWE-1263", threats="H12",
    fix="keep what must outlast an opened unit in a secure element; let one unit's secrets be worth one unit",
    source="Skorobogatov, Semi-invasive attacks, UCAM-CL-TR-630, 2005",
)  # fmt: skip
def opened_unit(product: ProductFacts) -> Iterator[Hit]:
    """Units get into laboratories, and secrets lie in the microcontroller; each has its own, so one falls at a time."""
    lab, same, storage = told(product, "access.lab_access", "keys.shared_fleet_key", "keys.storage")
    if lab == "yes" and same == "no" and storage in ("plain_flash", "protected"):
        yield Hit(f"{because(product, 'access.lab_access', 'keys.storage')}; expected: secure_element.")


@rule(
    "PHYS-09", "The image is open where the profile says locked", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1191 CWE-1053", threats="H9",
    fix="program the level that the profile promises, or mend the profile", source="this tool: profile against image",
)  # fmt: skip
def contradiction(product: ProductFacts) -> Iterator[Hit]:
    """The profile says that readout protection is on, and the image sets it off (DUMP-01)."""
    (state,) = told(product, "debug.readout_protection")
    if state in ("on", "permanent") and product.seen.get("image.readout_protection") == "off":
        yield Hit(f"{because(product, 'debug.readout_protection')}, yet the image sets it off.")
