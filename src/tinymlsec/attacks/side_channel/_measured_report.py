"""What measured traces showed, as metrics, drawings and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinymlsec.analysis.correlation import chance_level
from tinymlsec.analysis.intervals import Z95
from tinymlsec.analysis.rank import Ranks, entropy_curve, guessing_entropy, success_curve, success_rate, traces_needed
from tinymlsec.attacks.side_channel._measured_look import MODELS, Family
from tinymlsec.attacks.side_channel._measured_weights import GUESSES
from tinymlsec.figures import Line, Series
from tinymlsec.records import Curve, Metric, Verdict, VerdictKind

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._measured_run import Done, Examined

GOAL = 0.9
"""Share of weights that must be first in rank for traces to be called enough."""
DRAWN = 1e6
"""Largest ratio that is drawn; without noise there is none."""


def verdict_of(done: Done, detectable: float) -> Verdict:
    """Vulnerable where weights speak, resistant where nothing does that this many traces would have shown.

    Args:
        done: what was seen.
        detectable: largest |r| that traces must be able to show before their silence counts.
    """
    seen, words = done.seen, summary(done)
    if not done.negative.succeeded:
        return Verdict(
            kind=VerdictKind.INCONCLUSIVE, reason=f"{words}; exchanged inputs show as well, so neither counts"
        )
    if seen.weights_speak:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=words)
    if seen.inputs_speak and seen.subject.sums is None:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"{words}; no layer with int8 weights could be looked at")
    if seen.inputs_speak:
        reason = f"{words}: the inputs are given away (H3), of the weights (H2) these traces show nothing"
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)
    if not done.positive.succeeded:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"{words}; the loud twin was not read either")
    if seen.detectable > detectable:
        reason = f"{words}; too few traces: only correlations above {seen.detectable:.3f} would have shown"
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)
    return Verdict(
        kind=VerdictKind.RESISTANT,
        reason=f"{words}; correlations above {seen.detectable:.3f} would have shown, and the loud twin was read",
    )


def summary(done: Done) -> str:
    """One sentence."""
    seen = done.seen
    parts = list(_found(seen))
    head = f"{seen.look.traces:,} traces"
    return f"{head}: {'; '.join(parts)}" if parts else f"{head}: nothing above chance ({seen.subject.words})"


def _found(seen: Examined) -> Iterator[str]:
    inputs, outputs, sums = seen.look.families["inputs"], seen.look.families.get("outputs"), seen.look.sums
    if inputs.speaks:
        byte = seen.subject.bytes[inputs.peak[0] % len(seen.subject.bytes)]
        yield f"input byte {byte} shows at {_place(inputs, seen.begin)}"
    if sums is not None and sums.speaks:
        yield f"the sum after product {sums.peak[0] + 1} goes with {_place(sums, seen.begin)}"
    if outputs is not None and outputs.speaks:
        yield f"output {seen.subject.outputs[outputs.peak[0]]} shows at {_place(outputs, seen.begin)}"
    if total := len(seen.guesses.weights):
        yield f"{seen.first_in_rank} of {total} guessed weights first among {GUESSES}"
    if seen.groups_differ and seen.look.test is not None:
        test = seen.look.test
        yield f"|t| {test.max_abs[0]:.1f} (threshold {test.threshold:.1f}) between {seen.look.groups.words}"


def _place(family: Family, begin: int) -> str:
    _, sample, r = family.peak
    return f"sample {begin + sample} (r {r:.3f}, chance {family.level:.3f})"


def metrics_of(seen: Examined, rng: np.random.Generator) -> tuple[Metric, ...]:
    """Every number with n and interval."""
    return (*_coefficients(seen), *_ratio(seen), *_t(seen), *_ranked(seen, rng))


def _coefficients(seen: Examined) -> Iterator[Metric]:
    sums = seen.look.sums
    names = {"inputs": "Hamming weight of an input byte", "outputs": "Hamming weight of an output of the layer"}
    if sums is not None:
        names[sums.name] = f"Hamming {'distance' if sums.name.startswith('change') else 'weight'} of the sums"
    for name, words in names.items():
        if (family := seen.look.families.get(name)) is not None:
            label = f"{words}, largest of {family.values.size:,}; chance {family.level:.4f}"
            yield _coefficient(family, label)


def _coefficient(family: Family, label: str) -> Metric:
    r, n = abs(family.peak[2]), family.traces
    low, high = fisher(r, n)
    return Metric.of("max_abs_r", r, low=low, high=high, n=n, label=label)


def fisher(r: float, n: int) -> tuple[float, float]:
    """95 % interval of |r| by Fisher's transformation."""
    if n <= 3 or r >= 1:
        return (0.0 if n <= 3 else r), 1.0
    half = Z95 / np.sqrt(n - 3)
    middle = np.arctanh(r)
    return float(max(np.tanh(middle - half), 0.0)), float(np.tanh(middle + half))


def _ratio(seen: Examined) -> Iterator[Metric]:
    ratios = seen.guesses.ratios
    if not ratios.size:
        return
    row, sample = divmod(int(ratios.argmax()), ratios.shape[1])
    value = float(min(ratios.max(), DRAWN))
    low, high = (min(r * r / max(1 - r * r, 1 / DRAWN), DRAWN) for r in fisher(float(np.sqrt(value / (1 + value))),
                                                                               seen.look.traces))  # fmt: skip
    label = (f"input byte {seen.guesses.ratio_bytes[row]} by weight and sign, sample {seen.begin + sample}; chance "
             f"{seen.guesses.ratio_chance:.2g}, interval approx.")  # fmt: skip
    yield Metric.of("snr", value, low=min(low, value), high=max(high, value), n=seen.look.traces, label=label)


def _t(seen: Examined) -> Iterator[Metric]:
    test = seen.look.test
    if test is not None:
        label = f"{seen.look.groups.words}; threshold {test.threshold:.2f}; {test.excluded:,} samples without variance"
        yield Metric.of("max_abs_t", float(test.max_abs[0]), n=sum(test.groups), label=label)


def _ranked(seen: Examined, rng: np.random.Generator) -> Iterator[Metric]:
    guesses = seen.guesses
    if not len(guesses.weights):
        return
    last = Ranks(guesses.ranks.middle[:, -1], guesses.ranks.worst[:, -1], GUESSES)
    share, known = success_rate(last), "weights before known"
    yield Metric.of("weights_recovered", share.value, low=share.low, high=share.high, n=share.n,
                    label=f"first in rank from {seen.look.traces:,} traces, {known}")  # fmt: skip
    value, (low, high) = guessing_entropy(last, rng)
    yield Metric.of(
        "guessing_entropy", value, low=low, high=high, n=len(guesses.weights), label=f"of a weight, {known}"
    )
    needed = traces_needed(guesses.ranks.success(), guesses.counts, GOAL)
    if needed is not None:
        label = f"{GOAL:.0%} of {len(guesses.weights)} weights first in rank, {known}; of the numbers tried"
        yield Metric.of("traces_to_success", needed, n=len(guesses.weights), label=label)


def curves_of(seen: Examined, rng: np.random.Generator) -> tuple[Curve, ...]:
    """Guessing entropy and success against traces."""
    guesses = seen.guesses
    if not len(guesses.weights):
        return ()
    return (
        entropy_curve(guesses.ranks, guesses.counts, rng, title="Guessing entropy of a weight against traces"),
        success_curve(guesses.ranks.success(), guesses.counts, title="Weights first in rank against traces",
                      chance=1 / GUESSES),
    )  # fmt: skip


def series_of(seen: Examined) -> tuple[Series, ...]:
    """Correlation, ratio and t over time."""
    look, made = seen.look, []
    early = [("input bytes", look.families["inputs"])]
    early += [("sums of products", look.sums)] if look.sums is not None else []
    made.append(_correlations("Largest |r| over time", early, seen.begin))
    if (outputs := look.families.get("outputs")) is not None:
        title = f"Largest |r| of the layer's outputs over time, {outputs.traces:,} traces"
        made.append(_correlations(title, [("outputs of the layer", outputs)], seen.begin))
    if seen.guesses.ratios.size:
        best = np.minimum(seen.guesses.ratios.max(axis=0), DRAWN)
        made.append(Series(title="Signal-to-noise ratio of input bytes over time", x_label="sample", y_label="ratio",
                           lines=(Line.of("largest of the bytes that show best", best, start=seen.begin),),
                           thresholds=(seen.guesses.ratio_chance,)))  # fmt: skip
    if look.test is not None:
        ends = (look.test.threshold, -look.test.threshold)
        made.append(Series(title=f"Welch's t over time: {look.groups.words}"[:200], x_label="sample", y_label="t",
                           lines=(Line.of("t", look.test.values[0], start=seen.begin),), thresholds=ends))  # fmt: skip
    return tuple(made)


def _correlations(title: str, families: Sequence[tuple[str, Family]], begin: int) -> Series:
    """Each family, all of them with inputs exchanged, and the highest of their levels of chance."""
    lines = [Line.of(name, family.over_time, start=begin) for name, family in families]
    quiet = np.max([np.abs(family.silent).max(axis=0) for _, family in families], axis=0)
    return Series(
        title=title,
        x_label="sample",
        y_label="|r|",
        lines=(*lines, Line.of("inputs exchanged", quiet, start=begin)),
        thresholds=(max(family.level for _, family in families),),
    )


def facts_of(seen: Examined) -> dict[str, Any]:
    """Further facts."""
    look, guesses = seen.look, seen.guesses
    order = look.shown_best()
    return {
        "looked_at": seen.subject.words,
        "groups": look.groups.words,
        "detectable_correlation": round(seen.detectable, 5),
        "detectable_when_alone": round(chance_level(look.traces, 1), 5),
        "sums_show_best_as": MODELS[order] if look.sums is not None else None,
        "speaks_of_inputs_H3": seen.inputs_speak or seen.weights_speak,
        "speaks_of_weights_H2": seen.weights_speak,
        "families": [_row(family, seen.begin) for family in look.families.values()],
        "weights_by_luck": guesses.together,
        "polarity": guesses.sense,
        "weights": list(_weights(seen)),
    }


def _weights(seen: Examined) -> Iterator[dict[str, Any]]:
    guesses = seen.guesses
    for k, product in enumerate(guesses.weights):
        yield {
            "product": int(product),
            "rank": float(guesses.ranks.middle[k, -1]),
            "by_luck": round(float(guesses.luck[k]), 5),
            "partial_correlation": round(float(guesses.best[k]), 5),
        }


def _row(family: Family, begin: int) -> dict[str, Any]:
    row, sample, r = family.peak
    return {
        "name": family.name,
        "predictions": len(family.values),
        "traces": family.traces,
        "largest": round(r, 5),
        "prediction": row,
        "sample": begin + sample,
        "chance": round(family.level, 5),
        "inputs_exchanged": round(float(np.abs(family.silent).max(initial=0.0)), 5),
    }
