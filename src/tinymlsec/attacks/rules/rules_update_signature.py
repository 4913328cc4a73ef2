"""Updates: whether strangers can supply one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S4",
    image=False,
    not_seen=(
        "How a signature is checked is not looked at: a check in the wrong order or of a part only would not be seen."
    ),
)


@attack(
    id="rules-update-signature",
    title="Updates: whether strangers can supply one",
    family="rules",
    threats=("S4",),
    needs=(),
    position=Position.NETWORK,
    controls=CONTROLS,
    source="RFC 9019, A Firmware Update Architecture for Internet of Things, 2021; RFC 9124, 2022; CWE-494, CWE-347",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_update_signature(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Updates: whether strangers can supply one.

    ## What it does

    Whether firmware and model updates are checked by a signature, and whether an image holds a key whose private
    half is public.

    ## Why it works on a microcontroller

    Updates reach microcontrollers over radio or a phone, and a checksum is often all that is checked. A model that
    is replaced apart from the firmware is not covered by the firmware's signature.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave
    counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack
    is skipped with what to give.

    Rules: UPD-01, UPD-02, SECRET-02. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. How a signature is checked is not looked at: a check in the wrong order or of a part only would
    not be seen.

    Source: RFC 9019, "A Firmware Update Architecture for Internet of Things", 2021; RFC 9124, 2022; CWE-494,
    CWE-347.
    """
    return run_rules(QUESTION, target)
