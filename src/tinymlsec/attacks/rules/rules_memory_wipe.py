"""Remnants: what the profile says of wiping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "H11",
    image=False,
    not_seen=(
        "What stays in memory is measured by `ram-residue`; here only the profile is read. DRAM and PSRAM "
        "beside the chip fade slowly and are not told apart."
    ),
)


@attack(
    id="rules-memory-wipe",
    title="Remnants: what the profile says of wiping",
    family="rules",
    threats=("H11",),
    needs=(),
    position=Position.PHYSICAL,
    controls=CONTROLS,
    source="Won et al., DeepFreeze: Cold Boot Attacks and High Fidelity Model Recovery on Commercial EdgeML "
    "Device, ICCAD 2021, arXiv 2108.01281; CWE-226, CWE-1272",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_memory_wipe(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Remnants: what the profile says of wiping.

    ## What it does

    Whether activations, inputs and decrypted weights are wiped after use and at reset, as the profile declares, and
    whether a way to read RAM is open.

    ## Why it works on a microcontroller

    SRAM keeps its content over a reset, and the arena of an interpreter is one array that nobody clears. A reset
    into a loader or debugger then reads the last input and what was computed of it.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: RAM-01. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. What stays in memory is measured by `ram-residue`; here only the profile is read. DRAM and PSRAM
    beside the chip fade slowly and are not told apart.

    Source: Won et al., "DeepFreeze: Cold Boot Attacks and High Fidelity Model Recovery on Commercial EdgeML
    Device", ICCAD 2021, arXiv 2108.01281; CWE-226, CWE-1272.
    """
    return run_rules(QUESTION, target)
