"""Layer after layer: what the traces of a device give of its weights and biases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._bench import Bench, Signal
from tinymlsec.attacks.side_channel._chain import Chain, recover, recover_bias, shown_cost
from tinymlsec.attacks.side_channel._macs import WEIGHTED, Macs, macs_of
from tinymlsec.attacks.side_channel._points import Point, Profile
from tinymlsec.attacks.side_channel._weights_bias import find_bias
from tinymlsec.attacks.side_channel._weights_foreign import ForeignBench
from tinymlsec.attacks.side_channel._weights_output import output_codes
from tinymlsec.attacks.side_channel._weights_unprofiled import Located, extract, locate
from tinymlsec.target.tflite.constant import constant

if TYPE_CHECKING:
    from tinymlsec.target.tflite.graph import Model

SHORT, MORE = 16, 4
"""Sums of fewer products are looked at in so many times the pixels: they cost little, and often meet zeros."""
PILOTS = 3
"""Channels that are looked at before all others without profiling."""
LARGEST_BIAS = 1 << 17
"""Magnitude up to which biases are searched."""

Activations = Callable[[int], NDArray[np.int8]]
"""From a tensor to (n, ...) its values for all inputs of the attack."""


@dataclass(frozen=True)
class Strength:
    """How much the attacker spends, and how noisy the traces are."""

    traces: int
    snr: float
    beam: int
    pixels: int = 1
    """Output pixels of each inference that are looked at: the same weights meet other inputs there."""
    loads: bool = True
    """Use the loads of weights besides the sums."""
    templates: bool = True
    """Use all samples with their gains and levels; otherwise the best sample of each sum, by correlation alone."""
    profiled: bool = True
    """The attacker has an identical build with weights of their own; otherwise nothing but traces of the device."""


@dataclass(frozen=True)
class ChannelResult:
    """One output channel."""

    op: int
    channel: int
    weights: NDArray[np.int32]
    """(k,) as recovered."""
    exact: NDArray[np.bool_]
    """(k,) equal to the device's."""
    blind: NDArray[np.bool_]
    """(k,) multiplied with zero in every trace: no sum shows it."""
    bias: int | None
    bias_exact: bool
    sigma: float


@dataclass
class LayerResult:
    """One layer."""

    macs: Macs
    profile: Profile
    channels: list[ChannelResult] = field(default_factory=list)
    located: Located | None = None
    """Where the sums show, as found without profiling."""
    template: Point | None = None
    """What they look like there, from the clearest of the first channels."""

    @property
    def seen(self) -> int:
        """Weights that were attacked and not blind."""
        return sum(int((~c.blind).sum()) for c in self.channels)

    @property
    def exact(self) -> int:
        """Of these, recovered exactly."""
        return sum(int((c.exact & ~c.blind).sum()) for c in self.channels)


def weighted_layers(model: Model) -> list[Macs]:
    """Layers whose weights can be attacked, in their order."""
    found = []
    for op in model.main.operators:
        if op.name in WEIGHTED:
            try:
                found.append(macs_of(model, op))
            except ValueError:
                continue
    return found


def noisy(signal: Signal, sigma: float, rng: np.random.Generator) -> dict[int, NDArray[np.float32]]:
    """The traces with noise."""
    return {
        sample: values + np.float32(sigma) * rng.standard_normal(len(values), np.float32)
        for sample, values in signal.items()
    }


def named_sample(profile: Profile) -> int:
    """The sample at which the signal-to-noise ratio is set: that of the last product's sum."""
    last = [point.sample for point in profile.steps[-1] if point.feature != "hw_weight"]
    return last[0] if last else int(profile.samples[-1])


def attack_channel(
    bench: Bench | ForeignBench,
    model: Model,
    layer: LayerResult,
    channel: int,
    activations: NDArray[np.int8],
    strength: Strength,
    rng: np.random.Generator,
) -> ChannelResult:
    """Traces of one channel, and its weights and bias from them.

    Args:
        bench: the boards.
        model: the device's, to say how much of what was recovered is right.
        layer: profiled.
        channel: of the output.
        activations: (n, ...) of the layer's input.
        strength: of the attack.
        rng: of weights on the own board, and of the noise.
    """
    macs = layer.macs
    places = [macs.moved(pixel) for pixel in macs.pixels[: strength.pixels * (MORE if macs.length < SHORT else 1)]]
    factors = np.concatenate([place.factors(activations, channel) for place in places])
    true_bias = _bias(model, macs, channel)
    read = _profiled if strength.profiled else _unprofiled
    chain, bias, sigma = read(
        bench, model, layer, channel, places, activations, factors, strength, rng, true_bias is not None
    )
    weights = constant(model, model.main.tensors[macs.weight_tensor])
    assert weights is not None
    exact = chain.weights == weights.ravel()[macs.weights[channel]]
    return ChannelResult(macs.op, channel, chain.weights, exact, chain.blind, bias, bias == true_bias, sigma)


def _profiled(
    bench: Bench | ForeignBench,
    model: Model,
    layer: LayerResult,
    channel: int,
    places: list[Macs],
    activations: NDArray[np.int8],
    factors: NDArray[np.int32],
    strength: Strength,
    rng: np.random.Generator,
    biased: bool,
) -> tuple[Chain, int | None, float]:
    """Weights, bias and noise with points and levels from an identical build."""
    levels = bench.levels(layer.profile, layer.macs, channel, rng)
    parts = [bench.traces(levels, place, channel, activations) for place in places]
    signal = {sample: np.concatenate([part[sample] for part in parts]) for sample in parts[0]}
    sigma = _sigma(signal[named_sample(levels)], strength)
    traces = noisy(signal, sigma, rng)
    steps = _used(levels.steps, strength)
    starts = LARGEST_BIAS if bench.bias_first and biased else 0
    chain = recover(traces, factors, steps, sigma, strength.beam, bench.groups(layer.macs), starts=starts)
    if starts:
        return chain, chain.start, sigma
    if not biased or not levels.bias:
        return chain, None, sigma
    judged: list[tuple[float, int, Chain]] = []
    for rival in (chain, *chain.rivals):  # the sum with its bias may tell apart what the sums did not

        def stored(bias: int, sums: NDArray[np.int32] = rival.sums) -> float:
            codes = output_codes(model, layer.macs.op, channel, sums + np.int32(bias), clamped=False)
            return shown_cost(traces, codes, levels.output, sigma)

        bias, cost = recover_bias(traces, rival.sums, levels.bias, sigma, LARGEST_BIAS, stored)
        judged.append((rival.cost + cost, bias, rival))
    _, bias, chain = min(judged, key=lambda item: item[0])
    return chain, bias, sigma


def _used(steps: Sequence[Sequence[Point]], strength: Strength) -> Sequence[Sequence[Point]]:
    """The points that an attacker of this strength looks at."""
    if strength.templates and strength.loads:
        return steps
    sums = [[point for point in step if point.feature != "hw_weight"] for step in steps]
    return sums if strength.templates else [[replace(point, scale="own") for point in step[:1]] for step in sums]


def _unprofiled(
    bench: Bench | ForeignBench,
    model: Model,
    layer: LayerResult,
    channel: int,
    places: list[Macs],
    activations: NDArray[np.int8],
    factors: NDArray[np.int32],
    strength: Strength,
    rng: np.random.Generator,
    biased: bool,
) -> tuple[Chain, int | None, float]:
    """The same from whole traces of the device alone; the profile only says how much noise there is to be."""
    signal = np.concatenate([bench.whole(place, channel, activations) for place in places])
    sigma = _sigma(signal[:, named_sample(layer.profile)], strength)
    traces = signal + np.float32(sigma) * rng.standard_normal(signal.shape, np.float32)
    groups = bench.groups(layer.macs)
    if layer.located is None:
        layer.located = locate(traces, factors, layer.macs.offset, groups, bench.run(layer.macs))
        layer.template = _template(bench, layer, places, activations, strength, sigma, rng)
    found = extract(traces, factors, groups, layer.located, strength.beam, layer.template)
    if not biased:
        return found.chain, None, sigma
    template = found.steps[-1][0]
    if template.scale != "known":  # nothing was recovered that fits
        return found.chain, None, sigma
    return found.chain, find_bias(traces, found.chain.sums, template, LARGEST_BIAS), sigma


def _template(
    bench: Bench | ForeignBench,
    layer: LayerResult,
    places: list[Macs],
    activations: NDArray[np.int8],
    strength: Strength,
    sigma: float,
    rng: np.random.Generator,
) -> Point | None:
    """Gain and level of the sums, from whichever of some channels leaves the least doubt about its weights.

    One instruction computes the sums of all channels, and where inputs have one sign, a channel's weights and a
    multiple of them explain its traces nearly as well, with another gain and level.
    """
    assert layer.located is not None
    best, margin = None, 0.0
    for channel in rng.choice(layer.macs.channels, min(PILOTS, layer.macs.channels), replace=False).tolist():
        signal = np.concatenate([bench.whole(place, channel, activations) for place in places])
        traces = signal + np.float32(sigma) * rng.standard_normal(signal.shape, np.float32)
        factors = np.concatenate([place.factors(activations, channel) for place in places])
        found = extract(traces, factors, bench.groups(layer.macs), layer.located, strength.beam)
        if found.steps[-1][0].scale == "known" and found.chain.margin > margin:
            best, margin = found.steps[-1][0], found.chain.margin
    return best


def _sigma(signal: NDArray[np.float32], strength: Strength) -> float:
    return float(np.sqrt(signal.astype(np.float64).var() / strength.snr))


def _bias(model: Model, macs: Macs, channel: int) -> int | None:
    values = constant(model, model.main.tensors[macs.bias_tensor]) if macs.bias_tensor is not None else None
    return None if values is None else int(values.ravel()[channel])


def sampled(
    bench: Bench | ForeignBench,
    model: Model,
    activations: Activations,
    strength: Strength,
    channels: int,
    rng: np.random.Generator,
    said: Callable[[int, int, str], None],
    *,
    most: int = 1000,
) -> Iterator[LayerResult]:
    """Some channels of every layer, drawn at random; the activations are the device's own.

    Args:
        bench: the boards.
        model: the device's.
        activations: of each layer's input.
        strength: of the attack.
        channels: of each layer.
        rng: of the choice, the boards and the noise.
        said: progress.
        most: layers, spread over the model.
    """
    every = weighted_layers(model)
    layers = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))]
    for number, macs in enumerate(layers):
        said(number, len(layers), f"layer {macs.op} ({macs.name})")
        fed = activations(macs.input_tensor)[: strength.traces]
        layer = LayerResult(macs, bench.points(macs, rng))
        for channel in sorted(rng.choice(macs.channels, min(channels, macs.channels), replace=False).tolist()):
            layer.channels.append(attack_channel(bench, model, layer, channel, fed, strength, rng))
        yield layer
