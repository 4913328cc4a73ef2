"""Runtime skew: inputs that a PC answers rightly and the device, with the same file, wrongly."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks._asking import largest_share
from tinymlsec.attacks._white_box import WhiteBox, white_box
from tinymlsec.attacks.evasion._controls import noisy_codes
from tinymlsec.attacks.evasion._drawn import Drawn, metric_of
from tinymlsec.attacks.evasion._skew_search import SkewResult, skew_search
from tinymlsec.attacks.evasion._tie_twin import REACH, tie_inputs, tie_twin
from tinymlsec.attacks.evasion._verdict import MIN_ATTACKED, judge
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Artifact,
    Basis,
    Control,
    Effort,
    Expertise,
    Knowledge,
    Metric,
    Verdict,
    VerdictKind,
)
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.analysis.intervals import Share
    from tinymlsec.context import Context
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target
    from tinymlsec.target.victim import Victim

PROFILES = ("xnnpack", "ruy")
"""Runtimes of PCs beside the device's; the first is the one that inputs are searched for."""


class RuntimeSkewConfig(AttackConfig):
    """Counted work and parameters."""

    samples: int = Field(default=100, ge=1, le=100_000)
    """Inputs drawn from the data; those that both runtimes answer correctly are searched from."""
    eps_steps: int = Field(default=8, ge=1, le=65_535)
    """Largest change of one input value, in input steps."""
    noise_limit: float = Field(default=0.25, gt=0, le=1)
    """The size is halved while random noise alone breaks more than this share of the inputs; 1 keeps the size."""
    noise_draws: int = Field(default=10, ge=1, le=10_000)
    """Draws of random noise per input in the negative control."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Gradient steps over the border of the device."""
    rounds: int = Field(default=20, ge=1, le=10_000)
    """Walks along the border per input."""
    control_samples: int = Field(default=20, ge=10, le=10_000)
    """Inputs of the control twin, and of the search with the device on both sides."""


@attack(
    id="runtime-skew",
    title="Runtime skew: right on the PC, wrong on the device",
    family="evasion",
    threats=("M1",),
    needs=(Capability.MODEL, Capability.GRADIENTS, Capability.SCORES, Capability.DATA),
    position=Position.ADJACENT,
    controls=("a model at whose ties runtimes are known to differ", "the device against itself", "random noise"),
    source="our own; rounding of the runtimes as their public kernels define it, measured operator by operator",
    tasks=("classification", "detection_threshold", "anomaly"),
    config=RuntimeSkewConfig,
    presets={
        EffortLevel.QUICK: {"samples": 30, "rounds": 10, "noise_draws": 5},
        EffortLevel.STANDARD: {"samples": 100},
        EffortLevel.THOROUGH: {"samples": 500, "rounds": 100, "steps": 50, "noise_draws": 100},
    },
)
def runtime_skew(target: Target, config: RuntimeSkewConfig, context: Context) -> Observation:
    """Finds inputs that the runtime of a PC answers rightly and that of the microcontroller, same file, wrongly.

    ## What it does

    It counts on how many of the user's samples the decisions of the two runtimes differ, and then searches for more:
    from inputs that both answer correctly, it looks within `eps_steps` for points that the device gets wrong while the
    PC still gets them right.

    ## Why it works on a microcontroller

    A model is tested on a PC and runs on a microcontroller, and the two do not compute the same. TensorFlow Lite Micro
    rounds twice when it rescales a sum, XNNPACK once, and ruy rounds halves upwards; over the layers that adds up to
    several output steps. So a test on the PC vouches for a decision only where the scores lie far apart. Whoever knows
    the file can choose inputs that pass every test on the PC, filters and logged answers included, and fool the device.
    That is why this speaks to threat M1.

    ## Method

    Both runtimes are computed as profiles of the lifted graph: `tflm` for the device, `xnnpack` (the default of LiteRT
    on PCs and phones) and `ruy` (LiteRT without XNNPACK) for the PC. `fidelity` is the share of the user's samples with
    equal decisions, up to 1,000 samples, with a Wilson interval.

    The search looks at `xnnpack`. Gradients bring an input over the border of the device; then its values change one
    after the other in random order, and bisection finds the first wrong point, which differs in one value from a right
    one. There it is checked whether the PC is still right. Up to `rounds` orders are tried. The size is halved, from
    `eps_steps` down to 1, while random noise of that size alone makes the device wrong on more than `noise_limit` of
    the inputs.

    A success is a final input that the runtime of the device, asked again, decides wrongly, and LiteRT in a process of
    its own rightly; the basis is then *executed*. Where LiteRT (`tinymlsec[litert]`) is not installed, the side of the
    PC rests on the profile, and the basis is *simulated*.

    The verdict is *vulnerable* when the interval of the success rate lies above 10 % and above that of random noise. It
    is *resistant* when both controls did what they had to, at least 50 inputs were searched from, and the interval lies
    below 10 %. Anything else is *inconclusive*. Differences on the user's own data are reported and do not decide.

    ## Controls

    Positive: inputs of a small int8 model with a score that lands on halves, where the two runtimes are known to round
    apart; most must be found. Negative: the same search with the device on both sides must find nothing, and random
    noise of the same size must not do as well where the search succeeds.

    ## Limits

    The device is taken to run the reference kernels. Optimized kernels of vendors may round in yet another way, and
    then differ from both. The change is made in the model's input tensor. Only models that compute in integers are
    examined.

    Source: our own; how the runtimes round is defined by their public kernels (gemmlowp's fixed-point arithmetic in
    TensorFlow Lite Micro, ruy, XNNPACK).
    """
    if not target.require_victim().space.is_grid:
        reason = "the model computes in floating point: the profiles of rounding do not apply to it"
        verdict = Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)
        return Observation(verdict=verdict, basis=Basis.STATIC, summary="Runtimes were not compared: no integers.")
    with ExitStack() as stack:
        return _Run(target, config, context, stack).observation()


class _Run:
    """One target, on the device and on the PC."""

    def __init__(self, target: Target, config: RuntimeSkewConfig, context: Context, stack: ExitStack) -> None:
        self.config, self.context = config, context
        choice, self.rng, noise, self.noise_rng, self.twin_rng = context.rng.spawn(5)
        self.drawn = Drawn(target, config, choice, noise)
        self.victim, self.eps_steps = self.drawn.victim, self.drawn.eps_steps
        self.device = WhiteBox(target.lifted.graph, self.victim)
        self.others = {profile: white_box(self.victim, profile) for profile in PROFILES}
        self.real = {profile: _litert(self.victim, profile, stack) for profile in PROFILES}
        assert target.dataset is not None
        self.clean = self.drawn.clean
        assert self.clean.decisions is not None
        self.natural = {p: self.decide(p, target.dataset.x[: self.clean.n]) for p in PROFILES}
        both = self.natural[PROFILES[0]][self.drawn.attacked] == self.drawn.labels
        self.rows = np.flatnonzero(both)
        """Positions among the attacked inputs that both runtimes answer correctly."""
        self.x, self.labels = self.drawn.x[self.rows], self.drawn.labels[self.rows]

    def decide(self, profile: str, codes: Codes) -> NDArray[np.int64]:
        """Decisions of the PC: by LiteRT where it is installed and runs the model, else by the profile."""
        real = self.real[profile]
        return self.others[profile].decide(codes) if real is None else real.decisions(real.scores(codes))

    def observation(self) -> Observation:
        """Natural differences, search, controls, verdict."""
        result = self.search(self.others[PROFILES[0]], self.rng, len(self.x))
        confirmed = self.confirm(result)
        success, noise = share_of(int(confirmed.sum()), len(confirmed)), self.noise()
        positive, negative = self.positive_control(), self.negative_control(success, noise)
        executed = self.real[PROFILES[0]] is not None
        return Observation(
            verdict=judge(success, noise, positive, negative),
            basis=Basis.EXECUTED if executed else Basis.SIMULATED,
            summary=self.summary(int(confirmed.sum())),
            metrics=self.metrics(success, noise, result, confirmed),
            positive_control=positive,
            negative_control=negative,
            chance=largest_share(self.clean.truth),
            artifacts=self.artifacts(result, confirmed),
            effort=Effort(knowledge=Knowledge.RESTRICTED, expertise=Expertise.PROFICIENT, samples=1),
            limits=self.limits(executed),
            facts=self.facts(result, confirmed),
        )

    def search(self, other: WhiteBox, rng: Generator, inputs: int) -> SkewResult:
        """The search against one other arithmetic, from the first so many inputs."""
        config, total, done = self.config, inputs * self.config.rounds, 0

        def progress(walks: int) -> None:
            nonlocal done
            done += walks
            self.context.progress(done, total, "walks along the border")

        return skew_search(
            self.device, other, self.x[:inputs], self.labels[:inputs], rng,
            reach=self.eps_steps, steps=config.steps, rounds=config.rounds, progress=progress,
        )  # fmt: skip

    def confirm(self, result: SkewResult) -> NDArray[np.bool_]:
        """(n,) the device's runtime is wrong, and the PC (LiteRT where it is installed) right."""
        confirmed = result.found.copy()
        at = np.flatnonzero(confirmed)
        if at.size:
            wrong = self.drawn.wrong(result.codes[at], self.rows[at])
            confirmed[at] = wrong & (self.decide(PROFILES[0], result.codes[at]) == self.labels[at])
        return confirmed

    def noise(self) -> Share:
        """Share of inputs that random noise makes differ in the same way."""
        found, other = np.zeros(len(self.x), bool), self.others[PROFILES[0]]
        for _ in range(self.config.noise_draws):
            left = np.flatnonzero(~found)
            if left.size:
                codes = noisy_codes(self.victim.space, self.x[left], self.eps_steps, self.noise_rng)
                wrong = self.device.decide(codes) != self.labels[left]
                found[left] = wrong & (other.decide(codes) == self.labels[left])
        return share_of(int(found.sum()), len(found))

    def positive_control(self) -> Control:
        """Inputs of a model at whose ties the runtimes differ."""
        victim = self.context.victim_of(tie_twin())
        x = tie_inputs(self.twin_rng, self.config.control_samples)
        labels = victim.decisions(victim.scores(x))
        device, other = white_box(victim), white_box(victim, PROFILES[0])
        steps, rounds = self.config.steps, self.config.rounds
        result = skew_search(device, other, x, labels, self.twin_rng, reach=REACH, steps=steps, rounds=rounds)
        wrong = victim.decisions(victim.scores(result.codes)) != labels
        share = share_of(int((wrong & result.found).sum()), len(x))
        return Control(
            kind="positive",
            twin="int8 model with a score on halves, which the runtimes round apart",
            succeeded=share.low > 0.5,
            detail=f"{share.value:.0%} of {share.n} were found (needed: interval above 50 %)",
            metrics=(metric_of("attack_success_rate", share, "weak twin"),),
        )

    def negative_control(self, success: Share, noise: Share) -> Control:
        """The device against itself, and noise."""
        same = self.search(self.device, self.twin_rng, min(len(self.x), self.config.control_samples))
        noisy = success.value > 0 and noise.value >= success.value
        return Control(
            kind="negative",
            twin="the device's arithmetic on both sides; random noise on the inputs",
            succeeded=not same.found.any() and not noisy,
            detail=f"{int(same.found.sum())} of {len(same.found)} found with the device on both sides; random noise of "
            f"the same size finds {noise.value:.1%} (95 % interval {noise.low:.1%} to {noise.high:.1%})",
            metrics=(metric_of("attack_success_rate", noise, "random noise"),),
        )

    def summary(self, found: int) -> str:
        """One sentence for the report."""
        differ = int((self.natural[PROFILES[0]] != self.clean.decisions).sum())
        return (
            f"PC and device decide differently on {differ} of {self.clean.n} samples of the data; for {found} of "
            f"{len(self.x)} inputs a change of at most {self.victim.space.describe_steps(self.eps_steps)} was found "
            "that the PC answers rightly and the device wrongly."
        )

    def metrics(
        self, success: Share, noise: Share, result: SkewResult, confirmed: NDArray[np.bool_]
    ) -> tuple[Metric, ...]:
        """Equal decisions and accuracy on the user's data, success of the search."""
        found = []
        for profile, decisions in self.natural.items():
            equal = share_of(int((decisions == self.clean.decisions).sum()), self.clean.n)
            found.append(metric_of("fidelity", equal, f"{profile} and device on the data"))
        if self.clean.labels is not None:
            found.append(metric_of("accuracy", share_of(int(self.clean.correct.sum()), self.clean.n), "device"))
            for profile, decisions in self.natural.items():
                right = share_of(int((decisions == self.clean.labels).sum()), self.clean.n)
                found.append(metric_of("accuracy", right, profile))
        found.append(metric_of("attack_success_rate", success))
        found.append(metric_of("attack_success_rate", noise, "random noise"))
        at = np.flatnonzero(confirmed)
        if at.size:
            change = self.drawn.largest_change(result.codes[at], self.rows[at])
            found.append(Metric.of("perturbation", change, n=len(at)))
        return tuple(found)

    def artifacts(self, result: SkewResult, confirmed: NDArray[np.bool_]) -> tuple[Artifact, ...]:
        """The inputs that were found, before and after."""
        at = np.flatnonzero(confirmed)[: max(1, (1 << 22) // max(1, self.x[:1].size))]
        if not at.size:
            return ()
        artifact = self.context.save_arrays(
            "runtime-skew-inputs.npz",
            "Inputs that a PC answers rightly and the device wrongly: codes, original codes, correct decision, sample.",
            skewed=result.codes[at],
            original=self.x[at],
            y=self.labels[at],
            sample=self.drawn.attacked[self.rows[at]].astype(np.int64),
        )
        return (artifact,)

    def limits(self, executed: bool) -> tuple[str, ...]:
        """What this cannot show."""
        found = [
            "The device is taken to run the reference kernels; optimized kernels may round in yet another way.",
            f"Sizes are in input steps; the bounds are: {self.victim.space.bounds_source}.",
        ]
        if not executed:
            found.append("LiteRT is not installed or does not run this model: the PC is simulated by its profile.")
        if self.clean.labels is None:
            found.append("The data has no labels: the device's own answers stand for correct ones.")
        if len(self.x) < MIN_ATTACKED:
            found.append(f"{len(self.x)} inputs were searched from; a verdict of resistant needs {MIN_ATTACKED}.")
        return tuple(found)

    def facts(self, result: SkewResult, confirmed: NDArray[np.bool_]) -> dict[str, Any]:
        """Sizes, what was crossed and found, how each PC was computed."""
        return {
            "eps_steps": self.eps_steps,
            "searched_from": len(self.x),
            "crossed_the_border": int(result.crossed.sum()),
            "found": int(result.found.sum()),
            "confirmed": int(confirmed.sum()),
            "median_walks": float(np.median(result.rounds[confirmed])) if confirmed.any() else None,
            "pc": {profile: "profile" if real is None else "LiteRT" for profile, real in self.real.items()},
            "differs_on_data": {
                profile: np.flatnonzero(decisions != self.clean.decisions)[:20].tolist()
                for profile, decisions in self.natural.items()
            },
        }


def _litert(victim: Victim, profile: str, stack: ExitStack) -> Victim | None:
    """The same model in LiteRT, or None where that is not installed or does not run it."""
    from tinymlsec.errors import OracleError
    from tinymlsec.target.litert import litert_available, litert_pool
    from tinymlsec.target.victim import Victim

    if not litert_available():
        return None
    real = Victim(victim.data, victim.model, victim.space, victim.task, stack.enter_context(litert_pool(profile)))
    try:
        real.handle  # noqa: B018 - opening it is the question
    except OracleError:
        return None
    return real
