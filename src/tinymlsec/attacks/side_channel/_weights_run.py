"""The weight extraction on a target: sampled channels or the whole model, with curve, controls and clone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.intervals import Share, share_of
from tinymlsec.attacks._asking import random_codes
from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, sampled, weighted_layers
from tinymlsec.attacks.side_channel._weights_clone import clone
from tinymlsec.attacks.side_channel._weights_controls import controls
from tinymlsec.attacks.side_channel._weights_figures import figures
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.errors import CapabilityMissing
from tinymlsec.records import Artifact, Control, Curve, CurvePoint, Metric
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.cut import cut_model

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel.cpa_weights import CpaWeightsConfig
    from tinymlsec.context import Context
    from tinymlsec.figures import Series
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target
    from tinymlsec.target.tflite.graph import Model

CHECKPOINTS = (0.1, 0.3, 1.0)
"""Shares of the traces at which the curve is drawn."""
GIVEN = {
    "profiled": ("architecture", "scales", "inputs", "an identical build"),
    "non_profiled": (
        "architecture",
        "scales",
        "inputs",
        "source of the kernels: the order in which products are added",
    ),
}
"""What the attacker has besides the traces."""
DRAWN = 2000
"""Traces behind the figures of one weight, at most."""
COMPARED = 200
"""Inputs on which clone and original are compared."""


@dataclass(frozen=True)
class Done:
    """Everything that the attack saw."""

    share: Share
    seen: int
    words: str
    metrics: tuple[Metric, ...]
    points: tuple[CurvePoint, ...]
    positive: Control
    negative: Control
    facts: dict[str, Any]
    artifacts: tuple[Artifact, ...] = ()
    series: Series | None = None
    entropy: Curve | None = None


def run(target: Target, config: CpaWeightsConfig, context: Context) -> Done:
    """The attack.

    Raises:
        CapabilityMissing: the model keeps state, or has no layer with int8 weights that can be attacked.
    """
    model = target.model
    assert model is not None
    if model.state_tensors:
        raise CapabilityMissing(
            "models that keep state are not covered", next_step="cut the stream at its first layers"
        )
    if not weighted_layers(model):
        raise CapabilityMissing("the model has no layer with int8 weights")
    twin, leakage = target.twin(config.style), Leakage(config.leakage)
    profiled = config.attacker == "profiled"
    streams = context.rng.spawn(5)
    positive, negative = controls(twin.core, leakage, config.style, profiled, streams[0])
    codes = _inputs(target, config, streams[1])
    strength = Strength(config.traces, config.snr, config.beam, config.pixels, profiled=profiled)

    def ask(data: bytes, inputs: Codes) -> NDArray[np.generic]:
        return context.victim_of(data).raw(inputs)

    points: tuple[CurvePoint, ...] = ()
    metrics: tuple[Metric, ...] = ()
    facts: dict[str, Any] = {}
    artifacts: tuple[Artifact, ...] = ()
    with Bench(twin, leakage) as bench:
        if config.clone:
            made = clone(bench, target.data, model, codes, strength, ask, streams[2], context.progress)
            layers = made.layers
            metrics, facts, artifacts = _compared(target, made.data, ask, context, streams[3])
        else:
            activations = _activations(model, codes, ask)
            attack = _sampler(bench, target, activations, config, streams[2], context)
            points, layers = _curve(attack, strength)
        series, entropy = _figures(bench, model, layers, codes, ask, strength, streams[4])
    exact, seen = sum(layer.exact for layer in layers), sum(layer.seen for layer in layers)
    share = share_of(exact, max(seen, 1))
    last = CurvePoint(x=config.traces, y=share.value, low=share.low, high=share.high, n=seen)
    words = f"{exact} of {seen} attacked weights exact from {config.traces} traces at a ratio of {config.snr:g}"
    return Done(
        share, seen, words, (*_bias_metric(layers), *metrics), (*points, last), positive, negative,
        {"given": list(GIVEN[config.attacker]), "layers": [_row(layer) for layer in layers], **facts},
        artifacts, series, entropy,
    )  # fmt: skip


def _figures(
    bench: Bench,
    model: Model,
    layers: Sequence[LayerResult],
    codes: Codes,
    ask: Callable[[bytes, Codes], NDArray[np.generic]],
    strength: Strength,
    rng: np.random.Generator,
) -> tuple[Series | None, Curve | None]:
    """Of the first channel that was attacked, on the device's own activations."""
    layer = next((layer for layer in layers if layer.channels and all(layer.profile.steps)), None)
    if layer is None:
        return None, None
    weights = constant(model, model.main.tensors[layer.macs.weight_tensor])
    assert weights is not None
    channel = layer.channels[0].channel
    fed = _activations(model, codes[:DRAWN], ask)(layer.macs.input_tensor)
    true = weights.ravel()[layer.macs.weights[channel]].astype(np.int32)
    return figures(bench, layer, true, channel, fed, strength, rng)


def _inputs(target: Target, config: CpaWeightsConfig, rng: np.random.Generator) -> Codes:
    """What the device is fed: random codes; for a clone half of them from the user's data, where there is some.

    Random inputs leave parts of the deeper layers dark that natural ones light up, and a clone has to answer those.
    What it is compared on later is never traced.
    """
    codes = random_codes(rng, target.require_victim().space, config.traces)
    if config.clone and target.dataset is not None:
        rows = rng.integers(_held_out(target.dataset.n), target.dataset.n, config.traces // 2)
        codes[: len(rows)] = target.dataset.x[rows]
        rng.shuffle(codes)
    return codes


def _held_out(n: int) -> int:
    """Of n inputs, so many at the beginning are kept for the comparison."""
    return min(COMPARED, n // 2)


def _activations(
    model: Any, codes: Codes, ask: Callable[[bytes, Codes], NDArray[np.generic]]
) -> Callable[[int], NDArray[np.int8]]:
    """What the device's layers are fed; in the sampled mode the layers before are taken for recovered."""
    known: dict[int, NDArray[np.int8]] = {}

    def values(tensor: int) -> NDArray[np.int8]:
        if tensor not in known:
            known.clear()
            direct = tensor == model.main.inputs[0] and codes.dtype == np.int8
            known[tensor] = codes if direct else ask(cut_model(model, tensor), codes).astype(np.int8)
        return known[tensor]

    return values


def _sampler(
    bench: Bench,
    target: Target,
    activations: Callable[[int], NDArray[np.int8]],
    config: CpaWeightsConfig,
    rng: np.random.Generator,
    context: Context,
) -> Callable[[Strength], list[LayerResult]]:
    model = target.model
    assert model is not None
    seed = int(rng.integers(1 << 62))

    def attack(strength: Strength) -> list[LayerResult]:
        same = np.random.default_rng(seed)  # the same channels and boards, whatever the number of traces
        return list(
            sampled(bench, model, activations, strength, config.channels, same, context.progress, most=config.layers)
        )

    return attack


def _curve(
    attack: Callable[[Strength], list[LayerResult]], strength: Strength
) -> tuple[tuple[CurvePoint, ...], list[LayerResult]]:
    from dataclasses import replace

    points: list[CurvePoint] = []
    layers: list[LayerResult] = []
    for part in CHECKPOINTS:
        count = max(50, int(strength.traces * part))
        layers = attack(replace(strength, traces=count))
        exact, seen = sum(layer.exact for layer in layers), sum(layer.seen for layer in layers)
        share = share_of(exact, max(seen, 1))
        if part < 1:
            points.append(CurvePoint(x=count, y=share.value, low=share.low, high=share.high, n=seen))
    return tuple(points), layers


def _bias_metric(layers: Sequence[LayerResult]) -> tuple[Metric, ...]:
    biases = [channel for layer in layers for channel in layer.channels if channel.bias is not None]
    if not biases:
        return ()
    share = share_of(sum(channel.bias_exact for channel in biases), len(biases))
    return (
        Metric.of(
            "weights_recovered", share.value, low=share.low, high=share.high, n=len(biases), label="biases, exactly"
        ),
    )


def _row(layer: LayerResult) -> dict[str, Any]:
    found = layer.located
    measured = {} if found is None else {
        "sum_behind_anchor": found.distance, "anchor": found.anchors.feature, "period": found.anchors.period,
        "feature": found.feature, "log_likelihood": {name: round(gain, 4) for name, gain in found.gains.items()},
    }  # fmt: skip
    return {
        "operator": layer.macs.op, "name": layer.macs.name, "channels": len(layer.channels), "exact": layer.exact,
        "attacked": layer.seen, "blind": sum(int(c.blind.sum()) for c in layer.channels),
        "samples": len(layer.profile.samples),
        "features": sorted({point.feature for step in layer.profile.steps for point in step}), **measured,
    }  # fmt: skip


def _compared(
    target: Target,
    data: bytes,
    ask: Callable[[bytes, Codes], NDArray[np.generic]],
    context: Context,
    rng: np.random.Generator,
) -> tuple[tuple[Metric, ...], dict[str, Any], tuple[Artifact, ...]]:
    """How the clone answers beside the original, on the user's inputs where there are some."""
    victim = target.require_victim()
    if target.dataset is not None and target.dataset.n > 1:
        inputs, source = target.dataset.x[: _held_out(target.dataset.n)], "inputs of the data, none of them traced"
    else:
        inputs, source = random_codes(rng, victim.space, COMPARED), "random inputs"
    original, copied = (ask(file, inputs).reshape(len(inputs), -1) for file in (target.data, data))
    same = (original == copied).all(1)
    decided = original.argmax(1) == copied.argmax(1)
    labels, bits = share_of(int(decided.sum()), len(same)), share_of(int(same.sum()), len(same))
    metrics = (
        Metric.of("fidelity", labels.value, low=labels.low, high=labels.high, n=len(same), label="largest output"),
        Metric.of("fidelity", bits.value, low=bits.low, high=bits.high, n=len(same), label="all outputs, bit for bit"),
    )
    kept = context.save("clone.tflite", data, "application/octet-stream", "Model rebuilt from the recovered weights")
    return metrics, {"compared_on": f"{len(inputs)} {source}"}, (kept,)
