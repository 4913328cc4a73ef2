"""Square: score-based black-box evasion on the input grid of the model as deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import bootstrap, share_of
from tinymlsec.attacks._asking import asker, largest_share
from tinymlsec.attacks.evasion._controls import negative_control, positive_control
from tinymlsec.attacks.evasion._drawn import Drawn, metric_of, point_of
from tinymlsec.attacks.evasion._square_search import search
from tinymlsec.attacks.evasion._verdict import MIN_ATTACKED, judge
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Artifact, Basis, Curve, CurvePoint, Effort, Expertise, Knowledge, Metric
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.attacks.evasion._square_search import SearchResult
    from tinymlsec.context import Context
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target
    from tinymlsec.target.victim import Victim

CHECKPOINTS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
KEPT_VALUES = 1 << 22
"""Values of adversarial inputs kept as an artifact; further successes are counted and not kept."""


class SquareConfig(AttackConfig):
    """Counted work and parameters of the Square attack."""

    samples: int = Field(default=100, ge=1, le=100_000)
    """Inputs drawn from the data. Those answered correctly are attacked; the others count as not robust."""
    max_queries: int = Field(default=300, ge=1, le=100_000)
    """Inferences the attacker may spend on one input."""
    eps_steps: int = Field(default=8, ge=1, le=65_535)
    """Largest change of one input value, in steps of the input grid (1/255 of the range for a model without a grid)."""
    noise_limit: float = Field(default=0.25, gt=0, le=1)
    """The size is halved while random noise alone breaks more than this share of the inputs; 1 keeps the size."""
    eps_curve: tuple[int, ...] = Field(default=(), max_length=16)
    """Further sizes in input steps at which the attack is repeated, for a curve over the size."""
    p_init: float = Field(default=0.8, gt=0, le=1)
    """Share of the input that the first squares cover; it is halved on the schedule of the paper."""
    noise_draws: int = Field(default=10, ge=1, le=10_000)
    """Draws of random noise per input in the negative control."""
    control_samples: int = Field(default=20, ge=10, le=10_000)
    """Inputs of each control twin."""


@attack(
    id="square",
    title="Square: evasion by random search with scores",
    family="evasion",
    threats=("M2",),
    needs=(Capability.MODEL, Capability.SCORES, Capability.DATA),
    position=Position.ADJACENT,
    controls=("inputs close to the border of a linear model", "inputs far from it", "random noise of the same size"),
    source="Andriushchenko, Croce, Flammarion, Hein: Square Attack, ECCV 2020 (arXiv 1912.00049)",
    tasks=("classification", "detection_threshold", "anomaly"),
    config=SquareConfig,
    presets={
        EffortLevel.QUICK: {"samples": 30, "max_queries": 60, "noise_draws": 5},
        EffortLevel.STANDARD: {"samples": 100, "max_queries": 300},
        EffortLevel.THOROUGH: {"samples": 500, "max_queries": 2000, "eps_curve": (1, 2, 4, 16)},
    },
)
def square(target: Target, config: SquareConfig, context: Context) -> Observation:
    """Changes an input by a few steps per value until the decision is wrong, asking only for scores.

    ## What it does

    It draws inputs from the data and leaves aside those that the model answers wrongly anyway. Every other input is
    changed within a box of `eps_steps` input steps around it: first with stripes, then square by square. A change
    stays when the margin between the correct answer and the best wrong one does not grow. The search ends at the first
    wrong decision or after `max_queries` inferences for that input.

    ## Why it works on a microcontroller

    It needs neither gradients nor the file, only the scores that many devices print on a serial line or send over
    radio. Firmware answers every query the same way, as often as it is asked. The attack runs on the codes that the
    device puts into its input tensor, so rounding and saturation of the int8 model neither hide nor invent a success.

    ## Method

    All inputs advance together, one batch of inferences per iteration. Each value of a candidate is the original plus
    or minus eps, clipped into the bounds of the input space. In spectrograms squares lie over time and frequency, in
    vectors they are segments, and for models with state they span frames. A square that does not fit a narrow input is
    made longer. Two things differ from the paper. Candidates of equal margin are accepted, because the scores of an
    int8 model saturate and have plateaus. A square that would change nothing gets the opposite sign instead of being
    drawn again.

    Queries are the candidates the attacker submits, the stripes included. The clean inference of each input and the
    final confirmation belong to the evaluation and are not counted as the attacker's.

    `robust_accuracy` is the share of all drawn inputs that are answered correctly and were not broken.
    `attack_success_rate` is the share of attacked inputs that were broken. Shares carry Wilson intervals, the median
    of the queries of the successes a bootstrap interval.

    The steps of an input grid are small in one model and large in another: 8 steps are hardly visible in an image and
    drown a spectrogram whose values fill only a part of the grid. The size is therefore halved, from `eps_steps` down
    to 1 at the least, while random noise of that size alone breaks more than `noise_limit` of the inputs. The size in
    force is printed in the summary.

    The verdict is *vulnerable* when the interval of the success rate lies above 10 % and above that of random noise of
    the same size. It is *resistant* when both controls did what they had to, at least 50 inputs were attacked, and the
    interval lies below 10 %. Anything else is *inconclusive*.

    ## Controls

    Positive: inputs of a small linear int8 model, placed within a fifth of the distance that eps can move them; most
    must fall within the same budget. Negative: inputs of the same model placed twice as far away as eps can move them,
    none of which may fall, and random noise of the same size on the attacked inputs themselves, which must not do as
    well as the search where the search succeeds.

    ## Limits

    The perturbation is added to the model's input tensor. Where the sensor and the feature extraction lie between the
    attacker and that tensor, the result is an upper bound for the attacker. Standing up to this attack says nothing
    about stronger ones, with gradients or with more queries. The default of 8 steps is meant for 256 levels; for int16
    inputs state a size that fits the signal.

    Source: Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box adversarial attack via
    random search", ECCV 2020.
    """
    return _Run(target, config, context).observation()


class _Run:
    """The attack on one target: who is attacked, what came out, what it means."""

    def __init__(self, target: Target, config: SquareConfig, context: Context) -> None:
        self.config, self.context = config, context
        choice, self.rng, noise, self.twin_rng, self.interval_rng = context.rng.spawn(5)
        self.drawn = Drawn(target, config, choice, noise)
        self.victim, self.clean = self.drawn.victim, self.drawn.clean
        self.space, self.eps_steps, self.noise = self.victim.space, self.drawn.eps_steps, self.drawn.noise
        self.attacked, self.x, self.labels = self.drawn.attacked, self.drawn.x, self.drawn.labels
        self.done = 0

    def observation(self) -> Observation:
        """Attack, controls, verdict."""
        config, noise = self.config.model_copy(update={"eps_steps": self.eps_steps}), self.noise
        result = self.search(self.eps_steps, self.rng)
        confirmed = self.confirm(result)
        success = share_of(int(confirmed.sum()), len(confirmed))
        positive = positive_control(self.context, config, self.twin_rng, self.break_twin)
        negative = negative_control(self.context, config, self.twin_rng, success, noise, self.break_twin)
        curves = self.curves(result, confirmed)
        return Observation(
            verdict=judge(success, noise, positive, negative),
            basis=Basis.EXECUTED,
            summary=self.summary(int(confirmed.sum())),
            metrics=self.metrics(result, confirmed),
            curves=curves,
            positive_control=positive,
            negative_control=negative,
            chance=largest_share(self.clean.truth[: self.clean.n]),
            artifacts=self.artifacts(result, confirmed),
            effort=self.effort(result),
            limits=self.limits(),
            facts=self.facts(result, confirmed),
        )

    def search(self, eps_steps: int, rng: Generator) -> SearchResult:
        """The attack at one size."""
        config, total = self.config, len(self.attacked) * self.config.max_queries
        self.done = 0

        def progress(queries: int) -> None:
            self.done += queries
            self.context.progress(self.done, total, f"queries at {eps_steps} steps")

        return search(
            asker(self.victim, self.labels),
            self.space,
            self.x,
            rng,
            eps_steps=eps_steps,
            max_queries=config.max_queries,
            p_init=config.p_init,
            frames=self.victim.task.frames,
            progress=progress,
        )

    def break_twin(
        self, victim: Victim, x: Codes, labels: NDArray[np.int64], reach: int, rng: Generator
    ) -> NDArray[np.bool_]:
        """The same attack on inputs of a control twin."""
        queries, p_init = self.config.max_queries, self.config.p_init
        ask = asker(victim, labels)
        return search(ask, victim.space, x, rng, eps_steps=reach, max_queries=queries, p_init=p_init).broken

    def confirm(self, result: SearchResult) -> NDArray[np.bool_]:
        """(n,) successes that the runtime gives again when it is asked once more."""
        confirmed = result.broken.copy()
        rows = np.flatnonzero(confirmed)
        if rows.size:
            confirmed[rows] = asker(self.victim, self.labels)(result.codes[rows], rows)[1]
        return confirmed

    def summary(self, broken: int) -> str:
        """One sentence for the report."""
        size = self.space.describe_steps(self.eps_steps)
        return (
            f"{broken} of {len(self.attacked)} correctly answered inputs got a wrong answer within "
            f"{self.config.max_queries} queries each, changing no value by more than {size}."
        )

    def metrics(self, result: SearchResult, confirmed: NDArray[np.bool_]) -> tuple[Metric, ...]:
        """Accuracy before and under attack, success, queries, and the change that was needed."""
        drawn, attacked, broken = len(self.drawn.chosen), len(self.attacked), int(confirmed.sum())
        found = [
            metric_of("clean_accuracy", share_of(attacked, drawn)),
            metric_of("robust_accuracy", self.drawn.survivors(broken)),
            metric_of("attack_success_rate", share_of(broken, attacked)),
            Metric.of("queries", int(result.queries.sum()), n=attacked, label="spent in all"),
        ]
        if broken:
            spent = result.queries[confirmed]
            low, high = bootstrap(spent, self.interval_rng, "median")
            label = "median of the successes"
            found.append(Metric.of("queries", float(np.median(spent)), low=low, high=high, n=broken, label=label))
            change = self.drawn.largest_change(result.codes[confirmed], np.flatnonzero(confirmed))
            found.append(Metric.of("perturbation", change, n=broken))
        return tuple(found)

    def curves(self, result: SearchResult, confirmed: NDArray[np.bool_]) -> tuple[Curve, ...]:
        """Success over queries, and over the size where that was asked for."""
        if not len(self.attacked):
            return ()
        budget = self.config.max_queries
        at = [*(c for c in CHECKPOINTS if c < budget), budget]
        points = [_point(q, confirmed & (result.queries <= q)) for q in at]
        curve = _curve("Success over queries", "queries per input", points, log_x=True)
        sizes = sorted(set(self.config.eps_curve) - {self.eps_steps})
        if not sizes:
            return (curve,)
        by_size = {self.eps_steps: confirmed}
        for size, rng in zip(sizes, self.rng.spawn(len(sizes)), strict=True):
            by_size[size] = self.confirm(self.search(size, rng))
        sized = [_point(size, by_size[size]) for size in sorted(by_size)]
        return curve, _curve("Success over size", "largest change (input steps)", sized, log_x=True)

    def artifacts(self, result: SearchResult, confirmed: NDArray[np.bool_]) -> tuple[Artifact, ...]:
        """The inputs that were broken, before and after."""
        rows = np.flatnonzero(confirmed)[: max(1, KEPT_VALUES // max(1, self.x[:1].size))]
        if not rows.size:
            return ()
        artifact = self.context.save_arrays(
            "square-adversarial-inputs.npz",
            "Inputs that were answered wrongly: adversarial and original codes, correct decision, sample in the data, "
            "queries spent.",
            adversarial=result.codes[rows],
            original=self.x[rows],
            y=self.labels[rows],
            sample=self.attacked[rows].astype(np.int64),
            queries=result.queries[rows],
        )
        return (artifact,)

    def effort(self, result: SearchResult) -> Effort:
        """What the attacker spent at the main size; seconds on the device are not known here."""
        return Effort(
            queries=int(result.queries.sum()), knowledge=Knowledge.PUBLIC, expertise=Expertise.PROFICIENT, samples=1
        )

    def limits(self) -> tuple[str, ...]:
        """What this cannot show."""
        found = [
            "Standing up to this attack says nothing about attacks with gradients or with more queries.",
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
        if self.clean.labels is None:
            found.append("The data has no labels: the model's own answers stand for correct ones.")
        if len(self.attacked) < MIN_ATTACKED:
            found.append(f"{len(self.attacked)} inputs were attacked; a verdict of resistant needs {MIN_ATTACKED}.")
        return tuple(found)

    def facts(self, result: SearchResult, confirmed: NDArray[np.bool_]) -> dict[str, Any]:
        """Sizes in words, unconfirmed successes, and the five quickest examples."""
        rows = np.flatnonzero(confirmed)
        quickest = rows[np.argsort(result.queries[rows], kind="stable")[:5]]
        after = self.drawn.decisions(result.codes[quickest])
        return {
            "eps_steps": self.eps_steps,
            "size": self.space.describe_steps(self.eps_steps),
            "drawn": len(self.drawn.chosen),
            "attacked": len(self.attacked),
            "not_confirmed": int((result.broken & ~confirmed).sum()),
            "examples": [
                {
                    "sample": int(self.attacked[row]),
                    "correct": self.drawn.name(int(self.labels[row])),
                    "answered": self.drawn.name(answer),
                    "queries": int(result.queries[row]),
                }
                for row, answer in zip(quickest, after, strict=True)
            ],
        }


def _point(x: int, broken: NDArray[np.bool_]) -> CurvePoint:
    return point_of(x, share_of(int(broken.sum()), len(broken)))


def _curve(title: str, x_label: str, points: list[CurvePoint], *, log_x: bool) -> Curve:
    return Curve(
        title=title, x_label=x_label, metric="attack_success_rate", points=tuple(points), log_x=log_x, reference=0.0
    )
