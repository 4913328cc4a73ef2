"""Leakage assessment: where in an inference a probe would see something that depends on inputs or weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Artifact, Basis, Effort, Equipment, Expertise, Knowledge
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_run import Assessed
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class LeakageAssessmentConfig(AttackConfig):
    """Counted work, and how the traces are simulated."""

    traces: int = Field(default=2000, ge=20, le=1_000_000)
    """Traces of each window and test, half of them with the fixed input or the fixed weights."""
    snr: float = Field(default=1.0, gt=0, le=1e6)
    """Signal-to-noise ratio at the last sum of the control layer's first channel; the noise follows from it."""
    inferences: int = Field(default=16, ge=1, le=10_000)
    """Whole inferences from which layers behind the first take the values that they are fed."""
    channels: int = Field(default=2, ge=1, le=1000)
    """Output channels of the pixel that is the window of a layer with weights."""
    points: int = Field(default=4096, ge=64, le=65_536)
    """Samples that are kept of a window, at most; of longer ones stretches spread over it."""
    against: Literal["both", "inputs", "weights"] = "both"
    """What is random in the second group of traces."""
    leakage: Literal["hamming_weight", "hamming_distance", "bus", "bus_distance", "mixed"] = "hamming_weight"
    """What the probe sees."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels."""


@attack(
    id="leakage-assessment",
    title="Leakage assessment: t-tests and signal-to-noise ratios of every layer",
    family="side_channel",
    threats=("H2", "H3"),
    needs=(Capability.MODEL, Capability.FIRMWARE),
    position=Position.PHYSICAL,
    controls=("small dense layer that leaks loudly", "the same layer with a constant signal"),
    source="Goodwill, Jun, Jaffe, Rohatgi: A testing methodology for side-channel resistance validation, NIST NIAT "
    "2011; Schneider, Moradi: Leakage Assessment Methodology, CHES 2015; Mangard: Hardware Countermeasures against "
    "DPA, CT-RSA 2004",
    config=LeakageAssessmentConfig,
    presets={
        EffortLevel.QUICK: {"traces": 600, "inferences": 6},
        EffortLevel.STANDARD: {"traces": 2000, "inferences": 16},
        EffortLevel.THOROUGH: {"traces": 20_000, "inferences": 200, "channels": 8, "points": 16_384},
    },
)
def leakage_assessment(target: Target, config: LeakageAssessmentConfig, context: Context) -> Observation:
    """Tests at every instruction whether simulated traces depend on the input, and whether on the weights.

    ## What it does

    It builds the model as firmware for the device's core, records what a probe over the chip would see of every layer,
    and compares two groups of traces: a fixed input against random ones, and the fixed weights against random ones. It
    names the instructions and source lines at which the groups differ most, says how many traces that takes, and gives
    the signal-to-noise ratio of bytes of the input, weights, sums and outputs. It extracts nothing.

    ## Why it works on a microcontroller

    A simple core does one thing at a time, and what it does moves bits of the data that it works on. Wherever such a
    bit depends on an input or a weight, power and emission do, on average; a t-test finds it without knowing how. This
    is the test that laboratories begin with, and a developer can run it before there is a board.

    ## Method

    *Windows.* A whole inference has millions of instructions, most of them the same loops again. Of a layer with
    weights one output pixel in the middle with some channels is run; of other layers the beginning, up to 16,384
    instructions. Reports say how many of a layer's instructions and addresses that is.

    *Groups.* Traces of both groups are interleaved at random. Random inputs of the model are uniform codes; what layers
    behind the first are fed is drawn, place by place, from the values of some whole inferences, so that a silent
    activation stays silent. Random weights are drawn from all weights of the layer and written into the firmware's
    table, with the input fixed.

    *Tests.* Welch's t of means and of variances, streamed. The threshold follows from a probability of 0.001 of a false
    alarm anywhere: all windows, samples, both orders and both tests together. Samples without variance are excluded and
    counted. The signal-to-noise ratio takes each value by its number of set bits, sign-extended to a word, and stands
    beside the ratio expected by chance and the largest one over all samples with the labels shuffled.

    *Alignment.* Traces are aligned by the program counter: the k-th execution of an instruction stands beside the k-th
    in every other trace. What not every trace executes is left out and counted, with the number of traces that part.

    *Noise.* The ratio is set once, at a named sample of a control layer on the same core, and becomes one sigma for
    everything. It is the same for every target on that core: a quieter target is not given a quieter probe.

    *Traces needed.* t grows with the square root of the number of traces; the number at which the worst sample passes
    the threshold follows, with the interval of its t, and for other ratios from the signal without noise.

    The verdict is *inconclusive* where something alarms: a t-test says that something depends on the data, not that a
    secret can be had from it, and a threat is demonstrated only by what was really taken. It is *resistant* only where
    nothing alarms against inputs or weights, no path depends on the data, no layer was cut short, the silent control
    was silent and the loud one alarmed with the same noise and as many traces; the verdict then names the difference
    that would have been found. It is never *vulnerable*.

    ## Controls

    Positive: a dense layer of 16 x 4 on the same core with the same noise and number of traces, which must alarm in
    every test that is made. Negative: the same layer with its signal replaced by a constant, which must not alarm.

    ## Limits

    Simulated: one sample for each instruction, a leakage model of registers or bus, Gaussian noise; what a real chip
    leaks besides (coupling, pipeline, glitches) is not in it. One fixed input and one pixel stand for all: a layer
    without alarm may leak elsewhere. Registers of a floating-point unit are not recorded. A device that passes is not
    shown to be safe, and most alarms cannot be used as they are (Standaert, CARDIS 2018; Whitnall, Oswald, ASIACRYPT
    2019). Models with state are run from their first.

    Source: G. Goodwill, B. Jun, J. Jaffe, P. Rohatgi, "A testing methodology for side-channel resistance validation",
    NIST Non-Invasive Attack Testing Workshop 2011; T. Schneider, A. Moradi, "Leakage Assessment Methodology", CHES
    2015; A. Ding, L. Zhang, F. Durvaux, F.-X. Standaert, Y. Fei, "Towards Sound and Optimal Leakage Detection
    Procedure", CARDIS 2017; S. Mangard, "Hardware Countermeasures against DPA: A Statistical Analysis of Their
    Effectiveness", CT-RSA 2004; D. McCann, E. Oswald, C. Whitnall, "Towards Practical Tools for Side Channel Aware
    Software Engineering", USENIX Security 2017.
    """
    from tinymlsec.attacks.side_channel import _assess_plots as plots
    from tinymlsec.attacks.side_channel import _assess_report as report
    from tinymlsec.attacks.side_channel._assess_run import run
    from tinymlsec.attacks.side_channel._assess_verdict import judge

    found = run(target, config, context)
    return Observation(
        verdict=judge(found),
        basis=Basis.SIMULATED,
        summary=_summary(found),
        metrics=report.metrics(found),
        curves=plots.curves(found),
        series=plots.series(found),
        positive_control=found.positive,
        negative_control=found.negative,
        findings=report.findings(found),
        chance=max(window.threshold for window in found.windows),
        artifacts=(_map(found, context),),
        effort=Effort(
            traces=sum(window.traces for window in found.windows), knowledge=Knowledge.SENSITIVE,
            expertise=Expertise.PROFICIENT, equipment=Equipment.SPECIALIZED,
        ),
        limits=_limits(found, config),
        facts=report.facts(found, config.leakage),
    )  # fmt: skip


def _summary(found: Assessed) -> str:
    told = []
    for varied in found.against:
        windows, worst = found.of(varied), found.worst(varied)
        assert worst is not None
        rings = sum(window.alarms.any() for window in windows)
        told.append(
            f"{rings} of {len(windows)} windows alarm against other {varied} (|t| up to {max(worst.largest):.1f} in "
            f"operator {worst.part.name}, threshold {worst.threshold:.1f})"
        )
    return f"{'; '.join(told)}; {found.windows[0].traces} traces each at a ratio of {found.named.ratio:g}."


def _map(found: Assessed, context: Context) -> Artifact:
    windows = found.windows
    sizes = [window.samples for window in windows]
    return context.save_arrays(
        "leakage-map.npz",
        "For every sample of every window: operator, test (0 inputs, 1 weights), record in the window, address, t of "
        "means and variances, whether it was tested, largest signal-to-noise ratio.",
        operator=np.repeat(np.array([w.part.layer.index for w in windows], np.int32), sizes),
        weights=np.repeat(np.array([w.varied == "weights" for w in windows], np.uint8), sizes),
        record=np.concatenate([w.records for w in windows]),
        address=np.concatenate([w.pcs for w in windows]),
        t=np.concatenate([w.t for w in windows], axis=1),
        tested=np.concatenate([w.tested for w in windows], axis=1),
        snr=np.concatenate([w.snr for w in windows]),
    )


def _limits(found: Assessed, config: LeakageAssessmentConfig) -> tuple[str, ...]:
    from tinymlsec.attacks.side_channel._assess_verdict import unseen_layers

    made = [
        f"Simulated: {config.leakage} of emulated firmware, one sample for each instruction, Gaussian noise.",
        "Alarms say that something depends on the data, not that a secret can be had; nothing was extracted.",
        "One fixed input, one output pixel of each layer with weights, and the beginning of others.",
    ]
    parted = dict.fromkeys(window.part.name for window in found.windows if window.parted)
    if parted:
        made.append(
            f"Paths depend on the data in {', '.join(parted)}: samples are compared by the how-manieth execution of an "
            "instruction, and those that not every trace executes are left out."
        )
    if unseen := unseen_layers(found):
        made.append(
            f"Floating-point registers are not recorded: of {len(unseen)} layers ({unseen[0]}, ...) only what passes "
            "through other registers and the bus is seen; the leakage model `bus` shows more of them."
        )
    if found.untested:
        made.append(f"Weights were not replaced in {', '.join(found.untested)}: they are stored in another form.")
    if found.twin.program.variables_bytes:
        made.append("The model has state: windows were run from its first state.")
    return tuple(made)
