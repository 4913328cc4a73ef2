"""LINK: traffic between the product and others. Facts are declared in the deployment profile."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts


def _grade(exposure: str) -> Severity | None:
    """Any host on the internet is worse than the own network."""
    return Severity.HIGH if exposure == "internet" else None


@rule(
    "LINK-01", "Traffic is not encrypted", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-319", threats="S10",
    fix="use TLS or DTLS 1.3, OSCORE, or LE Secure Connections; on links too small for them an AEAD with a counter",
    source="CWE-319, MITRE; RFC 8613 (OSCORE), 2019",
)  # fmt: skip
def plain(product: ProductFacts) -> Iterator[Hit]:
    """`interfaces.link_encrypted = no` on a product that packets reach: others read what it reports."""
    exposure, encrypted = told(product, "interfaces.network_exposure", "interfaces.link_encrypted")
    if encrypted == "no" and exposure != "none":
        facts = because(product, "interfaces.link_encrypted", "interfaces.network_exposure")
        yield Hit(f"{facts}; expected: an encrypted link.", severity=_grade(exposure))


@rule(
    "LINK-02", "Peers do not prove who they are", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-306 CWE-300", threats="S10",
    fix="authenticate both ends with a key of the device, and protect each message against forgery",
    source="CWE-306, MITRE; BLUFFS, CVE-2023-24023",
)  # fmt: skip
def unauthenticated(product: ProductFacts) -> Iterator[Hit]:
    """`interfaces.link_authenticated = no`: anybody in reach sends results in the device's name, or commands to it."""
    exposure, authenticated = told(product, "interfaces.network_exposure", "interfaces.link_authenticated")
    if authenticated == "no" and exposure != "none":
        facts = because(product, "interfaces.link_authenticated", "interfaces.network_exposure")
        yield Hit(f"{facts}; expected: authenticated peers.", severity=_grade(exposure))


@rule(
    "LINK-03", "Old messages pass as new ones", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-294", threats="S10",
    fix="put a counter or a fresh nonce under the message's protection, and refuse what was seen",
    source="CWE-294, MITRE",
)  # fmt: skip
def replayed(product: ProductFacts) -> Iterator[Hit]:
    """`interfaces.replay_protected = no`: a recorded result or command works again."""
    exposure, fresh = told(product, "interfaces.network_exposure", "interfaces.replay_protected")
    if fresh == "no" and exposure != "none":
        facts = because(product, "interfaces.replay_protected", "interfaces.network_exposure")
        yield Hit(f"{facts}; expected: freshness.")
