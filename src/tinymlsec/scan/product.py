"""Rules about a device in its deployment: what cannot be run is judged by declared facts and by what images show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinymlsec.records import Finding
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Subject
from tinymlsec.rules.subjects import ProductFacts

if TYPE_CHECKING:
    from tinymlsec.rules.rule import Rule
    from tinymlsec.target.deployment import Deployment
    from tinymlsec.target.device import Device

UNKNOWN = "unknown"


@dataclass(frozen=True)
class ProductScan:
    """What the product rules said."""

    findings: tuple[Finding, ...]
    """In the order of families and rules."""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rule id -> facts that it asked for and nobody gave: each a reason why it may have stayed silent."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """Every fact that a rule asked for, with its value."""
    failures: tuple[str, ...] = ()
    """Rules that ended in an exception of their own."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Facts that nobody gave, in order; each is a key of the deployment profile or needs a device."""
        return tuple(sorted({name for names in self.unknown.values() for name in names}))

    def advice(self) -> tuple[str, ...]:
        """How to supply what is unknown, for the list of what was skipped."""
        return tuple(f"unknown: {_how(name)} (asked by {', '.join(self._askers(name))})" for name in self.missing)

    def _askers(self, name: str) -> list[str]:
        return [rule_id for rule_id, names in self.unknown.items() if name in names]

    def facts(self) -> dict[str, Any]:
        """JSON values for a report."""
        return {"asked": dict(self.asked), "unknown": {rule_id: list(names) for rule_id, names in self.unknown.items()}}


def _how(name: str) -> str:
    """What to give for a fact: bypasses are known or not, which no user can mend."""
    if name.startswith("device."):
        return f"{name}: name a device whose file tells (--device)"
    return f"give {name} in the deployment profile"


def product_findings(
    device: Device | None = None,
    deployment: Deployment | None = None,
    seen: Mapping[str, str] | None = None,
    *,
    only: Iterable[Rule[Any]] | None = None,
) -> ProductScan:
    """Every product rule on the facts that were given; a fact that nobody gave makes no finding.

    Args:
        device: from `load_device`; None where it is not known.
        deployment: the profile; None where there is none.
        seen: what scans of its images saw, as `scan.image_facts.seen_in` makes it.
        only: rules to run instead of all product rules.
    """
    from tinymlsec.target.deployment import Deployment
    from tinymlsec.threat.facts import collect_facts

    profile = deployment if deployment is not None else Deployment()
    return run_product_rules(collect_facts(device, profile), device, profile, seen or {}, only)


def run_product_rules(
    facts: Mapping[str, str],
    device: Device | None,
    deployment: Deployment | None,
    seen: Mapping[str, str],
    only: Iterable[Rule[Any]] | None = None,
) -> ProductScan:
    """The same on facts that were collected before."""
    findings: list[Finding] = []
    unknown: dict[str, tuple[str, ...]] = {}
    asked: dict[str, str] = {}
    failures: list[str] = []
    for rule in rule_book().about(Subject.PRODUCT) if only is None else only:
        product = ProductFacts(facts, device, deployment, seen)
        try:
            findings += rule.findings(product)
        except Exception as error:  # a plug-in's rule, or a fault of ours, must not silence the other rules
            failures.append(f"rule {rule.id} failed: {type(error).__name__}: {str(error)[:200]}")
        asked |= product.asked
        # No device file says that there is no way around a part: unknown is all that can be known of a bypass.
        missing = tuple(n for n, v in product.asked.items() if v == UNKNOWN and not n.startswith("bypass."))
        if missing:
            unknown[rule.id] = missing
    return ProductScan(tuple(findings), unknown, asked, tuple(failures))
