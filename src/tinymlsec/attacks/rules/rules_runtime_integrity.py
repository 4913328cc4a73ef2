"""Implants: whether one would be noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S7",
    image=False,
    not_seen=(
        "No implant was planted; `implant-detection` is to try that. Attestation by a server is not in the profile."
    ),
)


@attack(
    id="rules-runtime-integrity",
    title="Implants: whether one would be noticed",
    family="rules",
    threats=("S7",),
    needs=(),
    position=Position.NETWORK,
    controls=CONTROLS,
    source="Antonakakis et al., Understanding the Mirai Botnet, USENIX Security 2017; Kohli and Sikdar, LiteAtt, "
    "arXiv 2603.19727; CWE-506",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_runtime_integrity(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Implants: whether one would be noticed.

    ## What it does

    Whether anything measures firmware and model after delivery, and whether default credentials let malware in.

    ## Why it works on a microcontroller

    Nothing like endpoint protection runs on a microcontroller. What an intruder writes to flash stays, works for
    somebody else, and is not noticed.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: BOOT-01, BOOT-07, KEY-02. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. No implant was planted; `implant-detection` is to try that. Attestation by a server is not in
    the profile.

    Source: Antonakakis et al., "Understanding the Mirai Botnet", USENIX Security 2017; Kohli and Sikdar, "LiteAtt",
    arXiv 2603.19727; CWE-506.
    """
    return run_rules(QUESTION, target)
