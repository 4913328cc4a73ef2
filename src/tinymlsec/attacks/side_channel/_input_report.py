"""Numbers and words of input recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.intervals import Share, bootstrap, wilson
from tinymlsec.records import Metric

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._input_run import Done
    from tinymlsec.attacks.side_channel.input_from_trace import InputFromTraceConfig

WITHOUT = "best guess without traces"


def words_of(done: Done, config: InputFromTraceConfig) -> str:
    """One sentence."""
    n, share, low = done.found.n, done.gain[0], done.gain[1].low
    traces = "one trace" if config.traces == 1 else f"{config.traces} averaged traces"
    inputs = "one input" if n == 1 else f"each of {n} inputs"
    taken = f"the traces take away {share:.0%} of the guess's error (at least {low:.0%})"
    return (
        f"{done.found.exact.mean():.1%} of the {done.size} values of {inputs} exact from {traces} at a ratio of "
        f"{config.snr:g}, {done.guessed.exact.mean():.1%} by the best guess without traces; {taken}"
    )


def metrics_of(done: Done, config: InputFromTraceConfig, rng: np.random.Generator) -> tuple[Metric, ...]:
    """All of them with interval and n, those of the guess beside those of the attack."""
    label = f"{config.traces} traces, ratio {config.snr:g}"
    made = []
    for name, part in (("inputs_recovered", "exact"), ("input_error", "error"), ("psnr_db", "psnr"),
                       ("correlation", "correlation")):  # fmt: skip
        for words, scores in ((label, done.found), (WITHOUT, done.guessed)):
            made += _over_inputs(name, getattr(scores, part), words, rng, done.size if part == "exact" else 0)
    for words, share in (("decision on the recovered input", done.decided), (f"decision on the {WITHOUT}",
                                                                           done.decided_guess)):  # fmt: skip
        made += _share(words, share)
    return (*made, Metric.of("snr", config.snr, label="set, at the last sum of an output value"))


def _over_inputs(
    name: str, values: NDArray[np.float64], label: str, rng: np.random.Generator, size: int = 0
) -> list[Metric]:
    """The mean with its interval; none where no input has a value.

    Shares of `size` values: where all inputs agree the bootstrap has no width, so Wilson's interval is its least.
    """
    there = values[np.isfinite(values)]
    if not len(there):
        return []
    low, high = bootstrap(there, rng)
    if size:
        least = wilson(round(float(there.sum()) * size), len(there) * size)
        low, high = min(low, least.low), max(high, least.high)
    return [Metric.of(name, float(there.mean()), low=low, high=high, n=len(there), label=label)]


def _share(label: str, share: Share | None) -> list[Metric]:
    if share is None:
        return []
    return [Metric.of("fidelity", share.value, low=share.low, high=share.high, n=share.n, label=label)]
