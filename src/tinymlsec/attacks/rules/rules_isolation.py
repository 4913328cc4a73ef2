"""Isolation: whether there are walls inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S13",
    image=True,
    not_seen=(
        "How regions are drawn is not judged: a unit that is enabled with one region for everything counts as "
        "used. Entry functions of the secure world are not checked."
    ),
)


@attack(
    id="rules-isolation",
    title="Isolation: whether there are walls inside",
    family="rules",
    threats=("S13",),
    needs=(),
    position=Position.LOCAL,
    controls=CONTROLS,
    source="Zhou et al., Good Motive but Bad Design: Pervasive Misuse of MPU, arXiv 1908.03638; Ma et al., "
    "USENIX Security 2023; CWE-653, CWE-1189",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_isolation(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Isolation: whether there are walls inside.

    ## What it does

    Whether the memory protection unit, privilege levels and TrustZone are set up, and whether DMA passes them.

    ## Why it works on a microcontroller

    All code of a microcontroller is privileged and reaches all memory until somebody sets up the units against it.
    A bug in the radio stack then reaches model and keys as if there were no walls.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, the image itself, no such finding, and both controls. A fact
    that nobody gave counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is
    known, the attack is skipped with what to give.

    Rules: ISO-01, ISO-02, ISO-05 to ISO-07, MEM-04, MEM-05. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. How regions are drawn is not judged: a unit that is enabled with one region for everything
    counts as used. Entry functions of the secure world are not checked.

    Source: Zhou et al., "Good Motive but Bad Design: Pervasive Misuse of MPU", arXiv 1908.03638; Ma et al., USENIX
    Security 2023; CWE-653, CWE-1189.
    """
    return run_rules(QUESTION, target)
