"""Facts of a product as rules read them, and the words in which a finding names the facts that decided it."""

from __future__ import annotations

from tinymlsec.rules.subjects import ProductFacts

UNKNOWN = "unknown"


def told(product: ProductFacts, *names: str) -> tuple[str, ...]:
    """Values of facts, `unknown` where nobody gave them; what was asked is kept in `product.asked`.

    A rule asks for all of its facts at once, so that those which are missing can be named.

    Args:
        product: facts as `threat.facts.collect_facts` makes them; fields of the deployment beside these count too.
        names: such as ``debug.port`` or ``device.secure_boot``.
    """
    for name in names:
        product.asked[name] = _value(product, name)
    return tuple(product.asked[name] for name in names)


def _value(product: ProductFacts, name: str) -> str:
    if name in product.facts:
        return product.facts[name]
    if name.startswith(("device.", "bypass.")) or product.deployment is None:
        return UNKNOWN
    return str(product.deployment.fact(name))


def because(product: ProductFacts, *names: str) -> str:
    """The deciding facts, such as ``debug.port = open``."""
    return ", ".join(f"{name} = {product.asked.get(name, UNKNOWN)}" for name in names)


def bypasses(product: ProductFacts, feature: str) -> str:
    """Published ways around a feature of the device, in the words of its file."""
    ways = product.device.bypasses(feature) if product.device is not None else ()
    return "; ".join(f"{way.what} ({way.source})" for way in ways[:3])
