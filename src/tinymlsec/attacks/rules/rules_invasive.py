"""Opened chip: what one destroyed unit is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "H12",
    image=False,
    not_seen=("No laboratory was asked. Whether a given part was opened before is not in device files."),
)


@attack(
    id="rules-invasive",
    title="Opened chip: what one destroyed unit is worth",
    family="rules",
    threats=("H12",),
    needs=(),
    position=Position.LAB,
    controls=CONTROLS,
    source="Skorobogatov, Semi-invasive attacks, University of Cambridge, UCAM-CL-TR-630, 2005; CWE-1278",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_invasive(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Opened chip: what one destroyed unit is worth.

    ## What it does

    Whether attackers can take units to a laboratory, and whether what they find in one opens the others.

    ## Why it works on a microcontroller

    General microcontrollers have no shield against opening: flash and fuses can be imaged or probed with enough
    money. What is the same in all units then falls for all of them at once.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: PHYS-07, PHYS-08. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. No laboratory was asked. Whether a given part was opened before is not in device files.

    Source: Skorobogatov, "Semi-invasive attacks", University of Cambridge, UCAM-CL-TR-630, 2005; CWE-1278.
    """
    return run_rules(QUESTION, target)
