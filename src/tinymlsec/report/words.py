"""The words and signs of the report. Each outcome has a word and a sign, so that nothing hangs on color alone."""

from __future__ import annotations

from dataclasses import dataclass

from tinymlsec.metrics import Direction
from tinymlsec.records import Basis, VerdictKind


@dataclass(frozen=True)
class Word:
    """How one value of an enumeration is shown."""

    key: str
    word: str
    sign: str
    tone: str
    """Class of the style sheet: bad, warn, good, open or off."""
    meaning: str


def _table(*words: Word) -> dict[str, Word]:
    return {word.key: word for word in words}


OUTCOMES = _table(
    Word("demonstrated", "Demonstrated", "✕", "bad", "An attack succeeded: executed, measured or simulated."),
    Word("indicated", "Indicated", "▲", "warn", "Only the file or declared facts point to it; nothing was executed."),
    Word("untested", "Untested", "?", "open", "Not every required attack has run. This is not a pass."),
    Word("resisted", "Resisted", "✓", "good", "Every required attack ran and failed, and its controls worked."),
    Word("not_applicable", "Not applicable", "–", "off", "The threat has no way in here; the reason is given."),
)
"""Threat outcomes, worst first."""

VERDICTS = _table(
    Word(VerdictKind.VULNERABLE, "Vulnerable", "✕", "bad", "The attack succeeded."),
    Word(VerdictKind.RESISTANT, "Resistant", "✓", "good", "The attack failed although it broke a known-weak twin."),
    Word(VerdictKind.INCONCLUSIVE, "Inconclusive", "?", "open", "The attack ran and does not decide the question."),
    Word(VerdictKind.SKIPPED, "Skipped", "»", "open", "The attack did not run."),
    Word(VerdictKind.ERROR, "Error", "!", "warn", "The attack ended in an error and says nothing about the target."),
)

BASES = _table(
    Word(Basis.EXECUTED, "executed", "E", "off", "on the deployed artifact, confirmed by the runtime"),
    Word(Basis.MEASURED, "measured", "M", "off", "from imported hardware traces"),
    Word(Basis.SIMULATED, "simulated", "S", "off", "on emulated firmware, with named leakage or fault models"),
    Word(Basis.STATIC, "static", "F", "off", "read in the file or image"),
    Word(Basis.DECLARED, "declared", "D", "off", "taken from device or deployment facts"),
)

DIRECTIONS = {
    Direction.HIGHER: "higher is safer",
    Direction.LOWER: "lower is safer",
    Direction.NEUTRAL: "neither way",
}

STATUSES = {
    "complete": "",
    "interrupted": "The run was interrupted. What it did not reach counts as untested; resume it to fill the gaps.",
    "running": "The run was still going on when this report was written. What it had not reached counts as untested.",
}


def number_of(count: int, noun: str) -> str:
    """A count with its noun in the right number."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
