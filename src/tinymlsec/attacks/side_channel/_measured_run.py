"""Measured traces examined: both passes, what they show above chance, and the same on traces that must show it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.attacks._asking import random_codes
from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._measured_cut import Part, fitting, part_of
from tinymlsec.attacks.side_channel._measured_groups import Groups, groups_of
from tinymlsec.attacks.side_channel._measured_look import FirstLook, first_look
from tinymlsec.attacks.side_channel._measured_subject import Subject, asker, subject_of
from tinymlsec.attacks.side_channel._measured_weights import Guessed, guessed
from tinymlsec.capabilities import Capability
from tinymlsec.context import silent
from tinymlsec.errors import CapabilityMissing, TinymlsecError
from tinymlsec.records import Basis, Control
from tinymlsec.traces.traceset import ArrayTraces, Noise, TraceInfo

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel.measured_leakage import MeasuredLeakageConfig
    from tinymlsec.context import Context, Progress
    from tinymlsec.target.target import Target
    from tinymlsec.traces.traceset import TraceSet

LOUD, LOUD_RATIO, LOUD_SIGMA, LOUD_WEIGHTS = 600, 10.0, 0.5, 8
"""Traces of the positive control, their ratio or noise, and weights that are guessed in it."""
RARE = 1e-5
"""Probability of ranks by luck from which on weights speak: far below other levels, since it is extrapolated."""
POWER = 0.8
"""Probability with which what is called detectable is found."""


@dataclass(frozen=True)
class Examined:
    """What the traces show."""

    subject: Subject
    look: FirstLook
    guesses: Guessed
    begin: int = 0
    """Number of the first sample that was looked at."""

    @property
    def inputs_speak(self) -> bool:
        """Bytes of the input are seen, or the groups are told apart."""
        return self.look.families["inputs"].speaks or self.groups_differ

    @property
    def groups_differ(self) -> bool:
        """The t-test alarms."""
        return self.look.test is not None and bool(self.look.test.alarms.any())

    @property
    def first_in_rank(self) -> int:
        """Weights that came out first from all traces."""
        return int(self.guesses.ranks.success()[:, -1].sum()) if len(self.guesses.weights) else 0

    @property
    def weights_speak(self) -> bool:
        """True weights rank before others by more than luck."""
        return self.guesses.together < RARE

    @property
    def rings(self) -> tuple[str, ...]:
        """What shows with inputs exchanged, and must not."""
        found = [family.name for family in self.look.families.values() if family.rings]
        if self.look.silent_test is not None and self.look.silent_test.alarms.any():
            found.append("t-test")
        if self.guesses.silent < RARE:
            found.append("weights")
        return tuple(found)

    @property
    def detectable(self) -> float:
        """|r| of an input byte with a sample that these traces would have shown with a probability of `POWER`."""
        family = self.look.families["inputs"]
        if self.look.traces <= 3:
            return 1.0
        return float(np.tanh(np.arctanh(family.level) + NormalDist().inv_cdf(POWER) / np.sqrt(self.look.traces - 3)))


@dataclass(frozen=True)
class Done:
    """Everything that the attack saw."""

    seen: Examined
    positive: Control
    negative: Control


def run(target: Target, config: MeasuredLeakageConfig, context: Context) -> Done:
    """The attack.

    Raises:
        CapabilityMissing: the model keeps state, or traces that are too long, or have one input only.
    """
    model, given = target.model, target.require_traces()
    assert model is not None
    if model.state_tensors:
        raise CapabilityMissing(
            "models that keep state are not covered", next_step="cut the stream at its first layers"
        )
    traces = part_of(given.set, config)
    config = fitting(config, traces.samples)
    ask = asker(model, context.victim_of)
    subject = subject_of(target, ask, given.window, config.style, (config.inputs, config.outputs))
    streams = context.rng.spawn(3)
    positive = _positive(target, subject, config, streams[0])
    groups = groups_of(traces, subject)
    seen = examine(traces, subject, groups, config, streams[1], context.progress)
    return Done(seen, positive, _negative(seen))


def examine(
    traces: TraceSet, subject: Subject, groups: Groups, config: MeasuredLeakageConfig, rng: np.random.Generator,
    said: Progress,
) -> Examined:  # fmt: skip
    """Both passes over a set of traces."""
    look = first_look(
        traces, subject, groups, most=config.traces, steps=config.steps, asked=config.asked, rng=rng, said=said
    )
    guesses = guessed(
        traces, subject, look, most=config.traces, weights=config.weights, points=config.points, rng=rng, said=said
    )
    return Examined(subject, look, guesses, traces.first if isinstance(traces, Part) else 0)


def _negative(seen: Examined) -> Control:
    rings = seen.rings
    largest = max(float(np.abs(family.silent).max(initial=0.0)) for family in seen.look.families.values())
    return Control(
        kind="negative", twin="the same traces with their inputs exchanged among each other", succeeded=not rings,
        detail=f"largest |r| {largest:.4f}" + (f"; above chance all the same: {', '.join(rings)}" if rings else ""),
    )  # fmt: skip


def _positive(target: Target, subject: Subject, config: MeasuredLeakageConfig, rng: np.random.Generator) -> Control:
    """Traces that leak loudly, of the emulated layer where there is firmware for it, made of Hamming weights else."""
    small = config.model_copy(update={"traces": LOUD, "weights": LOUD_WEIGHTS})
    nothing = Groups(None)
    with ExitStack() as stack:
        traces, twin = _emulated(target, subject, config.style, rng, stack)
        if traces is None:
            traces, twin = _made(subject, small.steps, rng), "traces made of the Hamming weights of inputs and sums"
        seen = examine(traces, subject, nothing, small, rng, silent)
    found = seen.look.families["inputs"].speaks and (subject.sums is None or seen.weights_speak)
    detail = f"{LOUD} traces; largest |r| of an input byte {abs(seen.look.families['inputs'].peak[2]):.3f}"
    if subject.sums is not None:
        detail += f"; {seen.first_in_rank} of {len(seen.guesses.weights)} weights first in rank"
    return Control(kind="positive", twin=twin, succeeded=found, detail=detail)


def _emulated(
    target: Target, subject: Subject, style: str, rng: np.random.Generator, stack: ExitStack
) -> tuple[TraceSet | None, str]:
    sums = subject.sums
    if sums is None or Capability.FIRMWARE not in target.capabilities:
        return None, ""
    from tinymlsec.traces.campaign import CampaignOptions, campaign_of

    y, x = sums.macs.pixel
    window = f"op:{sums.macs.op}@{y},{x},{sums.channel}:{sums.channel + 1}"
    options = CampaignOptions(window, LOUD, noise=Noise(snr=LOUD_RATIO), seed=int(rng.integers(1 << 31)))
    try:
        traces = stack.enter_context(campaign_of(target.twin(style), target.data, options, target.name))
    except TinymlsecError:  # firmware that cannot be made, or a layer without pixels: the other control will do
        return None, ""
    return traces, f"emulated firmware of the same layer ({window}) at a signal-to-noise ratio of {LOUD_RATIO:g}"


def _made(subject: Subject, steps: int, rng: np.random.Generator) -> ArrayTraces:
    """Input bytes, then sums, each at a sample of its own as its Hamming weight, with noise."""
    codes = random_codes(rng, subject.space, LOUD)
    raw = np.ascontiguousarray(subject.space.to_device(codes)).reshape(LOUD, -1).view(np.uint8)
    columns = [np.bitwise_count(raw[:, subject.bytes])]
    if subject.sums is not None:
        after = subject.sums.after(subject.activations(codes), 0, steps, subject.sums.weights)
        columns.append(bits(np.ascontiguousarray(after[:, 1:])))
    clean = np.concatenate(columns, axis=1).astype(np.float32)
    noise = np.float32(LOUD_SIGMA) * rng.standard_normal(clean.shape, np.float32)
    return ArrayTraces(TraceInfo(source="made of Hamming weights", basis=Basis.SIMULATED), clean + noise, raw)
