"""The input of an inference from one or few power or EM traces of the running firmware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Effort, Equipment, Expertise, Knowledge, Verdict, VerdictKind
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._input_run import Done
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target

CLEARLY = 0.2
"""Share of the guess's error that traces must take away at least for an input to count as leaking."""
HARDLY = 0.05
"""Share that they may take away at most where it does not."""


class InputFromTraceConfig(AttackConfig):
    """Counted work, and how the traces are simulated."""

    traces: int = Field(default=1, ge=1, le=1_000_000)
    """Traces of the same inference, which are averaged."""
    snr: float = Field(default=1.0, gt=0, le=1e6)
    """Signal-to-noise ratio of one trace at the last sum of an output value inside of the image, over random inputs."""
    inputs: int = Field(default=30, ge=1, le=10_000)
    """Secret inputs that are recovered, at most (and three at least)."""
    values: int = Field(default=5000, ge=1, le=100_000_000)
    """Input values in all, from which the number of inputs follows where they are large."""
    channels: int = Field(default=256, ge=1, le=100_000)
    """Output channels whose sums are used, at most, drawn at random: an attacker has all of them."""
    beam: int = Field(default=64, ge=1, le=4096)
    """Paths that are kept while values are guessed."""
    prior: Literal["uniform", "data"] = "uniform"
    """What the attacker takes for known of inputs: nothing, or how the other inputs of the data are distributed."""
    leakage: Literal["hamming_weight", "hamming_distance", "mixed"] = "hamming_weight"
    """What the probe sees."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels."""


@attack(
    id="input-from-trace",
    title="Inputs from power or EM traces",
    family="side_channel",
    threats=("H3",),
    needs=(Capability.MODEL, Capability.SCORES, Capability.FIRMWARE),
    position=Position.PHYSICAL,
    controls=("small convolution that leaks loudly", "the same layer with a constant signal"),
    source="Batina, Bhasin, Jap, Picek: CSI NN, arXiv 1810.09076; Wei et al.: I Know What You See, ACSAC 2018; "
    "Maji, Banerjee, Chandrakasan: Leaky Nets, IEEE IoT Journal 2021",
    config=InputFromTraceConfig,
    presets={
        EffortLevel.QUICK: {"inputs": 10, "values": 1000, "channels": 64, "beam": 32},
        EffortLevel.STANDARD: {"inputs": 30, "values": 5000, "channels": 256, "beam": 64},
        EffortLevel.THOROUGH: {"inputs": 200, "values": 50_000, "channels": 100_000, "beam": 256},
    },
)
def input_from_trace(target: Target, config: InputFromTraceConfig, context: Context) -> Observation:
    """Reads what the sensor saw out of simulated traces of the model's own firmware.

    ## What it does

    It builds the model as firmware for the device's core, runs its first layer in the emulator on secret inputs, and
    records what a probe over the chip would see. The attacker knows the weights, which are in the firmware or came out
    of attack `cpa-weights`, and recovers every input value. Inputs are those of the user's data, else random.

    ## Why it works on a microcontroller

    A kernel loads the same input value again for every output channel and every window that covers it: 640 times in the
    first layer of a keyword spotter. One inference repeats its secret so often that one trace holds hundreds of noisy
    readings of each value. With known weights every product and every sum is a function of the input alone.

    ## Method

    *Profiling*: on a board of their own with the same firmware, fed with inputs of their own, the attacker finds by
    correlation which samples show which word: codes as they are loaded, with the offset added, multiplied, summed, by
    Hamming weight or by the distance of two words that meet in a register or on the bus. *Recovery*: all 256 codes of a
    value are compared by the likelihood of the profiled templates under Gaussian noise, over all samples in which the
    value speaks. The Hamming weight of a load tells a class of codes only; sums with known weights tell codes of one
    class apart. Values are guessed in the order of the input, and the likeliest paths are kept (a beam), because a
    wrong value spoils every sum after it in every window that covers it. With `prior` set to `data` the distribution of
    each value over other inputs is added. Several traces of the same inference are averaged.

    The noise is set by the signal-to-noise ratio at one sample, over random inputs, and is the same for the whole
    trace. `inputs_recovered` counts values that are exactly right, `input_error` is the mean absolute error in input
    steps; intervals are bootstrapped over inputs. All is compared with the best guess without traces: for each value
    the most frequent code, the median and the mean of other inputs of the data, else of all codes. The verdict is
    *vulnerable* where the traces take away more than 20 % of that guess's error (lower end of the interval), and
    *resistant* where it is less than 5 % (upper end) and the loud twin was read; *inconclusive* otherwise.

    ## Controls

    Positive: a convolution with 8 filters over 8 x 8 x 2 random values at a ratio of 100, of which 95 % must be exact
    from one trace. Negative: the same layer with a constant signal, where nothing may be found but by luck.

    ## Limits

    The traces are simulated: one sample for each instruction, the Hamming weight or distance of registers, Gaussian
    noise. The trace is cut into output values and aligned by the program counter, as good triggering and pattern
    matching would do. Points come from an identical build. Only the first layer is used; with the DSP extension only
    loads, widened codes and sums, and only by Hamming weight. There is one pass over the input: below a threshold of
    noise errors feed errors, which joint inference over all sums would push further down. Models with state, with
    several inputs, and first layers in floating point are not covered.

    Source: L. Batina, S. Bhasin, D. Jap, S. Picek, "CSI Neural Network", arXiv 1810.09076; L. Wei, B. Luo, Y. Li,
    Y. Liu, Q. Xu, "I Know What You See: Power Side-Channel Attack on Convolutional Neural Network Accelerators", ACSAC
    2018; S. Maji, U. Banerjee, A. Chandrakasan, "Leaky Nets", IEEE Internet of Things Journal 2021; S. Chari, J. Rao,
    P. Rohatgi, "Template Attacks", CHES 2002; N. Veyrat-Charvillon, B. Gerard, F.-X. Standaert, "Soft Analytical
    Side-Channel Attacks", ASIACRYPT 2014.
    """
    from tinymlsec.attacks.side_channel._input_report import metrics_of, words_of
    from tinymlsec.attacks.side_channel._input_run import run

    done = run(target, config, context)
    words = words_of(done, config)
    return Observation(
        verdict=_verdict(done, words),
        basis=Basis.SIMULATED,
        summary=f"{words}.",
        metrics=metrics_of(done, config, context.rng),
        curves=done.curves,
        pictures=done.pictures,
        positive_control=done.positive,
        negative_control=done.negative,
        chance=float(done.guessed.exact.mean()),
        artifacts=done.artifacts,
        effort=Effort(
            traces=config.traces, queries=config.traces, knowledge=Knowledge.RESTRICTED, expertise=Expertise.EXPERT,
            equipment=Equipment.SPECIALIZED, samples=2,
        ),
        limits=(
            f"Simulated: {config.leakage} of emulated firmware, one sample for each instruction, Gaussian noise.",
            "The attacker knows the weights, profiled an identical build, and cuts the trace into output values.",
        ),
        facts=done.facts,
    )  # fmt: skip


def _verdict(done: Done, words: str) -> Verdict:
    low, high = done.gain[1]
    if low > CLEARLY:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=words)
    if high < HARDLY and done.positive.succeeded and done.guessed.error.mean() > 0:
        return Verdict(kind=VerdictKind.RESISTANT, reason=f"{words}; the loud twin was read")
    reason = "neither clearly better than the guess nor as bad" if done.positive.succeeded else "the loud twin stood"
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"{words}: {reason}")
