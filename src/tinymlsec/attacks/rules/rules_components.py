"""Components: whose code is in it, and how old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S14",
    image=True,
    not_seen=(
        "Versions are read from texts that components leave in an image; many leave none. The table of flaws "
        "holds only rows whose versions an advisory states, and is not a vulnerability database."
    ),
)


@attack(
    id="rules-components",
    title="Components: whose code is in it, and how old",
    family="rules",
    threats=("S14",),
    needs=(),
    position=Position.SUPPLY_CHAIN,
    controls=CONTROLS,
    source="NIST SP 800-218, Secure Software Development Framework, 2022; CWE-1395, CWE-1357",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_components(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Components: whose code is in it, and how old.

    ## What it does

    Which software an image holds, which of its versions have known flaws, and whether dependencies are pinned and
    advisories followed.

    ## Why it works on a microcontroller

    Runtime, kernels, RTOS and TLS library are copied into a project once and ship for years. A device without
    updates keeps their holes for good.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, the image itself, no such finding, and both controls. A fact
    that nobody gave counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is
    known, the attack is skipped with what to give.

    Rules: SUPPLY-02 to SUPPLY-04, BUILD-01. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. Versions are read from texts that components leave in an image; many leave none. The table of
    flaws holds only rows whose versions an advisory states, and is not a vulnerability database.

    Source: NIST SP 800-218, "Secure Software Development Framework", 2022; CWE-1395, CWE-1357.
    """
    return run_rules(QUESTION, target)
