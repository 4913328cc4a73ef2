"""Evidence made to measure for the tests of scoring."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from tinymlsec.evidence import Evidence
from tinymlsec.records import Basis, Control, Effort, Verdict, VerdictKind


def build_evidence(
    attack: str,
    threat: str,
    verdict: VerdictKind = VerdictKind.VULNERABLE,
    basis: Basis = Basis.EXECUTED,
    effort: Effort | None = None,
) -> Evidence:
    reason = "" if verdict in (VerdictKind.VULNERABLE, VerdictKind.RESISTANT) else "the test says so"
    return Evidence(
        verdict=Verdict(kind=verdict, reason=reason),
        basis=basis,
        summary="made for a test",
        positive_control=Control(kind="positive", twin="weak", succeeded=True),
        effort=effort or Effort(),
        key=sha256(f"{attack}{threat}{verdict}{basis}".encode()).hexdigest(),
        attack=attack,
        threats=(threat,),
        target_digest="0" * 64,
        seed=0,
        tool_version="0",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=1.0,
        reproduce="tinymlsec assess",
    )
