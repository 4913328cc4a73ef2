"""Weights from power or EM traces of the running firmware, and a clone made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Basis,
    Curve,
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
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class CpaWeightsConfig(AttackConfig):
    """Counted work, and how the traces are simulated."""

    traces: int = Field(default=1000, ge=50, le=1_000_000)
    """Inferences that are measured."""
    snr: float = Field(default=1.0, gt=0, le=1e6)
    """Signal-to-noise ratio at the sample of the last sum of each channel."""
    layers: int = Field(default=6, ge=1, le=1000)
    """Layers that are attacked, spread over the model."""
    channels: int = Field(default=2, ge=1, le=10_000)
    """Output channels of each layer, drawn at random."""
    clone: bool = False
    """Attack all channels of all layers and rebuild the model from what was recovered."""
    pixels: int = Field(default=2, ge=1, le=64)
    """Output pixels of each inference that are looked at."""
    beam: int = Field(default=16, ge=1, le=512)
    """Paths that are kept while weights are guessed."""
    attacker: Literal["profiled", "non_profiled"] = "profiled"
    """Whether they own an identical build, on which they choose the weights, or have traces of the device alone."""
    leakage: Literal["hamming_weight", "hamming_distance", "mixed"] = "hamming_weight"
    """What the probe sees."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels; with the DSP extension weights are guessed in pairs."""


@attack(
    id="cpa-weights",
    title="Weights and biases from power or EM traces",
    family="side_channel",
    threats=("H2",),
    needs=(Capability.MODEL, Capability.SCORES, Capability.FIRMWARE),
    position=Position.PHYSICAL,
    controls=("small dense layer that leaks loudly", "the same layer with a constant signal"),
    source="Batina, Bhasin, Jap, Picek: CSI NN, USENIX Security 2019; Chari, Rao, Rohatgi: Template Attacks, CHES 2002",
    config=CpaWeightsConfig,
    presets={
        EffortLevel.QUICK: {"traces": 400, "layers": 3, "channels": 1},
        EffortLevel.STANDARD: {"traces": 1000, "layers": 6, "channels": 2},
        EffortLevel.THOROUGH: {"traces": 2000, "layers": 1000, "channels": 8, "pixels": 3, "clone": True},
    },
)
def cpa_weights(target: Target, config: CpaWeightsConfig, context: Context) -> Observation:
    """Reads weights and biases out of simulated traces of the model's own firmware.

    ## What it does

    It builds the model as firmware for the device's core, runs it in the emulator with random inputs, and records what
    a probe over the chip would see. From these traces it recovers weights one after the other, then the bias. With
    `clone` it does so for the whole model, computes the activations of each layer from what was recovered before, and
    ends with a cloned `.tflite` that is compared with the original.

    ## Why it works on a microcontroller

    A kernel adds product after product to a register, one weight at a time, in an order that never changes. The Hamming
    weight of the sum depends on the secret weight and on inputs that the attacker knows. An int8 weight has 255 values.
    There is neither noise from other cores nor masking.

    ## Method

    *Profiling*: on a board of their own with the same firmware and weights of their own, the attacker finds by
    correlation at which samples each sum and each load of a weight shows, as a Hamming weight or distance, and with
    which gain and level. *Extraction*: weights are guessed along the sum. A guess and its double look alike in the
    first product, so the most likely paths are kept and judged by the sums that they lead to; the likelihood is that
    of the templates under Gaussian noise, over all samples of a step and several output pixels of each inference. The
    bias follows as the number that is added to the known sum.

    With `attacker = "non_profiled"` there is no such board. Known inputs show in the device's own traces when they are
    loaded; these samples, ascending in the order of the products, are anchors. The first weights are walked at every
    distance behind the anchors, with every feature (weight of the sum, distance, both, product), and judged by
    correlation; what known inputs explain by themselves counts for nothing, nor does a weight of zero that repeats the
    sum before it, since each sum has its own later sample. The best distance and feature are kept, gain and level
    follow by regression from what was recovered, and all weights are recovered once more with them. The report's facts
    give what was measured.

    The noise is set by the signal-to-noise ratio at the sample of the last sum and is the same for the whole trace.
    `weights_recovered` counts weights that are exactly right, among those that were multiplied with anything but zero
    in at least one trace. The verdict is *vulnerable* where the lower end of that share's interval is above one half,
    *resistant* where its upper end is below 5 % and the loud twin was read, *inconclusive* otherwise.

    ## Controls

    Positive: a dense layer of 16 x 4 at a ratio of 100, of which 95 % of the weights must be found. Negative: the same
    layer with a constant signal, where nothing may be found but by luck.

    ## Limits

    The traces are simulated: one sample for each instruction, the Hamming weight or distance of registers, Gaussian
    noise. A real chip blurs, shifts and weights them otherwise; whether its ratio is 1 or 0.01 only a measurement
    tells. The attacker is given the architecture and the scales, and either an identical build or the source of the
    kernels. Windows are aligned by the program counter, as good triggering would. Models with state are not covered.
    Which weights can be had, from how many traces, for which kernel: docs/side-channels/weights.md.

    Source: L. Batina, S. Bhasin, D. Jap, S. Picek, "CSI NN: Reverse Engineering of Neural Network Architectures Through
    Electromagnetic Side Channel", USENIX Security 2019; S. Chari, J. Rao, P. Rohatgi, "Template Attacks", CHES 2002;
    R. Joud, P.-A. Moellic, S. Pontie, J.-B. Rigaud, "A Practical Introduction to Side-Channel Extraction of Deep Neural
    Network Parameters", CARDIS 2022.
    """
    from tinymlsec.attacks.side_channel._weights_run import GIVEN, run

    done = run(target, config, context)
    return Observation(
        verdict=_verdict(done.share.low, done.share.high, done.positive.succeeded, done.words),
        basis=Basis.SIMULATED,
        summary=f"{done.words}.",
        metrics=(
            Metric.of(
                "weights_recovered", done.share.value, low=done.share.low, high=done.share.high, n=done.seen,
                label=f"{config.traces} traces, ratio {config.snr:g}, {config.attacker.replace('_', '-')}",
            ),
            Metric.of("snr", config.snr, label="set, at the last sum of a channel"),
            *done.metrics,
        ),
        curves=(
            Curve(
                title="Weights recovered against traces", x_label="traces", metric="weights_recovered",
                points=done.points, log_x=True, chance=1 / 255,
            ),
            *([done.entropy] if done.entropy else []),
        ),
        series=(done.series,) if done.series else (),
        positive_control=done.positive,
        negative_control=done.negative,
        chance=1 / 255,
        artifacts=done.artifacts,
        effort=Effort(
            traces=config.traces, queries=config.traces, knowledge=Knowledge.RESTRICTED, expertise=Expertise.EXPERT,
            equipment=Equipment.SPECIALIZED, samples=2 if config.attacker == "profiled" else 1,
        ),
        limits=(
            f"Simulated: {config.leakage} of emulated firmware, one sample for each instruction, Gaussian noise.",
            f"The attacker was given: {', '.join(GIVEN[config.attacker])}.",
        ),
        facts=done.facts,
    )  # fmt: skip


def _verdict(low: float, high: float, controlled: bool, words: str) -> Verdict:
    if low > 0.5:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=words)
    if high < 0.05 and controlled:
        return Verdict(kind=VerdictKind.RESISTANT, reason=f"{words}; the loud twin was read")
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"{words}: neither half of the weights nor none of them")
