"""One run of the attack on a trace: rules, controls, the recorded inference, and what was recovered of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel import _arch_report as report
from tinymlsec.attacks.side_channel._arch_models import control_model
from tinymlsec.attacks.side_channel._arch_reader import Reader, build_reader
from tinymlsec.attacks.side_channel._arch_recording import random_inputs, record
from tinymlsec.attacks.side_channel._arch_scores import Samples
from tinymlsec.attacks.side_channel._arch_search import Architecture
from tinymlsec.attacks.side_channel._arch_truth import Guessed, Row, compared, true_layers
from tinymlsec.emulate.compilers import find_toolchain
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.errors import CapabilityMissing, InputError
from tinymlsec.records import Control, Metric
from tinymlsec.traces.noise import low_passed

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel.architecture_from_trace import ArchitectureFromTraceConfig
    from tinymlsec.context import Context
    from tinymlsec.emulate.toolchain import Toolchain
    from tinymlsec.figures import Series
    from tinymlsec.target.target import Target

LOUD = 100.0
ENOUGH = 0.8
"""Share of the weak twin's layers that must be recovered."""
BLOCK = 1 << 22
"""Samples that get their noise at a time."""


@dataclass(frozen=True)
class Done:
    """All that a report needs."""

    rows: list[Row]
    samples: int
    noise: str
    series: Series
    positive: Control
    negative: Control
    facts: dict[str, Any]


def run(target: Target, config: ArchitectureFromTraceConfig, context: Context) -> Done:
    """Runs the attack.

    Raises:
        CapabilityMissing: the kernels of this style or compiler cannot be learned.
        InputError: the inference is longer than a trace may be.
    """
    models, noise = context.rng.spawn(2)
    twin = _device(target, config)
    leakage = Leakage(config.leakage)
    own = find_toolchain(config.own_compiler or config.compiler or None)
    if config.style != "plain":
        raise CapabilityMissing("only the rhythm of plain kernels can be learned", found=config.style)
    context.progress(0, 4, "building rules from own models")
    reader = build_reader(config.method, twin.core, leakage, models, own)
    context.progress(1, 4, "controls")
    positive, negative = controls(reader, twin, leakage, own, models)
    context.progress(2, 4, "recording one inference")
    inputs = random_inputs(twin, models)
    recording = record(twin, inputs, leakage, most=config.samples)
    samples, words = disturbed(recording.samples, config.snr, config.low_pass, noise)
    context.progress(3, 4, "recognizing layers")
    found = _recognized(twin, reader, samples, config, context)
    guessed = guesses_of(found)
    rows = compared(true_layers(twin, inputs), guessed)
    context.progress(4, 4, "done")
    return Done(
        rows=rows, samples=len(samples), noise=words, positive=positive, negative=negative,
        series=report.series("Trace of one inference and its layers", config.leakage, "signal", _thinned(samples),
                             _step(samples), rows, guessed),
        facts={
            "given": _given(twin, known=config.answers_known), "method": reader.method,
            "own_models_compiled_with": reader.compiler, "device_compiled_with": twin.build.compiler,
            "samples_of_own_traces": reader.own_samples, "kernels_not_learned": dict(reader.missing),
            "samples_explained": found.explained, "samples": found.samples,
            "noise": words,
            "layers": report.table(rows),
        },
    )  # fmt: skip


def _device(target: Target, config: ArchitectureFromTraceConfig) -> Twin:
    twin = target.twin(config.style)
    if not config.compiler:
        return twin
    return build_twin(
        twin.model, twin.core, twin.memory, style=twin.program.style, toolchain=find_toolchain(config.compiler)
    )


def _recognized(
    twin: Twin, reader: Reader, samples: Samples, config: ArchitectureFromTraceConfig, context: Context
) -> Architecture:
    def report_progress(done: int, of: int) -> None:
        context.progress(done, of, "recognizing layers")

    answers = int(np.prod(twin.program.outputs[0].shape)) if config.answers_known else None
    return reader.read(samples, input_shape(twin), answers, config.snr, report_progress)


def input_shape(twin: Twin) -> tuple[int, ...]:
    """Of the first input, without the batch."""
    return tuple(int(n) for n in twin.program.inputs[0].shape[1:]) or (1,)


def _given(twin: Twin, *, known: bool) -> str:
    answers = f"; that an answer has {int(np.prod(twin.program.outputs[0].shape))} values" if known else ""
    return f"samples of one inference; input shape {list(input_shape(twin))}{answers}"


def guesses_of(found: Architecture) -> list[Guessed]:
    """Layers as the evaluation takes them."""
    return [Guessed(k.kind, k.output, k.macs, k.start, k.end, k.others) for k in found.layers]


def disturbed(samples: Samples, snr: float, low_pass: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], str]:
    """A trace as an oscilloscope would see it, and words for it. The samples are overwritten.

    Args:
        samples: (t,) the signal.
        snr: variance of the signal over the whole trace, after the low-pass, over that of the noise; 0 for none.
        low_pass: width of the moving average.
        rng: of the noise.

    Raises:
        InputError: a trace without samples, or with some that are no numbers.
    """
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise InputError("a trace", found=f"shape {samples.shape}", expected="finite samples in one dimension")
    made = low_passed(samples[None, :], low_pass)[0] if low_pass > 1 else samples
    if not snr:
        return made, "no noise"
    variance = float(made.var(dtype=np.float64))
    sigma = float(np.sqrt(variance / snr))
    for begin in range(0, len(made), BLOCK):
        part = made[begin : begin + BLOCK]
        part += np.float32(sigma) * rng.standard_normal(len(part), np.float32)
    return made, f"signal variance {variance:.4g} over the trace, noise sigma {sigma:.4g}, ratio {snr:g}"


def controls(
    reader: Reader, like: Twin, leakage: Leakage, own: Toolchain, rng: np.random.Generator
) -> tuple[Control, Control]:
    """A small network at a high ratio, and the same trace with nothing but noise."""
    twin = build_twin(control_model(rng), like.core, toolchain=own)
    inputs = random_inputs(twin, rng)
    signal = record(twin, inputs, leakage).samples
    loud, _ = disturbed(signal.copy(), LOUD, 1, rng)
    answers = int(np.prod(twin.program.outputs[0].shape))
    found = reader.read(loud, input_shape(twin), answers, LOUD)
    rows = compared(true_layers(twin, inputs), guesses_of(found))
    right = sum(row.shape for row in rows)
    quiet = np.full(len(signal), signal.mean(), np.float32)
    quiet += np.float32(signal.std()) * rng.standard_normal(len(quiet), np.float32)
    silent = reader.read(quiet, input_shape(twin), answers, LOUD)
    n = len(rows)
    return (
        Control(
            kind="positive", twin=f"network of {n} known layers at a signal-to-noise ratio of {LOUD:g}",
            succeeded=right >= ENOUGH * n, detail=f"kind and shape of {right} of {n} layers",
            metrics=(Metric.of("layers_recovered", right / n, n=n),),
        ),
        Control(
            kind="negative", twin="the same trace with a constant signal under the noise",
            succeeded=not silent.layers, detail=f"{len(silent.layers)} layers recognized in noise",
            metrics=(Metric.of("layers_recovered", 0.0 if not silent.layers else len(silent.layers) / n, n=n),),
        ),
    )  # fmt: skip


def _step(samples: Samples) -> int:
    return max(len(samples) // 2400, 1)


def _thinned(samples: Samples) -> NDArray[np.float64]:
    """Means of stretches: layers show by their level."""
    step = _step(samples)
    means: NDArray[np.float64] = samples[: len(samples) // step * step].reshape(-1, step).mean(axis=1, dtype=np.float64)
    return means


def shares(rows: Sequence[Row]) -> tuple[int, int, int, int]:
    """Right kinds, shapes and products, and layers."""
    return sum(r.kind for r in rows), sum(r.shape for r in rows), sum(r.macs for r in rows), len(rows)
