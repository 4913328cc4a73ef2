"""Uniform noise: the attack that needs no skill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import wilson
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Effort, Metric, Verdict, VerdictKind
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class UniformNoise(AttackConfig):
    """Settings of the noise."""

    samples: int = 100
    """Inputs that noise is added to."""
    eps_steps: int = 8
    """Largest change of one input value, in input steps."""


@attack(
    id="uniform-noise",
    title="Uniform random noise",
    family="evasion",
    threats=("M2",),
    needs={Capability.MODEL, Capability.LABELS, Capability.DATA},
    position=Position.PROXIMITY,
    controls=("no-noise",),
    source="tinymlsec developers, example plug-in, 2026",
    config=UniformNoise,
    presets={
        EffortLevel.QUICK: {"samples": 20},
        EffortLevel.STANDARD: {"samples": 100},
        EffortLevel.THOROUGH: {"samples": 1000},
    },
    tasks={"classification", "detection_threshold"},
)
def uniform_noise(target: Target, config: UniformNoise, context: Context) -> Observation:
    """Adds uniform noise to inputs and counts changed decisions.

    Every input value is moved by up to `eps_steps` input steps. A microcontroller model that changes its mind under
    noise that its own sensor could make is fragile; one that does not has shown little, so the verdict is never
    *resistant*.

    Limits: noise is the weakest evasion attack.
    """
    victim, clean = target.require_victim(), target.clean
    assert target.dataset is not None
    x = target.dataset.x[: min(config.samples, clean.n)]
    reach = config.eps_steps * victim.space.step
    noisy = victim.space.clip(x + context.rng.uniform(-reach, reach, x.shape))
    decisions = victim.decisions(victim.scores(noisy))
    changed = int(np.sum(decisions != clean.truth[: len(x)]))
    low, high = wilson(changed, len(x))
    return Observation(
        verdict=Verdict(kind=VerdictKind.INCONCLUSIVE, reason="noise alone proves nothing"),
        basis=Basis.EXECUTED,
        summary=f"{changed} of {len(x)} noisy inputs were answered wrongly.",
        metrics=(Metric.of("attack_success_rate", changed / len(x), low=low, high=high, n=len(x)),),
        effort=Effort(queries=len(x)),
        limits=("noise is the weakest evasion attack",),
    )
