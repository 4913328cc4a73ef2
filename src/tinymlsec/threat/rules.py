"""The one table of allowed changes: every rule that may set a modified base metric, and the requirement rules."""

from __future__ import annotations

from tinymlsec.threat.requirements import REQUIREMENT_ROWS
from tinymlsec.threat.rule import Rule, rule
from tinymlsec.threat.rules_access import RULES as ACCESS_RULES
from tinymlsec.threat.rules_device import RULES as DEVICE_RULES
from tinymlsec.threat.rules_model import RULES as MODEL_RULES

SAFETY_RULES: tuple[Rule, ...] = (
    rule("SAF-01", "H6 H8 H9 H10 H13 H14 S1 S2 S3 S4 S5 S6 S7 S10 S11 S13 S14 M1 M2 M3 M9 M10 M11 M12",
         {"product.safety_critical": "yes"}, "", "MSI:S", "A wrong decision can hurt somebody.", direction="raise"),
    rule("SAF-02", "H6 H8 H9 H13 H14 S1 S2 S3 S4 S5 S6 S7 S8 S9 S11 S13 S14 M9 M10 M12",
         {"product.safety_critical": "yes"}, "", "MSA:S", "A missing decision can hurt somebody.", direction="raise"),
)  # fmt: skip
"""Safety of people, which only CVSS 4.0 can say; in 3.1 the requirement metrics stand for it."""

ALL_RULES: tuple[Rule, ...] = (*ACCESS_RULES, *DEVICE_RULES, *MODEL_RULES, *SAFETY_RULES)
"""Every rule, in the order in which reports print them."""

EVIDENCE_ROWS: tuple[tuple[str, ...], ...] = (
    ("EVI-A", "all", "outcome = demonstrated", "none", "E:A", "The attack was carried out against this target."),
    ("EVI-P", "all", "outcome = untested, some required attack resistant", "none", "E:P",
     "Some required attacks failed here, others are open."),
    ("EVI-U", "all", "outcome = resisted", "none", "E:U",
     "Every required attack was tried against this target and failed."),
)  # fmt: skip
"""What evidence may set; `tinymlsec.threat.scoring.exploit_maturity` decides."""

_HEADER = "| Rule | Threats | Facts | CVSS 3.1 | CVSS 4.0 | Reason |\n|---|---|---|---|---|---|\n"


def rules_for(threat_id: str) -> tuple[Rule, ...]:
    """The rules that apply to one threat."""
    return tuple(one for one in ALL_RULES if threat_id in one.threats)


def rules_table_markdown() -> str:
    """All rules as a Markdown table; `docs/scoring.md` holds it and a test keeps the two equal."""
    rows = [_row(one) for one in ALL_RULES] + [_line(cells) for cells in (*REQUIREMENT_ROWS, *EVIDENCE_ROWS)]
    return _HEADER + "\n".join(rows) + "\n"


def _row(one: Rule) -> str:
    facts = "; ".join(f"`{name}` = {' or '.join(values)}" for name, values in one.when)
    if one.base_av:
        facts += f" (base AV {' or '.join(one.base_av)})"
    v31, v40 = (_metrics(one.metrics(version), one.direction) for version in ("3.1", "4.0"))
    return _line((one.id, ", ".join(one.threats), facts, v31, v40, one.reason))


def _metrics(changes: tuple[tuple[str, str], ...], direction: str) -> str:
    if not changes:
        return "none"
    sign = "down to" if direction == "lower" else "up to"
    return f"{sign} " + ", ".join(f"{metric}:{value}" for metric, value in changes)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
