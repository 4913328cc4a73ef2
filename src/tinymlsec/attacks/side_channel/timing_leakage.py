"""Timing: what the latency of an inference tells about its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.capabilities import Capability
from tinymlsec.errors import BudgetExceeded
from tinymlsec.evidence import Observation
from tinymlsec.records import Artifact, Basis, Control, Effort, Equipment, Expertise, Knowledge, Verdict, VerdictKind
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._timing_examine import Examined
    from tinymlsec.attacks.side_channel._timing_report import Timer
    from tinymlsec.context import Context
    from tinymlsec.emulate.twin import Twin
    from tinymlsec.target.target import Target


class TimingLeakageConfig(AttackConfig):
    """Counted work, the firmware's kernels and the attacker's timer."""

    samples: int = Field(default=200, ge=4, le=100_000)
    """Inferences that are compared, at most."""
    megainstructions: int = Field(default=3000, ge=1, le=10_000_000)
    """Million instructions that may be counted, following the inputs and unwatched runs included at their price."""
    permutations: int = Field(default=1000, ge=100, le=100_000)
    """Permutations of the classes behind the test of significance and the correction of the bias."""
    timer_us: float = Field(default=1.0, gt=0, le=1e6)
    """Microseconds between two ticks of the attacker's timer."""
    clock_mhz: float = Field(default=0.0, ge=0, le=10_000)
    """Clock of the core; 0 takes the highest of the device file."""
    least_bits: float = Field(default=0.001, ge=0, le=10)
    """Bits of one query up to which a latency does not count as leaking."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels."""


@attack(
    id="timing-leakage",
    title="Timing: what the latency of an inference tells",
    family="side_channel",
    threats=("H4",),
    needs=(Capability.MODEL, Capability.FIRMWARE),
    position=Position.ADJACENT,
    controls=("dense layer with a sign branch in its requantization", "the same layer without any choice"),
    source="Kocher: Timing Attacks, CRYPTO 1996; Reparaz, Balasch, Verbauwhede: dude, is my code constant time?, "
    "DATE 2017; Maji, Banerjee, Chandrakasan: Leaky Nets, IEEE IoT Journal 2021",
    config=TimingLeakageConfig,
    presets={
        EffortLevel.QUICK: {"samples": 60, "megainstructions": 500, "permutations": 500},
        EffortLevel.STANDARD: {"samples": 200, "megainstructions": 3000, "permutations": 1000},
        EffortLevel.THOROUGH: {"samples": 2000, "megainstructions": 60_000, "permutations": 10_000},
    },
)
def timing_leakage(target: Target, config: TimingLeakageConfig, context: Context) -> Observation:
    """Counts every instruction of many inferences, and proves or refutes that their time depends on the input.

    ## What it does

    It runs the model as firmware for the device's core and answers three questions. Is there an input that takes
    another path than others, and at which instruction do they part? How long does each inference take, exactly in
    instructions, and in cycles within what is known of the core? How many bits does one query give away to somebody
    with a timer? Where nothing depends on the inputs, it says so with a proof rather than with a sample.

    ## Why it works on a microcontroller

    A microcontroller runs one thing at a time, without an operating system that would blur its latency: the same input
    takes the same number of cycles, again and again. Whoever sends inputs over radio or a wire and waits for the
    answer, or sees a pin that is high while the device is busy, measures it with a timer of a microsecond. Kernels of
    neural networks have choices in them: clamps and rounding by sign, exponentials that are skipped where they are too
    small, loops that normalize a sum, divisions that end early.

    ## Method

    *Following.* Every byte of the inputs is marked, and one whole inference is recorded and followed: marks go through
    registers, flags and single bytes of memory. It lists every branch, every address and every operand of an
    instruction with a varying time that depends on the inputs, with function, source line and operator. A layer in
    which there is none takes the same path for all inputs: up to its first marked branch all inputs go the same way.
    This is the method of ctgrind (Langley, 2010). More may be marked than really depends on the inputs, never less;
    after a layer with a marked branch all of its results count as marked.

    *Counting.* Layers that are proved run unwatched; in all others every instruction of every input is counted. One
    input is counted throughout, to try the proof. The inputs are the user's data, each label equally often, else random
    codes, levels, weak noise and sparse extremes. Classes are the labels, else the model's decisions, else these kinds.
    Two inputs that part are run side by side, and the last instruction of their common path is named.

    *Pricing.* Counts become cycles by the core's table. An instruction in an IT block that is left out costs a cycle
    like one that is carried out; a branch that is taken costs more than one that is not. What the table leaves open is
    read at both of its ends, and the smaller leak counts.

    *Bits.* A timer with ticks reads a latency between two of them as either, at its phase. The mutual information
    between reading and class is computed with these chances, less what permutations of the classes give, which is also
    the test of significance (1 %). The information about the input is the entropy of the reading less what the phase
    makes of it: at most log2 of the number of inputs. Welch's t compares each class with all others.

    The verdict is *vulnerable* where one query tells more than `least_bits` about the class with significance, or about
    the input (lower end of its interval), at both ends of the table and at the timer's resolution. It is *resistant*
    only where constancy is proved: no gap in the proof, no marked branch, no marked operand of an instruction with a
    varying time, no marked address in flash or behind a cache, no instruction whose omission may cost less by the
    core's table, and both controls did what they had to. Otherwise it is *inconclusive* and says what is open.

    ## Controls

    Positive: a dense layer on the same core whose requantization takes a longer way for negative sums, by a few ticks
    of the timer. It must be found leaking, and the instruction named must stand at that line. Negative: the same layer
    with clamps made of masks, in which no branch may depend on the inputs and all inputs must take the same time.

    ## Limits

    Time is simulated: exact instructions, priced by a table, on firmware that was generated from the model. Other
    kernels have other choices. Interrupts, DMA and wait states of flash are not simulated, nor is how many cycles a
    division with early exit saves; such instructions are listed. Noise on the way to the attacker makes more queries
    necessary, which average it away. Models with state are run from their first state.

    Source: P. Kocher, "Timing Attacks on Implementations of Diffie-Hellman, RSA, DSS, and Other Systems", CRYPTO 1996;
    O. Reparaz, J. Balasch, I. Verbauwhede, "dude, is my code constant time?", DATE 2017; S. Maji, U. Banerjee,
    A. Chandrakasan, "Leaky Nets: Recovering Embedded Neural Network Models and Inputs through Simple Power and Timing
    Side-Channels", IEEE Internet of Things Journal 2021.
    """
    return _Run(target, config, context).observation()


class _Run:
    """The attack on one target."""

    def __init__(self, target: Target, config: TimingLeakageConfig, context: Context) -> None:
        self.target, self.config, self.context = target, config, context
        self.choice, self.statistics, self.control = context.rng.spawn(3)

    def observation(self) -> Observation:
        """Controls first: they are quick, and tell whether there is a compiler."""
        from tinymlsec.attacks.side_channel._timing_controls import controls

        twin = self.target.twin(self.config.style)
        timer = self._timer(twin)
        config = self.config
        positive, negative = controls(twin, timer.cycles, config.permutations, config.least_bits, self.control)
        try:
            found = self._examined(twin, timer)
        except BudgetExceeded as error:
            reason = f"budget: {error.message} ({error.found})"
            return Observation(
                verdict=Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason), basis=Basis.SIMULATED, summary=reason,
                positive_control=positive, negative_control=negative,
            )  # fmt: skip
        return self._observed(twin, timer, found, positive, negative)

    def _timer(self, twin: Twin) -> Timer:
        from tinymlsec.attacks.side_channel._timing_report import Timer
        from tinymlsec.emulate.measure_facts import clock_of

        device, us = self.target.device, self.config.timer_us
        known, note = clock_of(device, None) if device is not None else (None, "no device, no clock")
        mhz = self.config.clock_mhz or known
        if not mhz:
            return Timer(1.0, None, f"a timer of one cycle ({note})")
        return Timer(max(1.0, us * mhz), mhz, f"a timer of {us:g} us ({mhz:g} MHz)")

    def _examined(self, twin: Twin, timer: Timer) -> Examined:
        from tinymlsec.attacks.side_channel._timing_examine import Settings, examine
        from tinymlsec.attacks.side_channel._timing_inputs import choose

        config, target = self.config, self.target
        inputs = choose(twin.program, target.space, target.dataset, config.samples, self.choice)
        settings = Settings(config.megainstructions * 1_000_000, timer.cycles, config.permutations)
        with twin.start() as started:
            return examine(started, inputs, settings, self.statistics, self.context.progress)

    def _observed(self, twin: Twin, timer: Timer, found: Examined, positive: Control, negative: Control) -> Observation:
        from tinymlsec.attacks.side_channel import _timing_report as report
        from tinymlsec.attacks.side_channel._timing_verdict import judge

        config = self.config
        verdict = judge(found, twin, config.least_bits, timer.words, positive, negative)
        return Observation(
            verdict=verdict,
            basis=Basis.SIMULATED,
            summary=_summary(found, timer),
            metrics=report.metrics(found, timer, proved=verdict.kind is VerdictKind.RESISTANT),
            curves=report.curves(found, timer, config.permutations, self.statistics),
            positive_control=positive,
            negative_control=negative,
            findings=report.findings(found, twin, leaking=verdict.kind is VerdictKind.VULNERABLE),
            chance=0.0,
            artifacts=self._artifacts(found),
            effort=self._effort(found, timer),
            limits=_limits(found, twin, timer),
            facts=report.facts(found, twin, timer),
        )

    def _artifacts(self, found: Examined) -> tuple[Artifact, ...]:
        return (
            self.context.save_arrays(
                "timing-latencies.npz",
                "Cycles of each inference by the lower and upper bounds of the core's table, and its class (-1: none).",
                cycles_low=found.low.cycles,
                cycles_high=found.high.cycles,
                classes=found.classes.of,
            ),
        )

    def _effort(self, found: Examined, timer: Timer) -> Effort:
        seconds = None if timer.mhz is None else float(found.high.cycles.sum()) / timer.mhz / 1e6
        return Effort(
            queries=found.n,
            attacker_seconds=seconds,
            attacker_seconds_source=""
            if seconds is None
            else "simulated latencies of all queries, one after the other",
            knowledge=Knowledge.PUBLIC,
            expertise=Expertise.PROFICIENT,
            equipment=Equipment.STANDARD,
        )


def _summary(found: Examined, timer: Timer) -> str:
    from tinymlsec.attacks.side_channel._timing_verdict import bits_about_class, bits_about_input

    count = f"{found.n} inputs"
    if found.divergence is not None:
        apart = timer.of_cycles(float(np.ptp(found.high.cycles)))
        return (
            f"{count} take up to {apart:.3g} {timer.unit} more or less: they part after {found.divergence.spot.words}; "
            f"a query tells {bits_about_class(found):.3g} bits about the class and {bits_about_input(found):.3g} about "
            f"the input at {timer.words}."
        )
    if found.low.constant and found.high.constant:
        how = "proved for every input" if not found.followed.gap and not found.watched else "no difference was seen"
        return f"{count} take the same number of cycles on one path: {how}."
    return f"{count} take one path, and {np.ptp(found.high.cycles):.0f} cycles more or less for what is left out on it."


def _limits(found: Examined, twin: Twin, timer: Timer) -> tuple[str, ...]:
    from tinymlsec.emulate.cycles.table import cycle_table

    made = [
        "Instructions are exact, cycles are simulated by a table: interrupts, DMA, wait states and caches of flash are "
        "not in them.",
        "The firmware was generated from the model; other kernels make other choices.",
    ]
    table = cycle_table(twin.core.id)
    if table.approximate:
        made.append(f"The cycle table of {twin.core.title} is approximate: {table.note}.")
    if found.followed.gap:
        made.append(f"No proof for all inputs: {found.followed.gap}.")
    if found.open_operands:
        made.append("How many cycles instructions save that end early is not simulated; they are listed.")
    if found.unresolved:
        layers = ", ".join(map(str, sorted(found.unresolved)))
        made.append(f"In layers {layers} the core's table does not tell what instructions cost that are left out.")
    if timer.mhz is None:
        made.append(f"The timer is taken to resolve one cycle: {timer.words}.")
    if twin.program.variables_bytes:
        made.append("The model has state: inferences were run from its first state; the proof holds for every state.")
    return tuple(made)
