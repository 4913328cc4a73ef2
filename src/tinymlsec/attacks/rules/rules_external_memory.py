"""External memory: what a clip on the board reads and changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "H10",
    image=False,
    not_seen=(
        "Buses of sensors are not judged: the profile has no fact about them. The bus trace itself is "
        "attacked by `architecture-from-bus-trace`."
    ),
)


@attack(
    id="rules-external-memory",
    title="External memory: what a clip on the board reads and changes",
    family="rules",
    threats=("H10",),
    needs=(),
    position=Position.PHYSICAL,
    controls=CONTROLS,
    source="Abdellatif, Heriveaux, Thillard, Unlimited Results: Breaking Firmware Encryption of ESP32-V3, 2023; "
    "Courk, Breaking the Flash Encryption Feature of Espressif's Parts, 2024; CWE-319, CWE-367",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_external_memory(target: Target, config: RulesConfig, context: Context) -> Observation:
    """External memory: what a clip on the board reads and changes.

    ## What it does

    Whether weights or activations cross the board in the clear, and whether what comes back from a memory beside
    the chip is believed after one check.

    ## Why it works on a microcontroller

    Many microcontrollers fetch code and weights from a serial flash on four wires. A clip and a logic analyzer read
    them while they run; an interposer swaps them after the check at start.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: PHYS-05, PHYS-06. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. Buses of sensors are not judged: the profile has no fact about them. The bus trace itself is
    attacked by `architecture-from-bus-trace`.

    Source: Abdellatif, Heriveaux, Thillard, "Unlimited Results: Breaking Firmware Encryption of ESP32-V3", 2023;
    Courk, "Breaking the Flash Encryption Feature of Espressif's Parts", 2024; CWE-319, CWE-367.
    """
    return run_rules(QUESTION, target)
