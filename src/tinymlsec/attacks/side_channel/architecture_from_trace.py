"""The architecture of a model from one power or EM trace of one inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Effort, Equipment, Expertise, Knowledge, Metric
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class ArchitectureFromTraceConfig(AttackConfig):
    """How the trace is simulated, and how long it may be."""

    snr: float = Field(default=0.0, ge=0, le=1e6)
    """Variance of the signal over the whole trace, over the variance of the noise; 0 adds no noise."""
    low_pass: int = Field(default=1, ge=1, le=64)
    """Samples that a moving average takes together before noise is added; 1 for none. The rules are not blurred."""
    leakage: Literal["hamming_weight", "hamming_distance", "bus", "mixed"] = "hamming_weight"
    """What the probe sees."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels."""
    compiler: Literal["", "zig", "gcc"] = ""
    """Compiler of the device's firmware; empty takes the one that is there."""
    own_compiler: Literal["", "zig", "gcc"] = ""
    """Compiler with which the attacker builds own models; empty: that of the device."""
    method: Literal["auto", "rhythm", "path"] = "auto"
    """By the rhythm of loops, or by following the code; auto: by rhythm where all kernels keep one."""
    answers_known: bool = True
    """The attacker sees how many values an answer has."""
    samples: int = Field(default=128_000_000, ge=1000, le=256_000_000)
    """Samples that a trace may have; longer inferences are not attacked."""


@attack(
    id="architecture-from-trace",
    title="Architecture from one power or EM trace",
    family="side_channel",
    threats=("H1",),
    needs=(Capability.MODEL, Capability.FIRMWARE),
    position=Position.PHYSICAL,
    controls=("small network of known layers at a ratio of 100", "the same trace with a constant signal"),
    source="Batina, Bhasin, Jap, Picek: CSI NN, USENIX Security 2019; Joud, Moellic, Pontie, Rigaud: Like an Open "
    "Book?, CARDIS 2023",
    config=ArchitectureFromTraceConfig,
    presets={
        EffortLevel.QUICK: {"samples": 32_000_000},
        EffortLevel.STANDARD: {"samples": 128_000_000},
        EffortLevel.THOROUGH: {"samples": 256_000_000, "snr": 0.1},
    },
)
def architecture_from_trace(target: Target, config: ArchitectureFromTraceConfig, context: Context) -> Observation:
    """Recovers the sequence of operators, their output shapes and numbers of products from a single trace.

    ## What it does

    It records one whole inference of the model's firmware in the emulator, one sample for each instruction, and reads
    from these samples alone which operators ran, what shapes they put out and how many products (MACs) they formed.
    The recognizer is given the samples, the shape of the input, which whoever feeds the device knows, and with
    `answers_known` the number of values of an answer. It sees no address, no symbol and nothing of the model.

    ## Why it works on a microcontroller

    One core runs one loop nest after the other, in order, and next to nothing in their timing depends on data. Each
    kernel has a rhythm of its own: so many samples for a product, for a row of taps, for a channel, for a pixel. The
    lengths of these rounds and how often they repeat are the parameters of the layer. Runtimes are public.

    ## Method

    The attacker compiles the public runtime with models of their own for the same core and learns from these, in one of
    two ways. No own model is the target.

    *By rhythm*, where all kernels keep one (code by zig). Rules come from single layers with small loop counts. A run
    with one round more differs by one block; from where that block lies follows the whole loop nest, for any counts.
    Blocks that taps beyond the border of an image bring in are learned the same way. The mean signal of each
    instruction comes from own chains of layers with random weights. Layers without weights are built for the shape at
    hand. Recognition goes from layer to layer; the output of one is the input of the next. The first pixel is compared
    with what each kernel, window, stride and padding would give. Channel follows channel without a gap until the
    correlation breaks; that tells their number. Pixels and rows follow each other at constant distances, and border
    pixels are shorter, which tells stride and padding. Under noise all pixels are averaged, and for dense layers what
    follows is taken into account. Where nothing fits, up to three layers are taken back and other candidates for them
    tried. RESHAPE runs nothing; it shows as two samples more between two kernels.

    *By path*, where the length of a kernel depends on data (code by gcc, whose clamp branches), and with little noise.
    Own builds tell which instruction may follow which and how each one's signal is distributed; A. Viterbi's algorithm
    then finds the likeliest sequence of instructions through the whole trace. Calls of layers cut it into layers, the
    functions that ran tell their kinds, and how often some instructions ran, of which own layers of known shapes tell
    what they count (pixels, outputs, rows of taps, products, taps beyond each border), leaves one shape for each. A
    layer whose samples are less likely than those of own runs of the same instructions is not taken.

    `layers_recovered` is the share of layers with the right kind, with the right kind and shape, and with the right
    kind and number of products. The verdict is *vulnerable* where shapes are right for more than half of the layers,
    *resistant* where the interval stays below a quarter and the weak twin was read, else *inconclusive*.

    ## Controls

    Positive: a small network with a convolution, depthwise and pointwise layers, a pool, a dense layer and softmax at a
    signal-to-noise ratio of 100; 80 % of its layers must be recovered. Negative: the same trace with a constant signal
    under the noise, in which nothing may be recognized.

    ## Limits

    Traces are simulated: aligned samples, one for each instruction, without interrupts, caches or a clock that drifts.
    The rules hold for one compiler, level and runtime: with rules of another compiler nothing is recognized (the page
    on architecture recovery has figures). By path, noise at a ratio of 10 already cuts layers where there are none, and
    generated code must look like that of own models. Neither way learns the unrolled and DSP kernels, depthwise
    multipliers, dilation, groups, windows beyond 11 x 11 and different strides along both axes. SOFTMAX and LOGISTIC as
    the last operator are told apart by the number of answers, not by the trace. Float models are not covered.

    Source: L. Batina, S. Bhasin, D. Jap, S. Picek, "CSI NN: Reverse Engineering of Neural Network Architectures Through
    Electromagnetic Side Channel", USENIX Security 2019; R. Joud, P.-A. Moellic, S. Pontie, J.-B. Rigaud, "Like an Open
    Book? Read Neural Network Architecture with Simple Power Analysis on 32-bit Microcontrollers", CARDIS 2023;
    T. Eisenbarth, C. Paar, B. Weghenkel, "Building a Side Channel Based Disassembler", Transactions on Computational
    Science X, 2010.
    """
    from tinymlsec.attacks.side_channel import _arch_report as report
    from tinymlsec.attacks.side_channel._arch_run import run

    done = run(target, config, context)
    right = sum(row.shape for row in done.rows)
    return Observation(
        verdict=report.verdict(done.rows, done.positive),
        basis=Basis.SIMULATED,
        summary=f"From one trace of {done.samples:,} samples ({done.noise}) kind and output shape of {right} of "
        f"{len(done.rows)} layers were recovered.",
        metrics=(*report.metrics(done.rows), *_ratio(config.snr)),
        series=(done.series,),
        positive_control=done.positive,
        negative_control=done.negative,
        chance=0.0,
        effort=Effort(
            traces=1, queries=1, knowledge=Knowledge.PUBLIC, expertise=Expertise.EXPERT,
            equipment=Equipment.SPECIALIZED, samples=2,
        ),
        limits=(
            f"Simulated: {config.leakage} of emulated firmware, one sample for each instruction, {done.noise}.",
            "The attacker builds own models with the same runtime for the same core.",
        ),
        facts=done.facts,
    )  # fmt: skip


def _ratio(snr: float) -> tuple[Metric, ...]:
    """The ratio that was set; a trace without noise has none."""
    return (Metric.of("snr", snr, label="set, over the whole trace"),) if snr else ()
