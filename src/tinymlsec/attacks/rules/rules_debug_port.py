"""Debug port and readout: what a probe gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "H9",
    image=False,
    not_seen=(
        "No port was touched. A part without a published way around its protection is not proven to have "
        "none. Settings that production programs apart from the image are not in it."
    ),
)


@attack(
    id="rules-debug-port",
    title="Debug port and readout: what a probe gets",
    family="rules",
    threats=("H9",),
    needs=(),
    position=Position.PHYSICAL,
    controls=CONTROLS,
    source="Obermaier and Tatschner, Shedding too much Light on a Microcontroller's Firmware Protection, WOOT "
    "2017; Obermaier, Schink, Moczek, One Exploit to Rule them All?, WOOT 2020; CWE-1191, CWE-1244",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_debug_port(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Debug port and readout: what a probe gets.

    ## What it does

    What anybody with a probe gets out of a unit: it looks at the debug port, the readout protection, the loader and
    the console as the profile declares them, at published ways around the part, and at settings and leftovers in
    the image.

    ## Why it works on a microcontroller

    Model, keys and firmware of a microcontroller lie in one flash. SWD, JTAG or a serial loader reads it within a
    minute where nothing locks them, with a probe for some ten dollars; some locks can be lowered, and several parts
    have published ways around them.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave
    counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack
    is skipped with what to give.

    Rules: PHYS-01 to PHYS-04, PHYS-09, BOOT-05, DUMP-01, DUMP-02, MEM-08, BUILD-02, BUILD-04, BUILD-05. Each is
    explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. No port was touched. A part without a published way around its protection is not proven to have
    none. Settings that production programs apart from the image are not in it.

    Source: Obermaier and Tatschner, "Shedding too much Light on a Microcontroller's Firmware Protection", WOOT
    2017; Obermaier, Schink, Moczek, "One Exploit to Rule them All?", WOOT 2020; CWE-1191, CWE-1244.
    """
    return run_rules(QUESTION, target)
