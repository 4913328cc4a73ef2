"""Keys: one unit, and then the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S12",
    image=True,
    not_seen=(
        "A key without a form of its own (16 random bytes in a table) is not found. Encrypted or scrambled "
        "secrets are not either."
    ),
)


@attack(
    id="rules-keys",
    title="Keys: one unit, and then the fleet",
    family="rules",
    threats=("S12",),
    needs=(),
    position=Position.PHYSICAL,
    controls=CONTROLS,
    source="Costin et al., A Large-Scale Analysis of the Security of Embedded Firmwares, USENIX Security 2014; "
    "CWE-798, CWE-321, CWE-338",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_keys(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Keys: one unit, and then the fleet.

    ## What it does

    Whether units share keys, ship default credentials or keep secrets in readable flash, where random numbers come
    from, and what secrets the image holds.

    ## Why it works on a microcontroller

    Keys are constants in flash where nobody planned for another place. Boot loaders come with sample keys, and many
    parts have no hardware source of randomness.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, the image itself, no such finding, and both controls. A fact
    that nobody gave counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is
    known, the attack is skipped with what to give.

    Rules: KEY-01 to KEY-05, SECRET-01 to SECRET-07. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. A key without a form of its own (16 random bytes in a table) is not found. Encrypted or
    scrambled secrets are not either.

    Source: Costin et al., "A Large-Scale Analysis of the Security of Embedded Firmwares", USENIX Security 2014;
    CWE-798, CWE-321, CWE-338.
    """
    return run_rules(QUESTION, target)
