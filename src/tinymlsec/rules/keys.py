"""KEY: secrets of the product. Facts are declared in the profile; what an image holds is set against them."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts


@rule(
    "KEY-01", "One key for all units", subject=Subject.PRODUCT, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-321", threats="S12",
    fix="give each unit keys of its own at production, or derive them from a PUF",
    source="CWE-321, MITRE; catalog of threats, S12",
)  # fmt: skip
def shared(product: ProductFacts) -> Iterator[Hit]:
    """`keys.shared_fleet_key = yes`: one opened unit opens the fleet."""
    (same,) = told(product, "keys.shared_fleet_key")
    if same == "yes":
        yield Hit(f"{because(product, 'keys.shared_fleet_key')}; expected: a key for each unit.")


@rule(
    "KEY-02", "Default credentials are shipped", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1392 CWE-798", threats="S12 S7",
    fix="give each unit a password of its own, or let it refuse service until one was set",
    source="ETSI EN 303 645, provision 5.1; Antonakakis et al., Understanding the Mirai Botnet, USENIX Security 2017",
)  # fmt: skip
def defaults(product: ProductFacts) -> Iterator[Hit]:
    """`keys.default_credentials = yes`: test keys, sample keys or default passwords leave the factory.

    Critical where any host can reach the device: that is how botnets grow.
    """
    default, exposure = told(product, "keys.default_credentials", "interfaces.network_exposure")
    if default == "yes":
        facts = because(product, "keys.default_credentials", "interfaces.network_exposure")
        yield Hit(f"{facts}; expected: none.", severity=Severity.CRITICAL if exposure == "internet" else None)


@rule(
    "KEY-03", "Secrets lie in readable flash", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-922 CWE-312", threats="S12",
    fix="keep them in a key slot, locked OTP, the secure world, a PUF or a secure element",
    source="CWE-922, MITRE; PSA Certified Level 1, secure storage",
)  # fmt: skip
def readable(product: ProductFacts) -> Iterator[Hit]:
    """`keys.storage = plain_flash`: one readout gives them. High where readout is not protected at all."""
    storage, readout = told(product, "keys.storage", "debug.readout_protection")
    if storage == "plain_flash":
        facts = because(product, "keys.storage", "debug.readout_protection")
        yield Hit(f"{facts}; expected: protected storage.", severity=Severity.HIGH if readout == "off" else None)


@rule(
    "KEY-04", "Keys and nonces come from a weak source", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-338 CWE-331 CWE-1241", threats="S12",
    fix="seed a DRBG from a hardware source, or from start-up noise with a proven entropy",
    source="NIST SP 800-90B, 2018",
)  # fmt: skip
def weak_random(product: ProductFacts) -> Iterator[Hit]:
    """`keys.random_source = software` or `none`: values can be foretold. High where there is none."""
    (source,) = told(product, "keys.random_source")
    if source in ("none", "software"):
        severity = Severity.HIGH if source == "none" else None
        yield Hit(f"{because(product, 'keys.random_source')}; expected: trng.", severity=severity)


@rule(
    "KEY-05", "The image holds secrets that the profile denies", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-798 CWE-1053", threats="S12",
    fix="take the secrets out of the image, or mend the profile", source="this tool: profile against image",
)  # fmt: skip
def contradiction(product: ProductFacts) -> Iterator[Hit]:
    """A scan of the image found keys or credentials (SECRET rules), and the profile says that there are none, that they
    are protected, or that no sample keys are shipped.
    """
    storage, default = told(product, "keys.storage", "keys.default_credentials")
    secrets, published = product.seen.get("image.secrets", ""), product.seen.get("image.published_keys", "")
    if secrets not in ("", "0") and storage in ("none", "protected", "secure_element"):
        yield Hit(f"{because(product, 'keys.storage')}, yet the image holds {secrets} secrets in the clear.")
    if published not in ("", "0") and default == "no":
        yield Hit(f"{because(product, 'keys.default_credentials')}, yet the image holds {published} published keys.")
