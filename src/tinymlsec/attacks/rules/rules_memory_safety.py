"""Memory errors: what would stop one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S1",
    image=True,
    not_seen=(
        "Rules do not find memory errors; they say what one would meet. Functions without a bound may be "
        "called with input that cannot be long."
    ),
)


@attack(
    id="rules-memory-safety",
    title="Memory errors: what would stop one",
    family="rules",
    threats=("S1",),
    needs=(),
    position=Position.ADJACENT,
    controls=CONTROLS,
    source="Zhou et al., Silhouette: Efficient Protected Shadow Stacks for Embedded Systems, USENIX Security "
    "2020, arXiv 1910.12157; CWE-787, CWE-121, CWE-676",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_memory_safety(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Memory errors: what would stop one.

    ## What it does

    What stands between a memory error in a parser or driver and the rest of the firmware: stack canaries, stack
    placement, functions without bounds.

    ## Why it works on a microcontroller

    Firmware is C and C++ in one address space, without address randomization or guard pages. Stack, arena and
    drivers lie side by side, so an error anywhere reaches everything unless something was built in against it.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, the image itself, no such finding, and both controls. A fact
    that nobody gave counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is
    known, the attack is skipped with what to give.

    Rules: ISO-03, ISO-07, MEM-01, MEM-03, MEM-06. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. Rules do not find memory errors; they say what one would meet. Functions without a bound may be
    called with input that cannot be long.

    Source: Zhou et al., "Silhouette: Efficient Protected Shadow Stacks for Embedded Systems", USENIX Security 2020,
    arXiv 1910.12157; CWE-787, CWE-121, CWE-676.
    """
    return run_rules(QUESTION, target)
