"""Random bit flips in the weights: how fast the model falls apart by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import crossed_bootstrap, share_of
from tinymlsec.attacks.fault._damage import Damage, Meter
from tinymlsec.attacks.fault._weight_bits import WeightBits, weight_bits
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Basis,
    Control,
    Curve,
    CurvePoint,
    Effort,
    Equipment,
    Expertise,
    Knowledge,
    Metric,
    Verdict,
    VerdictKind,
)
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinymlsec.context import Context
    from tinymlsec.target.target import Target

WEAK = "random flips are a weak attacker; the progressive bit search decides"
BLIND = 0.95
"""Share of one and the same decision on unchanged weights above which decisions hardly show damage."""


class RandomBitFlipsConfig(AttackConfig):
    """Counted work of the campaign."""

    counts: tuple[int, ...] = Field(default=(1, 3, 10, 30, 100, 300, 1000), min_length=1, max_length=64)
    """Numbers of flipped bits, each 1 or more; those beyond the number of weight bits are left out."""
    seeds: int = Field(default=5, ge=1, le=1000)
    """Random orders in which bits fall; the counts are prefixes of one order, so a curve is one device decaying."""
    samples: int = Field(default=200, ge=1, le=100_000)
    """Inputs on which every changed model is asked."""
    biases: bool = False
    """Flip bits of biases, too."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Steps of a random sequence, for a model with state and without data."""


@attack(
    id="random-bit-flips",
    title="Random bit flips in the weights",
    family="fault",
    threats=("H8",),
    needs=(Capability.MODEL, Capability.LABELS),
    position=Position.PHYSICAL,
    controls=("all sign bits flipped", "no bit flipped"),
    source="Rakin, He, Fan: Bit-Flip Attack, ICCV 2019 (random flips as its baseline)",
    config=RandomBitFlipsConfig,
    presets={
        EffortLevel.QUICK: {"counts": (1, 10, 100, 1000), "seeds": 3, "samples": 50},
        EffortLevel.STANDARD: {"counts": (1, 3, 10, 30, 100, 300, 1000), "seeds": 5, "samples": 200},
        EffortLevel.THOROUGH: {"counts": (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000), "seeds": 20, "samples": 1000},
    },
)
def random_bit_flips(target: Target, config: RandomBitFlipsConfig, context: Context) -> Observation:
    """Flips random bits of the weights in the file and measures what is left of the model.

    ## What it does

    It draws different bits of the weight constants, every bit being equally likely, inverts them in the file, and asks
    the runtime with the changed file. More and more bits of the same random order fall, and several orders are tried.

    ## Why it works on a microcontroller

    Weights lie in flash or SRAM, which many parts read without error correction and firmware without a checksum.
    Radiation, aging, undervoltage, a laser or an electromagnetic pulse change bits there. A bit of an int8 weight
    changes it by up to half of its range.

    ## Method

    Weights are the constant matrices and filters of operators with weights (int4, int8, int16 and float alike); biases
    on request. `accuracy` is taken against labels where the data has them; otherwise `fidelity` counts decisions equal
    to those of the unchanged model, and for tasks without decisions `mae` is the mean absolute change of the outputs.
    Without data the inputs are uniformly random within the bounds of the input space.

    Each value is the mean over all seeds and samples. Its interval is a bootstrap that draws seeds and samples again
    independently of each other, because all samples of one seed share their faults. `sdc_rate` is the share of
    inferences whose decision changed without any sign of it. A crash of the runtime counts as no right answer and not
    as silent. Errors of outputs are cut off at 1,000 times the range of the unchanged outputs, and NaN counts as that.

    The verdict is always *inconclusive*: whoever aims needs far fewer flips than chance does, so standing up to random
    flips shows nothing, and falling to a thousand of them is no attack that somebody would mount.

    ## Controls

    Positive: the most significant bit of every weight is flipped; at least half of what lies between the unchanged
    model and chance must be lost (where decisions hardly vary or there are none: half of the outputs must change).
    Negative: the same path with no bit flipped must give outputs that are equal bit for bit.

    ## Limits

    All flips are there at once and stay. Where a flip can happen physically depends on the memory and is not modeled.
    With few seeds the intervals are somewhat too narrow.

    Source: Rakin, He, Fan, "Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search", ICCV 2019, which
    compares its search with random flips.
    """
    assert target.model is not None
    bits = weight_bits(target.model, biases=config.biases)
    if bits.total == 0:
        verdict = Verdict(kind=VerdictKind.INCONCLUSIVE, reason="the model has no operator with constant weights")
        return Observation(verdict=verdict, basis=Basis.STATIC, summary="There are no weights whose bits could flip.")
    return _Campaign(target, config, context, bits).observation()


class _Campaign:
    """All flips on one target."""

    def __init__(self, target: Target, config: RandomBitFlipsConfig, context: Context, bits: WeightBits) -> None:
        self.data, self.config, self.context, self.bits = target.data, config, context, bits
        inputs, self.flip_rng, self.interval_rng = context.rng.spawn(3)
        self.meter = Meter(target, config.samples, config.steps, inputs)
        self.decides = self.meter.decides
        self.counts = sorted({count for count in config.counts if 0 < count <= bits.total})

    def observation(self) -> Observation:
        """The campaign, its controls, and what it says."""
        runs = self.run()
        errors = {count: self.point(count, [d.error for d in runs[count]]) for count in self.counts}
        agrees = {count: self.point(count, [d.agrees for d in runs[count]]) for count in self.counts if self.decides}
        points = agrees if self.decides else errors
        return Observation(
            verdict=Verdict(kind=VerdictKind.INCONCLUSIVE, reason=WEAK),
            basis=Basis.EXECUTED,
            summary=self.summary(points),
            metrics=self.metrics(points, runs),
            curves=self.curves(points, errors),
            positive_control=self.positive_control(),
            negative_control=self.negative_control(),
            chance=self.meter.chance,
            effort=Effort(
                faults=max(self.counts, default=0),
                knowledge=Knowledge.PUBLIC,
                expertise=Expertise.EXPERT,
                equipment=Equipment.SPECIALIZED,
            ),
            limits=self.limits(),
            facts=self.facts(runs),
        )

    def run(self) -> dict[int, list[Damage]]:
        """Damage by number of flips, one entry per seed."""
        from tinymlsec.target.tflite.edit import flip_bits

        runs: dict[int, list[Damage]] = {count: [] for count in self.counts}
        total = len(self.counts) * self.config.seeds
        for seed in range(self.config.seeds):
            order = self.bits.draw(self.flip_rng, max(self.counts, default=0))
            for place, count in enumerate(self.counts):
                runs[count].append(self.meter.damage(flip_bits(self.data, order[:count])))
                self.context.progress(seed * len(self.counts) + place + 1, total, f"{count} flips")
        return runs

    def point(self, count: int, cells: list[NDArray[np.float64]]) -> CurvePoint:
        """Mean over seeds and samples with its interval.

        Args:
            count: flipped bits.
            cells: (samples,) values, one array per seed.
        """
        table = np.stack(cells)
        low, high = crossed_bootstrap(table, self.interval_rng)
        return CurvePoint(x=count, y=float(table.mean()), low=low, high=high, n=table.size)

    def metrics(self, points: dict[int, CurvePoint], runs: dict[int, list[Damage]]) -> tuple[Metric, ...]:
        """The unchanged model, then every count."""
        name, found = self.meter.metric, []
        if name == "accuracy":
            right = share_of(self.meter.right_now, len(self.meter.codes))
            found.append(Metric.of("clean_accuracy", right.value, low=right.low, high=right.high, n=right.n))
        for count, p in points.items():
            label = f"{count} flip{'s' if count > 1 else ''}"
            found.append(Metric.of(name, p.y, low=p.low, high=p.high, n=p.n, label=label))
        for count in self.counts if self.decides else ():
            p = self.point(count, [d.silent for d in runs[count]])
            label = f"{count} flip{'s' if count > 1 else ''}"
            found.append(Metric.of("sdc_rate", p.y, low=p.low, high=p.high, n=p.n, label=label))
        return tuple(found)

    def curves(self, points: dict[int, CurvePoint], errors: dict[int, CurvePoint]) -> tuple[Curve, ...]:
        """The metric over the number of flips; without labels the change of the outputs as well."""
        if not points:
            return ()
        meter = self.meter
        main = _curve(meter.metric, points, chance=meter.chance, reference=meter.reference)
        return (main, _curve("mae", errors)) if meter.metric == "fidelity" else (main,)

    def summary(self, points: dict[int, CurvePoint]) -> str:
        """One sentence for the report."""
        if not points:
            return "No flips were asked for that the weights have room for."
        count, last = list(points.items())[-1]
        word, share = _WORDS[self.meter.metric], self.meter.metric != "mae"
        before, after = (f"{v:.1%}" if share else f"{v:.4g}" for v in (self.meter.reference, last.y))
        return f"{word} goes from {before} to {after} after {count:,} random flips of {self.bits.total:,} weight bits."

    def positive_control(self) -> Control:
        """All most significant bits: the measurement must see that."""
        from tinymlsec.target.tflite.edit import flip_bits

        damage = self.meter.damage(flip_bits(self.data, self.bits.most_significant()))
        chance = self.meter.chance
        if chance is None or chance > BLIND:
            succeeded, detail = damage.changed >= 0.5, f"{damage.changed:.0%} of the outputs changed (needed: 50 %)"
        else:
            left, limit = float(damage.agrees.mean()), (self.meter.reference + chance) / 2
            succeeded, detail = left <= limit, f"{self.meter.metric} {left:.1%} is left (needed: at most {limit:.1%})"
        return Control(
            kind="positive",
            twin="the same model with the most significant bit of every weight flipped",
            succeeded=succeeded,
            detail=detail,
        )

    def negative_control(self) -> Control:
        """No flips: the path of the measurement itself must change nothing."""
        from tinymlsec.target.tflite.edit import flip_bits

        victim = self.meter.victim
        twin = victim.variant(flip_bits(self.data, np.zeros(0, dtype=np.int64)))
        same = victim.raw(self.meter.codes).tobytes() == twin.raw(self.meter.codes).tobytes()
        return Control(
            kind="negative",
            twin="the same model with no bit flipped",
            succeeded=same,
            detail=f"outputs are {'equal' if same else 'not equal'} bit for bit on {len(self.meter.codes)} inputs",
        )

    def limits(self) -> tuple[str, ...]:
        """What this cannot show."""
        found = [
            "Random flips are a weak attacker: one who chooses the bits needs far fewer.",
            "Which flips a fault can cause in a given memory is not modeled; every weight bit is equally likely.",
        ]
        if self.meter.random_inputs:
            found.append("The inputs are random codes, not real ones: real inputs may be hit harder or less.")
        if self.meter.metric == "fidelity":
            found.append("There are no labels: agreement with the unchanged model is counted, not correctness.")
        chance = self.meter.chance
        if chance is not None and chance > BLIND:
            found.append(f"{chance:.0%} of the decisions are one and the same, so decisions hardly show damage.")
        if len(self.counts) < len(set(self.config.counts)):
            found.append(f"The weights have {self.bits.total:,} bits; larger numbers of flips were left out.")
        return tuple(found)

    def facts(self, runs: dict[int, list[Damage]]) -> dict[str, Any]:
        """Size of the fault space, crashes, and the mean change of outputs by count."""
        return {
            "weight_bits": self.bits.total,
            "weight_tensors": len(self.bits.starts),
            "crashes": {str(count): sum(d.crashed for d in runs[count]) for count in self.counts},
            "output_change": {str(count): float(np.mean([d.error for d in runs[count]])) for count in self.counts},
        }


def _curve(metric: str, points: dict[int, CurvePoint], chance: float | None = None, reference: float = 0.0) -> Curve:
    return Curve(
        title=f"{_WORDS[metric]} over random bit flips",
        x_label="flipped bits",
        metric=metric,
        points=tuple(points.values()),
        log_x=True,
        chance=chance,
        reference=reference,
    )


_WORDS = {"accuracy": "Accuracy", "fidelity": "Agreement with the unchanged model", "mae": "Mean change of the outputs"}
