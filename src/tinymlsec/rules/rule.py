"""What a rule is: a check of one subject, with a stable id, that yields the places where it does not hold.

A family file holds generator functions under the decorator `rule`. Its docstring is the rule's documentation page. The
check is the only code; severity, weakness, threats and what to do about it are data that a listing shows without
running anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from tinymlsec.errors import PluginError
from tinymlsec.records import Confidence, Finding, Location, Severity

if TYPE_CHECKING:
    from tinymlsec.rules.subjects import ImageFile, ModelFile, ProductFacts

_ID = re.compile(r"^[A-Z]{2,10}-[0-9]{2}$")
_THREAT = re.compile(r"^[HSM][0-9]{1,2}$")
_CWE = re.compile(r"^CWE-[0-9]{1,5}$")


class Subject(StrEnum):
    """What a rule looks at."""

    MODEL = "model"
    """A .tflite file (`subjects.ModelFile`)."""
    IMAGE = "image"
    """A firmware image: ELF, Intel HEX, UF2 or raw (`subjects.ImageFile`)."""
    PRODUCT = "product"
    """Facts of device and deployment (`subjects.ProductFacts`)."""


@dataclass(frozen=True)
class Hit:
    """One place where a rule does not hold. What is None is as the rule says."""

    message: str
    """What was found there and what was expected, with the values; one or two sentences."""
    location: Location = field(default_factory=Location)
    severity: Severity | None = None
    confidence: Confidence | None = None
    cve: tuple[str, ...] | None = None
    fix: str | None = None


SubjectT = TypeVar("SubjectT", "ModelFile", "ImageFile", "ProductFacts")


@dataclass(frozen=True)
class Rule(Generic[SubjectT]):
    """A declared rule."""

    id: str
    title: str
    subject: Subject
    severity: Severity
    confidence: Confidence
    cwe: tuple[str, ...]
    cve: tuple[str, ...]
    """Every CVE that one of its hits can name."""
    threats: tuple[str, ...]
    """Threat classes that a hit speaks to."""
    fix: str
    source: str
    """Where the rule comes from: author, title, year, or the advisory."""
    check: Callable[[SubjectT], Iterable[Hit]]
    doc: str
    """The documentation page (the function's docstring)."""
    module: str
    provider: str = field(default="tinymlsec", compare=False)

    @property
    def family(self) -> str:
        """The part of the id before the number, such as SHAPE."""
        return self.id.partition("-")[0]

    def findings(self, subject: SubjectT) -> list[Finding]:
        """Every place in the subject where the rule does not hold."""
        return [self.finding(hit) for hit in self.check(subject)]

    def finding(self, hit: Hit) -> Finding:
        """A hit as a finding, filled up with what the rule says."""
        return Finding(
            id=self.id,
            title=self.title,
            message=hit.message,
            severity=hit.severity or self.severity,
            confidence=hit.confidence or self.confidence,
            cwe=self.cwe,
            cve=self.cve if hit.cve is None else hit.cve,
            location=hit.location,
            fix=hit.fix or self.fix,
        )


def rule(
    id: str,  # noqa: A002 - the field's name everywhere in records and on the command line
    title: str,
    *,
    subject: Subject,
    severity: Severity,
    confidence: Confidence,
    cwe: str,
    threats: str,
    fix: str,
    source: str,
    cve: str = "",
) -> Callable[[Callable[[SubjectT], Iterable[Hit]]], Rule[SubjectT]]:
    """Declare a generator function as a rule.

    Args:
        id: stable id: family and two digits, such as ``SHAPE-01``. Never used again for something else.
        title: what is wrong, in a few words ("Declared output shape differs from the inferred one").
        subject: what the function takes.
        severity: of a hit, where the hit says nothing else.
        confidence: of a hit, where the hit says nothing else.
        cwe: ids separated by blanks, such as ``CWE-787 CWE-1284``.
        threats: ids of threat classes separated by blanks.
        fix: what to do about it.
        source: where the rule comes from.
        cve: ids separated by blanks.

    Raises:
        PluginError: the declaration breaks the contract.
    """

    def declare(function: Callable[[SubjectT], Iterable[Hit]]) -> Rule[SubjectT]:
        spec: Rule[SubjectT] = Rule(
            id=id, title=title, subject=subject, severity=severity, confidence=confidence, cwe=tuple(cwe.split()),
            cve=tuple(cve.split()), threats=tuple(threats.split()), fix=fix, source=source, check=function,
            doc=(function.__doc__ or "").strip(), module=function.__module__,
        )  # fmt: skip
        _check(spec)
        return spec

    return declare


def _check(spec: Rule[SubjectT]) -> None:
    problems = [
        (not _ID.match(spec.id), f"id {spec.id!r} is not FAMILY-NN"),
        (not spec.title or not spec.fix or not spec.source, "title, fix and source must say something"),
        (not spec.threats or not all(map(_THREAT.match, spec.threats)), f"threats {spec.threats!r}"),
        (not spec.cwe or not all(map(_CWE.match, spec.cwe)), f"weaknesses {spec.cwe!r}"),
        (not spec.doc, "the function has no docstring, which is its documentation page"),
    ]
    wrong = [text for bad, text in problems if bad]
    if wrong:
        raise PluginError(f"the rule {spec.id} declared in {spec.module} breaks the contract", found="; ".join(wrong))
