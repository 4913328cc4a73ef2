"""Parts: whether a false chip would be noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "H13",
    image=False,
    not_seen=("No part was looked at. A part that passes every software check can still be false."),
)


@attack(
    id="rules-supply-parts",
    title="Parts: whether a false chip would be noticed",
    family="rules",
    threats=("H13",),
    needs=(),
    position=Position.SUPPLY_CHAIN,
    controls=CONTROLS,
    source="Obermaier, Schink, Moczek, One Exploit to Rule them All? On the Security of Drop-in Replacement and "
    "Counterfeit Microcontrollers, WOOT 2020; CWE-1357",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_supply_parts(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Parts: whether a false chip would be noticed.

    ## What it does

    Whether chips come from authorized sources and are authenticated at assembly, as the profile declares.

    ## Why it works on a microcontroller

    Clones of common microcontrollers are sold as the original. They run the same firmware and may guard it worse; a
    changed part behaves well until it is told otherwise.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: SUPPLY-01. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. No part was looked at. A part that passes every software check can still be false.

    Source: Obermaier, Schink, Moczek, "One Exploit to Rule them All? On the Security of Drop-in Replacement and
    Counterfeit Microcontrollers", WOOT 2020; CWE-1357.
    """
    return run_rules(QUESTION, target)
