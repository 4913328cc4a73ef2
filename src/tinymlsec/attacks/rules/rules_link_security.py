"""Link: who reads and forges what the device says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S10",
    image=False,
    not_seen=(
        "No traffic was recorded. How strong the chosen protocol is, and whether pairing is sound, is not judged."
    ),
)


@attack(
    id="rules-link-security",
    title="Link: who reads and forges what the device says",
    family="rules",
    threats=("S10",),
    needs=(),
    position=Position.ADJACENT,
    controls=CONTROLS,
    source="Antonioli, BLUFFS: Bluetooth Forward and Future Secrecy Attacks and Defenses, CCS 2023, "
    "CVE-2023-24023; RFC 8613, 2019; CWE-319, CWE-294, CWE-306",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_link_security(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Link: who reads and forges what the device says.

    ## What it does

    Whether traffic is encrypted, peers prove who they are, and old messages are told from new ones.

    ## Why it works on a microcontroller

    A result is a byte or two on a radio link. Without protection anybody nearby reads it, replays it, or sends
    another in the device's name.

    ## Method

    Rules are run on what was given: the device file and the deployment profile. A finding of medium severity or
    above makes the verdict *vulnerable*; its basis is *static* where the finding was read in an image, and
    *declared* where only facts say so, so that the threat is then *indicated*, never demonstrated. *Resistant*
    needs every fact that a rule asks for, no such finding, and both controls. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Where nothing at all is known, the attack is
    skipped with what to give.

    Rules: LINK-01 to LINK-03. Each is explained by `tinymlsec explain RULE`.

    ## Controls

    Positive: a product whose every fact is at its worst; the rules must find it. Negative: a product whose every
    fact is at its best; nothing of medium severity or above may be found.

    ## Limits

    Nothing is run. No traffic was recorded. How strong the chosen protocol is, and whether pairing is sound, is not
    judged.

    Source: Antonioli, "BLUFFS: Bluetooth Forward and Future Secrecy Attacks and Defenses", CCS 2023,
    CVE-2023-24023; RFC 8613, 2019; CWE-319, CWE-294, CWE-306.
    """
    return run_rules(QUESTION, target)
