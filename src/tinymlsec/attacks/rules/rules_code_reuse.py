"""Injected and reused code: what would stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S2",
    image=True,
    not_seen=("No chain of gadgets was built. What a boot loader in another image sets up is not seen in this one."),
)


@attack(
    id="rules-code-reuse",
    title="Injected and reused code: what would stop it",
    family="rules",
    threats=("S2",),
    needs=(),
    position=Position.ADJACENT,
    controls=CONTROLS,
    source="Francillon and Castelluccia, Code Injection Attacks on Harvard-Architecture Devices, CCS 2008; Ma et "
    "al., Return-to-Non-Secure Vulnerabilities on ARM Cortex-M TrustZone, USENIX Security 2023; CWE-94",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_code_reuse(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Injected and reused code: what would stop it.

    ## What it does

    Whether data can run as code and whether control data can be overwritten: executable RAM, vector table,
    canaries, memory protection unit.

    ## Why it works on a microcontroller

    On Armv7-M all RAM is executable until the memory protection unit says otherwise, and function pointers of an
    interpreter lie there. Addresses are the same in every unit.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, the image itself, no such finding, and both controls. A fact
    that nobody gave counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is
    known, the attack is skipped with what to give.

    Rules: ISO-03, ISO-04, ISO-07, MEM-01, MEM-02, MEM-04, MEM-07. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. No chain of gadgets was built. What a boot loader in another image sets up is not seen in this
    one.

    Source: Francillon and Castelluccia, "Code Injection Attacks on Harvard-Architecture Devices", CCS 2008; Ma et
    al., "Return-to-Non-Secure Vulnerabilities on ARM Cortex-M TrustZone", USENIX Security 2023; CWE-94.
    """
    return run_rules(QUESTION, target)
