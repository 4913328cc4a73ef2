"""SUPPLY: where parts and software come from, and whether flaws can be mended. Facts are declared in the profile."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts


@rule(
    "SUPPLY-01", "Parts are not verified", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1357", threats="H13",
    fix="buy from authorized sources, check identity and revision at assembly, and run golden test vectors",
    source="Obermaier, Schink, Moczek, One Exploit to Rule them All?, WOOT 2020: counterfeit STM32F103",
)  # fmt: skip
def unverified_parts(product: ProductFacts) -> Iterator[Hit]:
    """`supply.parts_verified = no`: a clone, whose readout protection may be weaker, is built in unnoticed."""
    (verified,) = told(product, "supply.parts_verified")
    if verified == "no":
        yield Hit(f"{because(product, 'supply.parts_verified')}; expected: yes.")


@rule(
    "SUPPLY-02", "Dependencies are not pinned", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-829 CWE-1357", threats="S14",
    fix="pin libraries, tools and converters by digest, build in a clean environment, and keep a bill of materials",
    source="SLSA, Supply-chain Levels for Software Artifacts, v1.0; NIST SP 800-218",
)  # fmt: skip
def unpinned(product: ProductFacts) -> Iterator[Hit]:
    """`supply.dependencies_pinned = no`: what somebody upstream changes enters by itself."""
    (pinned,) = told(product, "supply.dependencies_pinned")
    if pinned == "no":
        yield Hit(f"{because(product, 'supply.dependencies_pinned')}; expected: yes.")


@rule(
    "SUPPLY-03", "Advisories are not followed", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1395 CWE-1329", threats="S14",
    fix="name who reads the advisories of each component, and how an advisory becomes an update",
    source="ETSI EN 303 645, provision 5.2; CWE-1395, MITRE",
)  # fmt: skip
def untracked(product: ProductFacts) -> Iterator[Hit]:
    """`supply.vulnerabilities_tracked = no`: known holes stay for years.

    Where a scan of the image found components with known vulnerabilities, the message says how many.
    """
    (tracked,) = told(product, "supply.vulnerabilities_tracked")
    if tracked == "no":
        flawed = product.seen.get("image.flawed_components", "")
        more = f"; the image holds {flawed} components with known vulnerabilities" if flawed not in ("", "0") else ""
        yield Hit(f"{because(product, 'supply.vulnerabilities_tracked')}; expected: yes{more}.")


@rule(
    "SUPPLY-04", "Flaws cannot be mended in the field", subject=Subject.PRODUCT, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-1277 CWE-1329", threats="S14",
    fix="plan a signed update path, or a way to recall units", source="CWE-1277, MITRE",
)  # fmt: skip
def no_updates(product: ProductFacts) -> Iterator[Hit]:
    """`update.channel = none`: no update reaches a unit any more. Medium where packets reach it."""
    channel, exposure = told(product, "update.channel", "interfaces.network_exposure")
    if channel == "none":
        severity = Severity.MEDIUM if exposure in ("local", "internet") else None
        facts = because(product, "update.channel", "interfaces.network_exposure")
        yield Hit(f"{facts}; expected: an update path.", severity=severity)
