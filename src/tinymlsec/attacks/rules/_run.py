"""Runs the rules of one threat on what a target offers, and makes a verdict of findings and of what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Control, Effort, Finding, Severity, Verdict, VerdictKind
from tinymlsec.registry import AttackConfig, EffortLevel, Preset

if TYPE_CHECKING:
    from tinymlsec.rules.rule import Rule
    from tinymlsec.rules.subjects import ImageFile
    from tinymlsec.scan.product import ProductScan
    from tinymlsec.target.target import Target

PRESETS: Mapping[EffortLevel, Preset] = {level: {} for level in EffortLevel}
"""Rules have no amount of work to choose."""
CONTROLS = ("product and image with every weakness", "product and image with none")
DECISIVE = Severity.MEDIUM
MOST_FINDINGS = 100
_OF_PART = ("device.", "bypass.")
"""Facts that come with the part; they say nothing of a product before something is known of that."""
_NOT_HERE = ("CARVE",)
"""A model that lies in an image in the clear is no open door; `image-carving` is about it."""
MOST_WORDS = 1900


class RulesConfig(AttackConfig):
    """Rules have no settings: they look at all that is there."""


@dataclass(frozen=True)
class Question:
    """What is asked of a target."""

    threat: str
    image: bool = False
    """Nothing is *resistant* before an image was looked at."""
    model: bool = False
    """Model rules are asked as well."""
    not_seen: str = ""
    """What these rules cannot show, for the report."""


@dataclass(frozen=True)
class _Seen:
    """What the rules said of one subject or two."""

    product: ProductScan | None
    read: tuple[Finding, ...]
    """In an image or a model file."""
    failures: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of files first: they were read, not declared."""
        return self.read + (self.product.findings if self.product else ())

    @property
    def decisive(self) -> tuple[Finding, ...]:
        """Those that are grave enough to decide."""
        return tuple(f for f in self.findings if f.severity.rank >= DECISIVE.rank)


def run_rules(question: Question, target: Target) -> Observation:
    """Everything the rules of a threat say about a target.

    Raises:
        CapabilityMissing: nothing was given that they could look at.
    """
    seen = _look(question, target)
    positive, negative = _control(question, target, weak=True), _control(question, target, weak=False)
    verdict = _verdict(question, target, seen, positive, negative)
    return Observation(
        verdict=verdict,
        basis=_basis(seen),
        summary=_summary(question, seen),
        positive_control=positive,
        negative_control=negative,
        findings=seen.findings[:MOST_FINDINGS],
        effort=effort_of(question.threat),
        limits=_limits(question, target, seen),
        facts=_facts(seen),
    )


def effort_of(threat: str) -> Effort:
    """Of an attacker for whom the weakness is there, as the catalog estimates it."""
    from tinymlsec.threat.catalog import load_catalog

    told = load_catalog().threats[threat].estimate
    return Effort(knowledge=told.knowledge, expertise=told.expertise, equipment=told.equipment)


def _rules(question: Question, subject: str) -> list[Rule[Any]]:
    from tinymlsec.rules.discovery import rule_book
    from tinymlsec.rules.rule import Subject

    about = rule_book().about(Subject(subject))
    return [rule for rule in about if question.threat in rule.threats and rule.family not in _NOT_HERE]


def _look(question: Question, target: Target) -> _Seen:
    """The rules on the target's own image, device and profile."""
    from tinymlsec.scan.image_facts import seen_in
    from tinymlsec.scan.product import product_findings

    file = _image_of(target)
    wanted = file is not None and bool(_rules(question, "image"))
    findings, failures = _of_image(question, file) if file is not None and wanted else ((), ())
    sights = seen_in(file, findings) if file is not None else {}
    if question.model and target.data:
        wanted = True
        more, faults = _of_model(question, target.data)
        findings, failures = findings + more, failures + faults
    scan = product_findings(target.device, target.deployment, sights, only=_rules(question, "product"))
    told = [name for name, value in scan.asked.items() if value != "unknown" and not name.startswith(_OF_PART)]
    if not told and not wanted and not scan.findings:
        raise CapabilityMissing(
            f"nothing is known that rules about {question.threat} could judge",
            found="no facts of device or product" + (", no firmware image" if _rules(question, "image") else ""),
            next_step=_advice(question, scan),
        )  # fmt: skip
    return _Seen(scan, findings, (*failures, *scan.failures))


def _advice(question: Question, scan: ProductScan) -> str:
    asked = ", ".join(name for name in scan.asked if not name.startswith("bypass."))
    image = "; or the image: --firmware FILE" if _rules(question, "image") else ""
    return f"give the profile (--deployment) with: {asked}{image}"


def _image_of(target: Target) -> ImageFile | None:
    from tinymlsec.rules.subjects import ImageFile

    given = target.image
    if given is None:
        return None
    return ImageFile(given.name, given.data, given.image, target.device, (target.data,) if target.data else ())


def _of_image(question: Question, file: ImageFile) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    findings: list[Finding] = []
    failures: list[str] = []
    for rule in _rules(question, "image"):
        try:
            findings += rule.findings(file)[:MOST_FINDINGS]
        except Exception as error:  # a plug-in's rule, or a fault of ours, must not silence the other rules
            failures.append(f"rule {rule.id} failed: {type(error).__name__}: {str(error)[:200]}")
    return tuple(findings), tuple(failures)


def _of_model(question: Question, data: bytes) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What model rules say about this threat, relative to the runtime that is assumed where none is named."""
    from tinymlsec.rules.discovery import rule_book
    from tinymlsec.rules.runtime import load_runtime
    from tinymlsec.scan.models import open_model, scan_model

    book = rule_book().rules
    scan = scan_model(open_model(data, runtime=load_runtime()))
    found = tuple(f for f in scan.findings if f.id in book and question.threat in book[f.id].threats)
    return found[:MOST_FINDINGS], scan.failures


def _control(question: Question, target: Target, *, weak: bool) -> Control:
    """The same rules on a twin; the image part where the target's own image is judged, too."""
    from tinymlsec.attacks.rules._known import image_file, model_file, product_facts
    from tinymlsec.scan.product import run_product_rules

    asked = [_Seen(run_product_rules(product_facts(weak=weak), None, None, {}, _rules(question, "product")), ())]
    if target.image is not None and _rules(question, "image"):
        asked.append(_Seen(None, *_of_image(question, image_file(weak=weak))))
    if question.model and target.data:
        asked.append(_Seen(None, *_of_model(question, model_file(weak=weak))))
    found = [sorted({f.id for f in one.decisive}) for one in asked if one.product is None or one.product.asked]
    succeeded = all(found) if weak else not any(found)
    words = "; ".join(", ".join(ids) or "no finding" for ids in found)
    beside = " and model" if question.model and target.data else " and image" if len(asked) > 1 else ""
    kind = f"product{beside} with {'every weakness' if weak else 'none'}"
    return Control(kind="positive" if weak else "negative", twin=kind, succeeded=succeeded, detail=words)


def _verdict(question: Question, target: Target, seen: _Seen, positive: Control, negative: Control) -> Verdict:
    if not negative.succeeded:
        return _open(f"the twin without weakness gave findings: {negative.detail}")
    if seen.decisive:
        ids = ", ".join(dict.fromkeys(f.id for f in seen.decisive))
        return Verdict(kind=VerdictKind.VULNERABLE, reason=f"{ids}: {seen.decisive[0].message}"[:MOST_WORDS])
    if not positive.succeeded:
        return _open(f"the twin with every weakness was not found: {positive.detail}")
    if seen.failures:
        return _open("; ".join(seen.failures))
    missing = seen.product.missing if seen.product else ()
    if question.model and not target.data:
        missing = (*missing, "the model file")
    if question.image and target.image is None:
        missing = (*missing, "the firmware image (--firmware)")
    if missing:
        return _open(f"no rule objects, but unknown: {', '.join(missing)}")
    return Verdict(kind=VerdictKind.RESISTANT, reason="every fact is known, and no rule objects at medium or above")


def _open(reason: str) -> Verdict:
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason[:MOST_WORDS])


def _basis(seen: _Seen) -> Basis:
    """Declared, unless what decides was read in an image."""
    deciding = seen.decisive or seen.findings
    return Basis.STATIC if any(f in seen.read for f in deciding) else Basis.DECLARED


def _summary(question: Question, seen: _Seen) -> str:
    if not seen.findings:
        return f"No rule about {question.threat} objects to what is known."
    first = seen.decisive[0] if seen.decisive else seen.findings[0]
    number = "1 finding" if len(seen.findings) == 1 else f"{len(seen.findings)} findings"
    return f"{number}, {len(seen.decisive)} at medium or above; first: {first.title}."


def _limits(question: Question, target: Target, seen: _Seen) -> tuple[str, ...]:
    limits = ["Nothing was run: a declared fact is as true as the profile that declares it."]
    if question.not_seen:
        limits.append(question.not_seen)
    if target.image is None and _rules(question, "image"):
        limits.append("No firmware image was given, so what one would show was not looked at (--firmware).")
    return (*limits, *seen.failures)


def _facts(seen: _Seen) -> dict[str, Any]:
    return seen.product.facts() if seen.product else {}
