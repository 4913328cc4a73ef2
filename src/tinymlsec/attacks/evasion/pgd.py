"""PGD: white-box evasion with gradients of the model as deployed, on its input grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks._asking import largest_share
from tinymlsec.attacks._white_box import WhiteBox, white_box
from tinymlsec.attacks.evasion._controls import negative_control, positive_control
from tinymlsec.attacks.evasion._drawn import Drawn, metric_of, point_of
from tinymlsec.attacks.evasion._ladder import Ladder
from tinymlsec.attacks.evasion._masking import MASKED, MaskingCheck, check_masking
from tinymlsec.attacks.evasion._pgd_search import LOSSES, Reach, pgd_search
from tinymlsec.attacks.evasion._verdict import MIN_ATTACKED, TOLERATED, judge
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Artifact, Basis, Curve, Effort, Expertise, Knowledge, Metric, Verdict, VerdictKind
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.analysis.intervals import Share
    from tinymlsec.attacks.evasion._pgd_search import Norm
    from tinymlsec.context import Context
    from tinymlsec.records import Control
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target
    from tinymlsec.target.victim import Victim

KEPT_VALUES = 1 << 22
"""Values of adversarial inputs kept as an artifact; further successes are counted and not kept."""


class PgdConfig(AttackConfig):
    """Counted work and parameters of PGD."""

    samples: int = Field(default=100, ge=1, le=100_000)
    """Inputs drawn from the data. Those answered correctly are attacked; the others count as not robust."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Gradient steps of each restart."""
    restarts: int = Field(default=2, ge=1, le=1000)
    """Restarts: the first from the input itself, the others from random points; margin and cross-entropy in turn."""
    eps_steps: int = Field(default=8, ge=1, le=65_535)
    """Largest change of one input value, in steps of the input grid (1/255 of the range for a model without a grid)."""
    noise_limit: float = Field(default=0.25, gt=0, le=1)
    """The size is halved while random noise alone breaks more than this share of the inputs; 1 keeps the size."""
    eps_curve: tuple[int, ...] = Field(default=(1, 2, 4, 8), max_length=16)
    """Further sizes in input steps for the curve of robust accuracy."""
    l2_curve: tuple[float, ...] = Field(default=(16.0, 32.0, 64.0), max_length=16)
    """Euclidean lengths of the whole change, in input steps, for the curve of robust accuracy in L2."""
    noise_draws: int = Field(default=10, ge=1, le=10_000)
    """Draws of random noise per input in the negative control."""
    control_samples: int = Field(default=20, ge=10, le=10_000)
    """Inputs of each control twin."""
    masking_inputs: int = Field(default=20, ge=1, le=10_000)
    """Inputs that stood and are attacked again without gradients."""
    masking_steps: int = Field(default=10, ge=1, le=1000)
    """Steps of that attack."""
    masking_draws: int = Field(default=32, ge=1, le=10_000)
    """Random directions along which each of its steps measures slopes."""


@attack(
    id="pgd",
    title="PGD: evasion with gradients of the deployed model",
    family="evasion",
    threats=("M1",),
    needs=(Capability.MODEL, Capability.GRADIENTS, Capability.SCORES, Capability.DATA),
    position=Position.ADJACENT,
    controls=(
        "inputs close to the border of a linear model",
        "inputs far from it",
        "random noise of the same size",
        "searches without gradients",
    ),
    source="Madry, Makelov, Schmidt, Tsipras, Vladu: Towards deep learning models resistant to adversarial attacks, "
    "ICLR 2018 (arXiv 1706.06083)",
    tasks=("classification", "detection_threshold", "anomaly"),
    config=PgdConfig,
    presets={
        EffortLevel.QUICK: {
            "samples": 30, "restarts": 1, "eps_curve": (2, 8), "l2_curve": (32.0,), "noise_draws": 5,
            "masking_inputs": 5,
        },
        EffortLevel.STANDARD: {"samples": 100},
        EffortLevel.THOROUGH: {
            "samples": 500, "steps": 50, "restarts": 6, "eps_curve": (1, 2, 4, 8, 16),
            "l2_curve": (8.0, 16.0, 32.0, 64.0, 128.0), "masking_inputs": 50, "masking_steps": 20, "masking_draws": 128,
        },
    },
)  # fmt: skip
def pgd(target: Target, config: PgdConfig, context: Context) -> Observation:
    """Follows gradients of the lifted int8 model to a wrong decision within a few input steps.

    ## What it does

    It draws inputs from the data and leaves aside those that the model answers wrongly anyway. Every other input is
    moved step by step in the direction in which the correct answer loses most, and brought back into a box of
    `eps_steps` input steps around it and into the bounds of the input space. The search ends at the first wrong
    decision or after `restarts` times `steps` steps. Sizes of `eps_curve` give accuracy over size, and `l2_curve` the
    same for the Euclidean length of the whole change.

    ## Why it works on a microcontroller

    The file in the flash of the device is the model: whoever reads it (threat M5 or H9) has its gradients. Models that
    fit a microcontroller are small, with little room between classes. Attack libraries turn quantized files away
    because their derivative is zero; here the int8 graph itself is computed in PyTorch, equal to the runtime integer by
    integer, with straight-through gradients.

    ## Method

    Iterates are real numbers, and each is rounded to codes before the model sees it. At a size of one step every value
    has three codes to choose from, and small steps still add up until one is crossed. Rounding never leaves the box,
    and in L2 the largest fractions are rounded up as far as the length allows. The step falls from the whole size
    to a twentieth of it on a half cosine. The first restart begins at the input itself, the others at random points in
    the box. The loss is the margin between the correct and the best wrong score in odd restarts and the cross-entropy
    in even ones; scores are those before the last SOFTMAX or LOGISTIC. For detections the margin is the distance to the
    threshold, at the strongest step of a stream; for anomalies it is that of the reconstruction error.

    An input that falls at one size has fallen at every larger one, so sizes are tried from the smallest up on those
    that still stand. Every success is confirmed by the runtime on the final codes. The number of final inputs on which
    runtime and lifted graph decide differently is counted; while the lift is exact it is zero.

    `robust_accuracy` is the share of all drawn inputs that are answered correctly and were not broken.
    `attack_success_rate` is the share of attacked inputs that were broken at the main size. Shares carry Wilson
    intervals. The main size is halved, from `eps_steps` down to 1 at the least, while random noise of that size alone
    breaks more than `noise_limit` of the inputs.

    The verdict is *vulnerable* when the interval of the success rate lies above 10 % and above that of random noise of
    the same size. It is *resistant* when both controls did what they had to, at least 50 inputs were attacked, the
    interval lies below 10 %, and gradients are not masked: inputs that stood are attacked once more with slopes that
    are measured by simultaneous perturbation, and with noise, and at most one in twenty may fall. Anything else is
    *inconclusive*. What falls in that check counts as a success.

    ## Controls

    Positive: inputs of a small linear int8 model, placed within a fifth of the distance that eps can move them; most
    must fall within the same steps. Negative: inputs of the same model placed twice as far away as eps can move them,
    none of which may fall, and random noise of the same size on the attacked inputs themselves, which must not do as
    well as the search where the search succeeds.

    ## Limits

    The perturbation is added to the model's input tensor. Where the sensor and the feature extraction lie between the
    attacker and that tensor, the result is an upper bound for the attacker. Robust accuracy under any one attack is an
    upper bound of the true one. The default of 8 steps is meant for 256 levels; for int16 inputs state a size that fits
    the signal.

    Source: Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards deep learning models resistant to adversarial attacks",
    ICLR 2018. Margin loss: Carlini and Wagner, IEEE S&P 2017. Check for masked gradients: Athalye, Carlini, Wagner,
    ICML 2018, and Uesato, O'Donoghue, van den Oord, Kohli, ICML 2018.
    """
    return _Run(target, config, context).observation()


class _Run:
    """The attack on one target: who is attacked, what came out, what it means."""

    def __init__(self, target: Target, config: PgdConfig, context: Context) -> None:
        self.config, self.context = config, context
        choice, self.rng, noise, self.twin_rng, self.l2_rng, self.masking_rng = context.rng.spawn(6)
        self.drawn = Drawn(target, config, choice, noise)
        self.victim, self.space = self.drawn.victim, self.drawn.victim.space
        self.box = WhiteBox(target.lifted.graph, self.victim)
        self.eps_steps, self.n = self.drawn.eps_steps, len(self.drawn.attacked)
        self.sizes = sorted({self.eps_steps, *(s for s in config.eps_curve if s > 0)})
        self.done, self.total = 0, self.n * config.restarts * (len(self.sizes) + len(config.l2_curve)) * config.steps

    def observation(self) -> Observation:
        """Attack, check, controls, verdict."""
        ladder = self.climb("linf", self.sizes, self.rng)
        masking = self.check(ladder)
        l2 = self.climb("l2", self.config.l2_curve, self.l2_rng)
        broken = ladder.broken(self.eps_steps)
        success = share_of(len(broken), self.n)
        size = self.config.model_copy(update={"eps_steps": self.eps_steps})
        positive = positive_control(self.context, size, self.twin_rng, self.break_twin)
        negative = negative_control(self.context, size, self.twin_rng, success, self.drawn.noise, self.break_twin)
        return Observation(
            verdict=self.verdict(success, positive, negative, masking),
            basis=Basis.EXECUTED,
            summary=self.summary(len(broken)),
            metrics=self.metrics(ladder, l2),
            curves=self.curves(ladder, l2),
            positive_control=positive,
            negative_control=negative,
            chance=largest_share(self.drawn.clean.truth),
            artifacts=self.artifacts(ladder, broken),
            effort=Effort(knowledge=Knowledge.RESTRICTED, expertise=Expertise.PROFICIENT, samples=1),
            limits=self.limits(),
            facts=self.facts(ladder, l2, masking),
        )

    def climb(self, norm: Norm, sizes: tuple[float, ...] | list[int], rng: Generator) -> Ladder:
        """The attack in one norm at all its sizes."""
        ladder = Ladder(self.box, self.drawn, norm)
        steps, restarts = self.config.steps, self.config.restarts
        ladder.climb(list(sizes), rng, steps=steps, restarts=restarts, progress=self.progress)
        return ladder

    def progress(self, count: int, what: str) -> None:
        """Counts inputs times steps; inputs that fall early leave the rest undone."""
        self.done = min(self.total, self.done + count)
        self.context.progress(self.done, self.total, what)

    def check(self, ladder: Ladder) -> MaskingCheck | None:
        """Attack what stood at the main size without gradients, where that could change the verdict."""
        stood = np.flatnonzero(ladder.fell > self.eps_steps)
        if not len(stood) or share_of(self.n - len(stood), self.n).low > TOLERATED:
            return None
        config = self.config
        found = check_masking(
            self.box,
            self.drawn.x[stood],
            self.drawn.labels[stood],
            self.masking_rng,
            reach=Reach("linf", self.eps_steps),
            inputs=config.masking_inputs,
            steps=config.masking_steps,
            draws=config.masking_draws,
        )
        rows = stood[found.rows]
        ladder.record(rows[found.fell], found.codes[found.fell], found.fell[found.fell], self.eps_steps)
        return found

    def verdict(self, success: Share, positive: Control, negative: Control, masking: MaskingCheck | None) -> Verdict:
        """The rule of all evasion attacks, and no *resistant* where gradients mislead."""
        verdict = judge(success, self.drawn.noise, positive, negative)
        if verdict.kind is not VerdictKind.RESISTANT or masking is None or not masking.masked:
            return verdict
        reason = (
            f"gradients are masked: of {len(masking.rows)} inputs that stood up to them, {int(masking.fell.sum())} "
            f"fell without them (tolerated: {MASKED:.0%}); {verdict.reason}"
        )
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)

    def break_twin(
        self, victim: Victim, x: Codes, labels: NDArray[np.int64], reach: int, rng: Generator
    ) -> NDArray[np.bool_]:
        """The same attack on inputs of a control twin, confirmed by the runtime."""
        config = self.config
        result = pgd_search(
            white_box(victim), x, labels, rng, reach=Reach("linf", reach), steps=config.steps, restarts=config.restarts
        )
        wrong: NDArray[np.bool_] = victim.decisions(victim.scores(result.codes)) != labels
        return wrong

    def summary(self, broken: int) -> str:
        """One sentence for the report."""
        return (
            f"{broken} of {self.n} correctly answered inputs got a wrong answer with no value changed by more than "
            f"{self.space.describe_steps(self.eps_steps)}, in at most {self.config.steps} gradient steps."
        )

    def metrics(self, ladder: Ladder, l2: Ladder) -> tuple[Metric, ...]:
        """Accuracy before and under attack, success, and the change that was needed."""
        drawn, broken = len(self.drawn.chosen), ladder.broken(self.eps_steps)
        found = [
            metric_of("clean_accuracy", share_of(self.n, drawn)),
            metric_of("robust_accuracy", self.drawn.survivors(len(broken))),
            metric_of("attack_success_rate", share_of(len(broken), self.n)),
        ]
        for size in self.sizes:
            share = self.drawn.survivors(len(ladder.broken(size)))
            found.append(metric_of("robust_accuracy", share, _steps(size)))
        for length in sorted(self.config.l2_curve):
            share = self.drawn.survivors(len(l2.broken(length)))
            found.append(metric_of("robust_accuracy", share, f"L2, {_steps(length)}"))
        if len(broken):
            change = self.drawn.largest_change(ladder.codes[broken], broken)
            found.append(Metric.of("perturbation", change, n=len(broken)))
        return tuple(found)

    def curves(self, ladder: Ladder, l2: Ladder) -> tuple[Curve, ...]:
        """Robust accuracy over size in both norms, from the unattacked model on."""
        if not self.n:
            return ()
        found = [self.curve("Accuracy under attack over size", "largest change (input steps)", ladder, self.sizes)]
        if self.config.l2_curve:
            label = "Euclidean length of the change (input steps)"
            found.append(self.curve("Accuracy under attack over size in L2", label, l2, self.config.l2_curve))
        return tuple(found)

    def curve(self, title: str, x_label: str, ladder: Ladder, sizes: tuple[float, ...] | list[int]) -> Curve:
        """One norm."""
        points = [(0.0, 0), *((float(s), len(ladder.broken(s))) for s in sorted(set(sizes)))]
        return Curve(
            title=title,
            x_label=x_label,
            metric="robust_accuracy",
            points=tuple(point_of(x, self.drawn.survivors(broken)) for x, broken in points),
            chance=0.0,
            reference=self.n / len(self.drawn.chosen),
        )

    def artifacts(self, ladder: Ladder, broken: NDArray[np.intp]) -> tuple[Artifact, ...]:
        """The inputs that were broken at the main size or below, before and after."""
        rows = broken[: max(1, KEPT_VALUES // max(1, self.drawn.x[:1].size))]
        if not rows.size:
            return ()
        artifact = self.context.save_arrays(
            "pgd-adversarial-inputs.npz",
            "Inputs that were answered wrongly: adversarial and original codes, correct decision, sample in the data, "
            "size in input steps at which each fell.",
            adversarial=ladder.codes[rows],
            original=self.drawn.x[rows],
            y=self.drawn.labels[rows],
            sample=self.drawn.attacked[rows].astype(np.int64),
            size=ladder.fell[rows],
        )
        return (artifact,)

    def limits(self) -> tuple[str, ...]:
        """What this cannot show."""
        found = [
            "Accuracy under one attack is an upper bound: stronger attacks may leave less.",
            f"Sizes are in input steps; the bounds are: {self.space.bounds_source}.",
        ]
        if "sensor" not in self.space.bounds_source:
            found.append(
                "The change is made in the model's input tensor (feature space): upper bound for the attacker."
            )
        if self.eps_steps < self.config.eps_steps:
            found.append(
                f"The size was reduced from {self.config.eps_steps} to {self.eps_steps} steps, because random noise of "
                f"larger sizes alone breaks more than {self.config.noise_limit:.0%} of the inputs."
            )
        if self.drawn.clean.labels is None:
            found.append("The data has no labels: the model's own answers stand for correct ones.")
        if self.n < MIN_ATTACKED:
            found.append(f"{self.n} inputs were attacked; a verdict of resistant needs {MIN_ATTACKED}.")
        return tuple(found)

    def facts(self, ladder: Ladder, l2: Ladder, masking: MaskingCheck | None) -> dict[str, Any]:
        """Sizes, disagreements with the runtime, the check for masked gradients, and five examples."""
        rows = np.argsort(ladder.fell, kind="stable")[: min(5, len(ladder.broken(self.eps_steps)))]
        answers = self.drawn.decisions(ladder.codes[rows])
        return {
            "eps_steps": self.eps_steps,
            "size": self.space.describe_steps(self.eps_steps),
            "drawn": len(self.drawn.chosen),
            "attacked": self.n,
            "losses": list(LOSSES[: self.config.restarts]),
            "compared_with_runtime": ladder.compared + l2.compared,
            "disagreements_with_runtime": ladder.disagreements + l2.disagreements,
            "evaluations_of_the_lifted_model": ladder.passes + l2.passes,
            "masking": _masking_facts(masking),
            "examples": [
                {
                    "sample": int(self.drawn.attacked[row]),
                    "correct": self.drawn.name(int(self.drawn.labels[row])),
                    "answered": self.drawn.name(answer),
                    "size": float(ladder.fell[row]),
                }
                for row, answer in zip(rows, answers, strict=True)
            ],
        }


def _masking_facts(masking: MaskingCheck | None) -> dict[str, Any]:
    if masking is None:
        return {"checked": False, "why": "the attack succeeded often enough, or nothing stood"}
    return {
        "checked": True,
        "tried": len(masking.rows),
        "fell_to_measured_slopes": int(masking.by_differences.sum()),
        "fell_to_noise": int(masking.by_noise.sum()),
    }


def _steps(size: float) -> str:
    return f"{size:g} input step{'' if size == 1 else 's'}"
