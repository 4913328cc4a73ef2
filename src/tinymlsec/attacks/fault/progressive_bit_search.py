"""Progressive bit search: how few chosen bit flips turn the model into a guesser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.attacks._asking import largest_share
from tinymlsec.attacks._white_box import white_box
from tinymlsec.attacks.fault._bit_search import ABOVE_CHANCE, BitSearch, Descent, descend
from tinymlsec.attacks.fault._bit_trial import (
    Trial,
    median_flips,
    middle_trial,
    random_flips_control,
    trial_curve,
    trial_metrics,
    trials_verdict,
)
from tinymlsec.attacks.fault._bottleneck import FLIPS, bottleneck_inputs, bottleneck_twin
from tinymlsec.attacks.fault._weight_map import WeightMap
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Artifact,
    Basis,
    Control,
    Effort,
    Equipment,
    Expertise,
    Knowledge,
    Verdict,
    VerdictKind,
)
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.context import Context
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target
    from tinymlsec.target.victim import Victim

HELD_OUT = 500
"""Held-out samples below which nothing is said about chance."""
TWIN_BATCH = 64


class ProgressiveBitSearchConfig(AttackConfig):
    """Counted work of the search."""

    max_flips: int = Field(default=30, ge=2, le=10_000)
    """Flips after which a search gives up."""
    seeds: int = Field(default=3, ge=1, le=100)
    """Searches, each with a search batch and held-out samples of its own."""
    samples: int = Field(default=500, ge=HELD_OUT, le=100_000)
    """Held-out samples on which accuracy is measured after each flip."""
    search_batch: int = Field(default=128, ge=8, le=4096)
    """Samples on which bits are chosen; disjoint from the held-out ones."""
    candidates: int = Field(default=3, ge=1, le=256)
    """Bits of each weight tensor that are tried in each step."""
    random_draws: int = Field(default=5, ge=1, le=1000)
    """Sets of random flips, as many bits as the search needed, per seed."""


@attack(
    id="progressive-bit-search",
    title="Progressive bit search: chosen bit flips in the weights",
    family="fault",
    threats=("H8",),
    needs=(Capability.MODEL, Capability.GRADIENTS, Capability.SCORES, Capability.DATA),
    position=Position.PHYSICAL,
    controls=("a model with a bottleneck that two flips ruin", "as many random flips"),
    source="Rakin, He, Fan: Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search, ICCV 2019 "
    "(arXiv 1903.12269)",
    tasks=("classification", "detection_threshold"),
    config=ProgressiveBitSearchConfig,
    presets={
        EffortLevel.QUICK: {"max_flips": 15, "seeds": 1, "candidates": 1, "random_draws": 3},
        EffortLevel.STANDARD: {"max_flips": 30, "seeds": 3},
        EffortLevel.THOROUGH: {
            "max_flips": 100, "seeds": 5, "samples": 1000, "search_batch": 256, "candidates": 5, "random_draws": 20,
        },
    },
)  # fmt: skip
def progressive_bit_search(target: Target, config: ProgressiveBitSearchConfig, context: Context) -> Observation:
    """Chooses the bits of the weights whose flips do most harm, one after the other, until the model guesses.

    ## What it does

    In each step it ranks every bit of every int8 weight by how much its flip should raise the cross-entropy (gradient
    times change of the value), tries the best `candidates` bits of each weight tensor on the search batch, and keeps
    the flip that does most harm. After each flip the accuracy on held-out samples is measured.

    ## Why it works on a microcontroller

    Weights lie in flash or SRAM, which many parts read without error correction and firmware without a checksum. The
    top bit of an int8 weight changes it by half of its range, and the few weights of a small model are each used many
    times. A laser or an electromagnetic pulse reaches chosen bits; where there is DRAM, code on the device does.

    ## Method

    The search runs on the lifted graph, which gives the runtime's integers, so a candidate is tried exactly and in
    milliseconds. Harm is the mean probability of a wrong answer by the scores before the last SOFTMAX or LOGISTIC. A
    bit that was flipped is never touched again. Weights that share bytes in the file are flipped together.

    *Flips to chance*: the search stops when held-out accuracy is at most the share of the most frequent class plus 3
    points at two consecutive steps, and the flips are counted at the first of the two. Held-out samples are 500 or
    more, and disjoint from the search batch. It also stops after `max_flips`, when no bit promises anything, or when
    three flips in a row do no more harm than the best before. Each seed draws its own batch and held-out samples; the
    median over seeds is reported, and the seeds beside it.

    The flipped file (bits changed in place, same size) is run by the runtime on the held-out samples before the first
    flip, at the step that counts, and at the last one; its decisions are compared with those of the lifted graph one
    by one. Random flips are measured on the lifted graph alone. Each flip is named by tensor, channel, element, bit and
    offset in the file.

    The verdict is *vulnerable* when more than half of the seeds reach chance, the runtime confirms it, and as many
    random flips leave more than half of what lies between clean accuracy and chance. It is *resistant* when all seeds
    use up `max_flips`, the whole 95 % interval of the lowest accuracy of each lies above that half, and the positive
    control succeeded. Anything else is *inconclusive*.

    ## Controls

    Positive: a small int8 model all of whose decisions go through one value; the search must bring it to chance within
    6 flips. Negative: as many random flips of weight bits as the search made must leave more than half of what it
    destroyed.

    ## Limits

    Which bits a fault can reach in a given memory, and how precisely, is not modeled. All flips are there at once and
    stay. Bits of biases and scales are not searched. A greedy search gives an upper bound of the flips that are needed.

    Source: Rakin, He, Fan, "Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search", ICCV 2019.
    """
    labels = None if target.dataset is None else target.dataset.y
    n = 0 if labels is None or labels.dtype.kind != "i" else len(labels)
    needed = config.samples + config.search_batch
    if n < HELD_OUT + min(config.search_batch, TWIN_BATCH):
        return _cannot(f"{n} labeled samples; at chance needs {HELD_OUT} held-out ones beside the search batch")
    if not WeightMap(target.lifted.graph).blocks:
        return _cannot("the model has no int8 weights in the file whose bits could be searched")
    return _Campaign(target, config, context, min(n, needed)).observation()


def _cannot(reason: str) -> Observation:
    return Observation(
        verdict=Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason),
        basis=Basis.STATIC,
        summary=f"No bits were searched: {reason}.",
    )


class _Campaign:
    """All seeds on one target."""

    def __init__(self, target: Target, config: ProgressiveBitSearchConfig, context: Context, used: int) -> None:
        assert target.dataset is not None
        assert target.dataset.y is not None
        self.target, self.config, self.context = target, config, context
        self.victim, self.used = target.require_victim(), used
        self.x, self.y = target.dataset.x, target.dataset.y.astype(np.int64)
        self.batch = min(config.search_batch, used - HELD_OUT)
        *self.seeds, self.twin_rng, self.interval_rng = context.rng.spawn(config.seeds + 2)

    def observation(self) -> Observation:
        """All seeds, controls, verdict."""
        trials = [self.trial(k, rng) for k, rng in enumerate(self.seeds)]
        positive, negative = self.positive_control(), random_flips_control(trials)
        flips = [t.descent.flips_to_chance for t in trials]
        return Observation(
            verdict=trials_verdict(trials, positive, negative, self.config.max_flips),
            basis=Basis.EXECUTED,
            summary=self.summary(trials),
            metrics=trial_metrics(trials, self.interval_rng),
            curves=(trial_curve(trials[middle_trial(trials)]),),
            positive_control=positive,
            negative_control=negative,
            chance=trials[0].prior,
            artifacts=self.artifacts(trials),
            effort=Effort(
                faults=min((f for f in flips if f is not None), default=self.config.max_flips),
                knowledge=Knowledge.RESTRICTED,
                expertise=Expertise.EXPERT,
                equipment=Equipment.BESPOKE,
            ),
            limits=(
                "Which bits a fault can reach in the memory of a given part is not modeled.",
                "The search is greedy: fewer flips than reported may be enough.",
                "Weights only: bits of biases, scales and code are not searched.",
            ),
            facts=self.facts(trials),
        )

    def trial(self, number: int, rng: Generator) -> Trial:
        """One search with a batch and held-out samples of its own."""
        rows = rng.permutation(len(self.x))[: self.used]
        batch, held = np.sort(rows[: self.batch]), np.sort(rows[self.batch :])
        box = white_box(self.victim)
        search = BitSearch(box, self.x[batch], self.y[batch], self.config.candidates)
        x, y, prior = self.x[held], self.y[held], largest_share(self.y[held])
        limit = self.config.max_flips

        def progress(flips: int, accuracy: float) -> None:
            what = f"search {number + 1}: {flips} flips, accuracy {accuracy:.1%}"
            self.context.progress(number * limit + flips, len(self.seeds) * limit, what)

        descent = descend(search, x, y, bar=prior + ABOVE_CHANCE, max_flips=limit, progress=progress)
        runtime, disagreements = self.confirm(descent, search, x, y)
        names = tuple(_named(search.map, step.flip, step.position) for step in descent.steps)
        random = self.random(len(descent.steps), x, y, rng)
        return Trial(descent, prior, len(held), runtime, disagreements, random, names)

    def confirm(
        self, descent: Descent, search: BitSearch, x: Codes, y: NDArray[np.int64]
    ) -> tuple[dict[int, float], int]:
        """Accuracy of the runtime at the steps that matter, and decisions in which the lifted graph differs.

        The lifted graph is compared decision by decision in its present state, after the last flip.
        """
        first, last = descent.flips_to_chance, len(descent.steps)
        found: dict[int, float] = {}
        disagreements = 0
        for count in sorted({0, last, *(() if first is None else (first, first + 1))}):
            decisions = _decisions(self.victim, self.target.data, descent.positions[:count], x)
            found[count] = float(np.mean(decisions == y))
            same = round(found[count] * len(y)) == round(descent.accuracy[count] * len(y))
            disagreements += int((decisions != search.box.decide(x)).sum()) if count == last else int(not same)
        return found, disagreements

    def random(self, flips: int, x: Codes, y: NDArray[np.int64], rng: Generator) -> tuple[float, ...]:
        """Accuracy of the lifted graph after as many random flips of weight bits."""
        from tinymlsec.attacks.fault._weight_bits import weight_bits
        from tinymlsec.target.tflite.edit import flip_bits

        assert self.target.model is not None
        bits = weight_bits(self.target.model)
        draws = (bits.draw(rng, min(flips, bits.total)) for _ in range(self.config.random_draws))
        files = (flip_bits(self.target.data, positions) for positions in draws)
        return tuple(float(np.mean(white_box(self.victim.variant(file)).decide(x) == y)) for file in files)

    def positive_control(self) -> Control:
        """The same search on a model that few flips must ruin."""
        victim = self.context.victim_of(bottleneck_twin())
        x = bottleneck_inputs(self.twin_rng, TWIN_BATCH + HELD_OUT)
        y = victim.decisions(victim.scores(x))
        search = BitSearch(white_box(victim), x[:TWIN_BATCH], y[:TWIN_BATCH], self.config.candidates)
        held, truth = x[TWIN_BATCH:], y[TWIN_BATCH:]
        bar = largest_share(truth) + ABOVE_CHANCE
        descent = descend(search, held, truth, bar=bar, max_flips=FLIPS, progress=lambda flips, accuracy: None)
        ruined = float(np.mean(_decisions(victim, victim.data, descent.positions, held) == truth))
        reached = descent.flips_to_chance
        said = f"at chance after {reached} flips" if reached is not None else f"not at chance: {descent.stopped}"
        return Control(
            kind="positive",
            twin="int8 model all of whose decisions go through one value",
            succeeded=reached is not None and ruined <= bar,
            detail=f"{said}; the runtime answers {ruined:.1%} rightly (needed: at most {bar:.1%})",
        )

    def summary(self, trials: list[Trial]) -> str:
        """One sentence for the report."""
        trial = trials[middle_trial(trials)]
        before, prior = trial.descent.accuracy[0], trial.prior
        reached, count = median_flips(trials), len(trials)
        searches = f"{sum(t.descent.flips_to_chance is not None for t in trials)} of {count} searches"
        if reached is None:
            return (
                f"{searches} reached chance ({prior:.1%}); {len(trial.descent.steps)} chosen bit flips bring accuracy "
                f"from {before:.1%} to {min(trial.descent.accuracy):.1%}."
            )
        return (
            f"{reached:g} chosen bit flips (median; {searches} reached chance) bring accuracy from {before:.1%} to "
            f"chance ({prior:.1%})."
        )

    def artifacts(self, trials: list[Trial]) -> tuple[Artifact, ...]:
        """Which bits were flipped, per seed, and what was left after each."""
        rows = [(k, i, s.position) for k, t in enumerate(trials) for i, s in enumerate(t.descent.steps)]
        if not rows:
            return ()
        columns = np.array(rows, dtype=np.int64)
        artifact = self.context.save_arrays(
            "progressive-bit-search-flips.npz",
            "Chosen flips in order: search, step, bit of the file (8 x byte + bit), held-out accuracy after it.",
            search=columns[:, 0],
            step=columns[:, 1],
            file_bit=columns[:, 2],
            accuracy=np.array([a for t in trials for a in t.descent.accuracy[1:]]),
        )
        return (artifact,)

    def facts(self, trials: list[Trial]) -> dict[str, Any]:
        """Every search: its flips by name, its accuracies, why it ended, what the runtime said."""
        return {
            "weight_bits": WeightMap(self.target.lifted.graph).bits,
            "search_batch": self.batch,
            "held_out": trials[0].held,
            "disagreements_with_runtime": sum(t.disagreements for t in trials),
            "searches": [
                {
                    "flips_to_chance": t.descent.flips_to_chance,
                    "stopped": t.descent.stopped,
                    "chance_with_margin": t.bar,
                    "accuracy": list(t.descent.accuracy),
                    "accuracy_on_runtime": {str(k): v for k, v in t.runtime.items()},
                    "accuracy_after_random_flips": list(t.random),
                    "flips": list(t.flips),
                }
                for t in trials
            ],
        }


def _decisions(victim: Victim, data: bytes, positions: NDArray[np.int64], x: Codes) -> NDArray[np.int64]:
    """What the runtime decides with the flipped file."""
    from tinymlsec.target.tflite.edit import flip_bits

    variant = victim.variant(flip_bits(data, positions))
    return variant.decisions(variant.scores(x))


def _named(weights: WeightMap, flip: Any, position: int) -> dict[str, Any]:
    block = weights.blocks[flip.block]
    tensor = block.tensors[0]
    return {
        "tensor": tensor,
        "name": weights.main.tensors[tensor].name[:80],
        "channel": weights.channel(flip),
        "element": flip.element,
        "bit": flip.bit,
        "file_offset": position // 8,
    }
