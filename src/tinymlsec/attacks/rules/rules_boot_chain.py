"""Boot chain: what is checked before firmware runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S6",
    image=False,
    not_seen=(
        "Errors in a ROM or boot loader are found by their publication only (device files). No glitch was tried."
    ),
)


@attack(
    id="rules-boot-chain",
    title="Boot chain: what is checked before firmware runs",
    family="rules",
    threats=("S6",),
    needs=(),
    position=Position.PHYSICAL,
    controls=CONTROLS,
    source="NIST SP 800-193, Platform Firmware Resiliency Guidelines, 2018; Oxide Computer Company on the "
    "LPC55S69, CVE-2021-31532 and CVE-2022-22819; CWE-1326, CWE-1274",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_boot_chain(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Boot chain: what is checked before firmware runs.

    ## What it does

    Whether firmware is verified at start, by code that cannot be replaced, in whole, and with checks that withstand
    glitches.

    ## Why it works on a microcontroller

    What lies in flash runs. Vector table and option bytes often lie outside of what is signed, loaders take code
    over a serial port, and one skipped branch passes a check.

    ## Method

    Rules are run on what was given: the firmware image, the device file and the deployment profile. A finding of
    medium severity or above makes the verdict *vulnerable*; its basis is *static* where the finding was read in the
    image, and *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated.
    *Resistant* needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave
    counts neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack
    is skipped with what to give.

    Rules: BOOT-01 to BOOT-06, SECRET-02. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst, and where an image was given one with open settings and
    left-over secrets; the rules must find it. Negative: a product whose every fact is at its best, and an image
    with none of it; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. Errors in a ROM or boot loader are found by their publication only (device files). No glitch was
    tried.

    Source: NIST SP 800-193, "Platform Firmware Resiliency Guidelines", 2018; Oxide Computer Company on the
    LPC55S69, CVE-2021-31532 and CVE-2022-22819; CWE-1326, CWE-1274.
    """
    return run_rules(QUESTION, target)
