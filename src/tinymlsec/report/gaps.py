"""What was skipped and why: attacks, threats, capabilities and plug-ins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.capabilities import HOW_TO_SUPPLY, Capability
from tinymlsec.records import VerdictKind
from tinymlsec.report.words import VERDICTS

if TYPE_CHECKING:
    from tinymlsec.report.evidence_view import Limits
    from tinymlsec.report.records import Report
    from tinymlsec.report.threat_view import ThreatView
    from tinymlsec.run_record import RunRecord

Row = tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """One kind of gap, as a table."""

    title: str
    caption: str
    columns: Row
    rows: tuple[Row, ...]


def not_reached(run: RunRecord, done: Sequence[str]) -> list[str]:
    """Planned attacks without evidence; they have not run yet."""
    seen = set(done)
    return [attack for attack in run.planned if attack not in seen]


def _attacks(report: Report) -> Iterator[Row]:
    for kind in (VerdictKind.ERROR, VerdictKind.SKIPPED, VerdictKind.INCONCLUSIVE):
        for item in report.evidence:
            if item.verdict.kind is kind:
                yield item.attack, VERDICTS[kind].word, item.verdict.reason, ", ".join(item.threats)
    for attack in not_reached(report.run, [e.attack for e in report.evidence]):
        yield attack, "Not reached", "The run ended before this attack; resume the run.", ""


def _missing(run: RunRecord) -> Iterator[Capability]:
    absent = {
        Capability.MODEL: run.model is None,
        Capability.SCORES: run.model is None or not run.model.runs,
        Capability.DATA: run.data is None,
        Capability.DEVICE: run.device_id is None,
        Capability.DEPLOYMENT: run.deployment is None,
    }
    return (capability for capability, missing in absent.items() if missing and capability not in run.obstacles)


def _capabilities(run: RunRecord) -> Iterator[Row]:
    for name, reason in run.obstacles.items():
        yield name, reason, HOW_TO_SUPPLY.get(Capability(name), "") if name in list(Capability) else ""
    for capability in _missing(run):
        yield capability.value, "It was not given.", HOW_TO_SUPPLY[capability]


def _threats(threats: Sequence[ThreatView], outcome: str) -> tuple[Row, ...]:
    return tuple((f"{t.id} {t.title}", t.reason) for t in threats if t.outcome == outcome)


def gaps_of(report: Report, threats: Sequence[ThreatView], limits: Limits) -> tuple[Gap, ...]:
    """Everything that this report does not answer.

    Args:
        report: the record.
        threats: its threats as they are shown.
        limits: how much of everything to show.
    """
    problems = tuple((text,) for text in report.run.plugin_problems[: limits.rows])
    return (
        Gap("Attacks without an answer", "Skipped, failed, not reached, or run without deciding the question",
            ("Attack", "What happened", "Why", "Threats"), tuple(_attacks(report))),
        Gap("Missing capabilities", "What attacks would need, and how to supply it",
            ("Capability", "Why it is missing", "How to supply it"), tuple(_capabilities(report.run))),
        Gap("Threats untested", "Untested is not a pass",
            ("Threat", "Why"), _threats(threats, "untested")),
        Gap("Threats that do not apply", "No vector for this device or product",
            ("Threat", "Why"), _threats(threats, "not_applicable")),
        Gap("Plug-ins that could not be loaded", "Their attacks did not run", ("Problem",), problems),
    )  # fmt: skip
