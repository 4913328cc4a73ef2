"""Controls of the weight extraction: a layer that leaks loudly, and traces in which nothing speaks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._chain import recover
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel, named_sample, noisy
from tinymlsec.attacks.side_channel._macs import Macs, macs_of
from tinymlsec.attacks.side_channel._weights_unprofiled import extract, locate
from tinymlsec.records import Control, Metric

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import Core
    from tinymlsec.emulate.leakage import Leakage

INPUTS, UNITS = 16, 4
LOUD = Strength(traces=300, snr=100.0, beam=8)
ENOUGH = 0.95
"""Share of the loud twin's weights that the attack must find."""
CHANCE = 0.15
"""Share of weights that may be right by luck in noise alone; 1 in 255 is expected."""


def small_dense(rng: np.random.Generator) -> bytes:
    """A model of one dense layer, 16 inputs and 4 outputs, with random weights."""
    from tinymlsec.target.tflite.builder import GraphBuilder

    builder = GraphBuilder("dense control twin")
    x = builder.input((1, INPUTS), scale=0.05, zero_point=-3)
    weights = builder.constant(rng.integers(-127, 128, (UNITS, INPUTS)).astype(np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-500, 500, UNITS).astype(np.int32), scale=0.0005)
    builder.output(builder.op("FULLY_CONNECTED", [x, weights, bias], scale=0.1, zero_point=5, options={}))
    return builder.tobytes()


def controls(
    core: Core, leakage: Leakage, style: str, profiled: bool, rng: np.random.Generator
) -> tuple[Control, Control]:
    """Both of them on the same twin: once as it is, once with its signal replaced by a constant."""
    from tinymlsec.emulate.codegen.style import Style
    from tinymlsec.emulate.twin import build_twin

    twin = build_twin(small_dense(rng), core, style=Style(style))
    macs = macs_of(twin.model, twin.model.main.operators[0])
    inputs = rng.integers(-128, 128, (LOUD.traces, 1, INPUTS)).astype(np.int8)
    strength = replace(LOUD, profiled=profiled)
    with Bench(twin, leakage) as bench:
        layer = LayerResult(macs, bench.points(macs, rng))
        if any(not step for step in layer.profile.steps):
            return _blind()
        for channel in range(UNITS):
            layer.channels.append(attack_channel(bench, twin.model, layer, channel, inputs, strength, rng))
        silent = (_silent if profiled else _silent_unprofiled)(bench, layer, inputs, rng)
    total = INPUTS * UNITS
    found = sum(int(c.exact.sum()) for c in layer.channels)
    loud = Control(
        kind="positive", twin=f"dense layer of {INPUTS} x {UNITS} at a signal-to-noise ratio of {LOUD.snr:g}",
        succeeded=found >= ENOUGH * total, detail=f"{found} of {total} weights from {LOUD.traces} traces",
        metrics=(Metric.of("weights_recovered", found / total, n=total),),
    )  # fmt: skip
    quiet = Control(
        kind="negative", twin="the same layer with a constant signal under the noise",
        succeeded=silent <= CHANCE * INPUTS, detail=f"{silent} of {INPUTS} weights by luck",
        metrics=(Metric.of("weights_recovered", silent / INPUTS, n=INPUTS),),
    )  # fmt: skip
    return loud, quiet


def _silent(bench: Bench, layer: LayerResult, inputs: NDArray[np.int8], rng: np.random.Generator) -> int:
    """Weights of one channel that are right although the traces hold nothing but noise."""
    macs = layer.macs
    signal = bench.traces(layer.profile, macs, 0, inputs)
    sigma = float(signal[named_sample(layer.profile)].std())
    constant_signal = {sample: np.full_like(values, values.mean()) for sample, values in signal.items()}
    # loads of weights are constant as well: their level is replaced by that of no weight in particular
    level = float(np.mean([values.mean() for values in constant_signal.values()]))
    constant_signal = {sample: np.full_like(values, level) for sample, values in constant_signal.items()}
    traces, factors = noisy(constant_signal, sigma, rng), macs.factors(inputs, 0)
    chain = recover(traces, factors, layer.profile.steps, sigma, LOUD.beam, bench.groups(macs))
    return _right(bench, macs, chain.weights)


def _silent_unprofiled(bench: Bench, layer: LayerResult, inputs: NDArray[np.int8], rng: np.random.Generator) -> int:
    """The same where whole traces are searched."""
    macs = layer.macs
    signal = bench.whole(macs, 0, inputs)
    sigma, level = float(signal[:, named_sample(layer.profile)].std()), float(signal.mean())
    traces = (level + sigma * rng.standard_normal(signal.shape)).astype(np.float32)
    factors, groups = macs.factors(inputs, 0), bench.groups(macs)
    located = locate(traces, factors, macs.offset, groups, bench.run(macs))
    return _right(bench, macs, extract(traces, factors, groups, located, LOUD.beam).chain.weights)


def _right(bench: Bench, macs: Macs, found: NDArray[np.int32]) -> int:
    from tinymlsec.target.tflite.constant import constant

    weights = constant(bench.twin.model, bench.twin.model.main.tensors[macs.weight_tensor])
    assert weights is not None
    return int((found == weights.ravel()[macs.weights[0]]).sum())


def _blind() -> tuple[Control, Control]:
    words = "the profiled kernel shows no sum at all under this leakage model"
    return (
        Control(kind="positive", twin="dense control twin", succeeded=False, detail=words),
        Control(kind="negative", twin="dense control twin", succeeded=True, detail=words),
    )
