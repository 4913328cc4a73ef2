"""Rollback: whether old versions are taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S5",
    image=False,
    not_seen=("The counter itself was not tried. Whether a vulnerable older version exists is not known."),
)


@attack(
    id="rules-rollback",
    title="Rollback: whether old versions are taken back",
    family="rules",
    threats=("S5",),
    needs=(),
    position=Position.NETWORK,
    controls=CONTROLS,
    source="RFC 9019, 2021, and RFC 9124, 2022, threat of expired images; CWE-1328",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_rollback(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Rollback: whether old versions are taken back.

    ## What it does

    Whether older, correctly signed versions of firmware and model are refused.

    ## Why it works on a microcontroller

    A microcontroller keeps no history: without a counter in fuses or a secure element, an old image with a valid
    signature is as good as a new one, and its holes come back with it.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: UPD-02, UPD-03. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. The counter itself was not tried. Whether a vulnerable older version exists is not known.

    Source: RFC 9019, 2021, and RFC 9124, 2022, threat of expired images; CWE-1328.
    """
    return run_rules(QUESTION, target)
