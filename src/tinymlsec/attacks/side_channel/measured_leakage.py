"""Traces of the device itself: what they tell of its inputs and of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Effort, Equipment, Expertise, Knowledge
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class MeasuredLeakageConfig(AttackConfig):
    """How much of the traces is looked at."""

    traces: int = Field(default=10_000, ge=4, le=100_000_000)
    """Traces that are used, the first of the set, at most."""
    inputs: int = Field(default=64, ge=1, le=4096)
    """Input bytes that are looked at: first those of the sum, then others spread over the input."""
    outputs: int = Field(default=16, ge=1, le=1024)
    """Outputs of the layer that are looked at."""
    steps: int = Field(default=12, ge=2, le=256)
    """Products of a sum that are followed."""
    weights: int = Field(default=8, ge=1, le=256)
    """Weights that are guessed; fewer than about six cannot tell a leak from luck."""
    points: int = Field(default=2000, ge=10, le=100_000)
    """Samples at which they are guessed: those that speak of the inputs most."""
    first: int = Field(default=0, ge=0)
    """First sample of each trace that is looked at."""
    last: int = Field(default=0, ge=0)
    """The one after the last; 0 for the end of the traces."""
    asked: int = Field(default=1000, ge=0, le=10_000_000)
    """Traces, at most, for which the runtime is asked for the layer's outputs and for decisions."""
    detectable: float = Field(default=0.1, gt=0, lt=1)
    """Correlation that the traces must be able to show before their silence counts as resistance."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the device's kernels: with the DSP extension products are added in pairs."""


@attack(
    id="measured-leakage",
    title="Measured traces: what they tell of inputs and weights",
    family="side_channel",
    threats=("H2", "H3"),
    needs=(Capability.MODEL, Capability.SCORES, Capability.TRACES),
    position=Position.PHYSICAL,
    controls=("traces of the same layer that leak loudly", "the same traces with their inputs exchanged"),
    source="Brier, Clavier, Olivier: Correlation Power Analysis with a Leakage Model, CHES 2004; Batina, Bhasin, Jap, "
    "Picek: CSI NN, USENIX Security 2019; Goodwill, Jun, Jaffe, Rohatgi: NIAT 2011",
    config=MeasuredLeakageConfig,
    presets={
        EffortLevel.QUICK: {"traces": 2000, "inputs": 32, "outputs": 8, "steps": 8, "weights": 8, "points": 1000,
                            "asked": 300},
        EffortLevel.STANDARD: {},
        EffortLevel.THOROUGH: {"traces": 1_000_000, "inputs": 256, "outputs": 64, "steps": 32, "weights": 32,
                               "points": 20_000, "asked": 100_000},
    },
)  # fmt: skip
def measured_leakage(target: Target, config: MeasuredLeakageConfig, context: Context) -> Observation:
    """Reads in traces that you recorded what the device gives away, without a profile, with your own weights as truth.

    ## What it does

    It takes traces with the input of each (`--traces`) and asks what any of their samples knows: of single bytes of the
    input, of the sums of products that the first layer (or the one that `--trace-window` names) forms with your
    weights, of that layer's outputs, and of the decision. Then it guesses some weights from the traces alone, as an
    attacker would, and says at which rank the true ones come out and how many traces that takes. Sets of traces with
    one fixed input among random ones, as test vector leakage assessment asks for, are recognized and tested as such.

    ## Why it works on a microcontroller

    A microcontroller loads one input after the other and adds one product after the other to a register, always in the
    same order, with nothing else going on. What a register or a bus draws depends on the bits that it holds or changes.
    The designer knows the weights, so they can say what each sum was for each input and look for it: what is found
    there, an attacker who has to guess the weights finds with more traces.

    ## Method

    One pass correlates every sample with the Hamming weight of input bytes, as they cross a bus and as a register holds
    them; with the Hamming weight and distance of the sums after each of the first products, in three orders of
    computing (bias last, bias first, zero point folded into the bias); and with the Hamming weight of the layer's
    outputs, which the reference runtime computes for the first `asked` traces. Levels of chance are corrected for all
    predictions and samples together (one false alarm in a thousand sets). Welch's t compares the fixed input with all
    others, else the most frequent decision with all others, with a threshold corrected for the length of the traces.

    A second pass guesses weights along the sum by correlation, each with the weights before it known. Guess 0 predicts
    the sum before, small powers of two predict the input, and both leak at samples of their own; so what these explain
    is taken out of prediction and sample (partial correlation), and only samples behind the one of the sum before
    count. Sums go with their inputs under any weights, so whether the *weights* speak is judged by the ranks alone. How
    well true weights rank by luck is drawn from noise, for all of them together, since guesses and neighboring weights
    share their luck; the probability (Brown's combination, times two polarities of the probe and six models of the sum)
    must be below one in a hundred thousand, since it is extrapolated. The ratio of signal to noise is taken by the
    weight and sign of the bytes that show best.

    The verdict is *vulnerable* where the true weights rank before others by more than luck and exchanged inputs are
    silent: such sums give both weights (H2) and, to who knows the weights, inputs (H3) away. It is *inconclusive* where
    the inputs show and the weights do not. It is *resistant* only where nothing shows, the loud twin was read, and the
    traces are enough for correlations above `detectable`; that number stands in the verdict.

    ## Controls

    Positive: 600 traces that leak loudly, analyzed by the same code, in which inputs and weights must be found: of the
    emulated firmware of the same layer at a ratio of 10 where there is a board for it, else made of the Hamming weights
    of inputs and sums. Negative: the traces themselves with their inputs exchanged among each other, which breaks every
    true dependence and keeps all else that the oscilloscope did. Nothing may be above chance there.

    ## Limits

    The basis is what the set says of itself: *measured* for files from an oscilloscope, *simulated* for campaigns of
    `tinymlsec traces simulate`. No traces of a neural network on real hardware were at hand when this was written; it
    was tested on simulated sets that were exported to each of the formats and imported again. Traces must be aligned.
    What is not found may be found by a better probe, a profile, more samples at once, or a model of the leak that is
    not a Hamming weight or distance; in particular registers that hold something else before the sum. Sums are those of
    one output value, whose products are taken in the order of the reference kernels. A fixed input that came in one
    block, and not between the others, differs by drift alone. With random inputs a decision tells little of what a
    t-test could see. For layers behind the first the runtime is asked for the activations of every trace, twice.

    Source: E. Brier, C. Clavier, F. Olivier, "Correlation Power Analysis with a Leakage Model", CHES 2004; L. Batina,
    S. Bhasin, D. Jap, S. Picek, "CSI NN", USENIX Security 2019; G. Goodwill, B. Jun, J. Jaffe, P. Rohatgi, "A testing
    methodology for side-channel resistance validation", NIAT 2011; S. Mangard, CT-RSA 2004.
    """
    from tinymlsec.attacks.side_channel._measured_report import (
        curves_of,
        facts_of,
        metrics_of,
        series_of,
        summary,
        verdict_of,
    )
    from tinymlsec.attacks.side_channel._measured_run import run

    done = run(target, config, context)
    seen, info = done.seen, target.require_traces().set.info
    measured = info.basis is Basis.MEASURED
    return Observation(
        verdict=verdict_of(done, config.detectable),
        basis=info.basis,
        summary=f"{summary(done)}.",
        metrics=metrics_of(seen, context.rng),
        curves=curves_of(seen, context.rng),
        series=series_of(seen),
        positive_control=done.positive,
        negative_control=done.negative,
        chance=seen.look.families["inputs"].level,
        effort=Effort(
            traces=seen.look.traces, queries=seen.look.traces, knowledge=Knowledge.RESTRICTED,
            expertise=Expertise.EXPERT, equipment=Equipment.SPECIALIZED,
        ),
        limits=(
            f"{'Measured' if measured else 'Simulated'}: {info.source}"[:400],
            "Not profiled: one sample at a time, Hamming weights and distances, traces as aligned as they came.",
            f"Of an input byte, correlations above {seen.detectable:.4f} would have shown with a probability of 80 %.",
        ),
        facts=facts_of(seen),
    )  # fmt: skip
