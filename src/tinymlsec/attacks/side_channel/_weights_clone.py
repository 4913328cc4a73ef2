"""From the weights that traces gave to a working copy of the model, layer after layer.

Each layer is attacked with the activations that the layers recovered before it lead to: the attacker never sees the
device's own. What they are given is the architecture and the scales, as a datasheet, a leaked file of another version
or attack H1 gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._bench import Bench
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel, weighted_layers
from tinymlsec.attacks.side_channel._macs import Macs
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.cut import cut_model
from tinymlsec.target.tflite.edit import patch_tensor
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model

Ask = Callable[[bytes, NDArray[np.int8]], NDArray[np.generic]]
"""Runs a model file on inputs."""


@dataclass
class CloneResult:
    """The copy."""

    data: bytes
    """A .tflite file with what was recovered; weights that were not attacked are zero."""
    layers: list[LayerResult] = field(default_factory=list)


def blank(data: bytes, model: Model) -> bytes:
    """The model without its secrets: weights and biases of all attacked layers are zero."""
    for macs in weighted_layers(model):
        data = _patched(data, model, macs.weight_tensor, np.zeros(_size(model, macs.weight_tensor), np.int8))
        if macs.bias_tensor is not None:
            data = _patched(data, model, macs.bias_tensor, np.zeros(_size(model, macs.bias_tensor), np.int32))
    return data


def clone(
    bench: Bench,
    data: bytes,
    model: Model,
    inputs: NDArray[np.int8],
    strength: Strength,
    ask: Ask,
    rng: np.random.Generator,
    said: Callable[[int, int, str], None],
) -> CloneResult:
    """Recovers all weights.

    Args:
        bench: the boards.
        data: the device's file; only its blank version and traces are used, and the truth to count what is right.
        model: the same, read.
        inputs: (n, ...) that the device is fed.
        strength: of the attack; its traces are at most the inputs.
        ask: runs the copy on the attacker's computer.
        rng: of the boards and the noise.
        said: progress.
    """
    made = CloneResult(blank(data, model))
    layers = weighted_layers(model)
    total, done = sum(macs.channels for macs in layers), 0
    fed = inputs[: strength.traces]
    for macs in layers:
        if macs.input_tensor == model.main.inputs[0]:
            activations = fed
        else:
            activations = ask(cut_model(read_model(made.data), macs.input_tensor), fed).astype(np.int8)
        layer = LayerResult(macs, bench.points(macs, rng))
        for channel in range(macs.channels):
            said(done, total, f"layer {macs.op} ({macs.name}), channel {channel} of {macs.channels}")
            layer.channels.append(attack_channel(bench, model, layer, channel, activations, strength, rng))
            done += 1
        made.data = _with_layer(made.data, model, macs, layer)
        made.layers.append(layer)
    return made


def _with_layer(data: bytes, model: Model, macs: Macs, layer: LayerResult) -> bytes:
    weights = np.zeros(_size(model, macs.weight_tensor), np.int8)
    for result in layer.channels:
        weights[macs.weights[result.channel]] = result.weights
    data = _patched(data, model, macs.weight_tensor, weights)
    if macs.bias_tensor is None:
        return data
    biases = np.array([result.bias or 0 for result in layer.channels], np.int32)
    return _patched(data, model, macs.bias_tensor, biases)


def _size(model: Model, tensor: int) -> int:
    values = constant(model, model.main.tensors[tensor])
    assert values is not None
    return int(values.size)


def _patched(data: bytes, model: Model, tensor: int, values: NDArray[np.generic]) -> bytes:
    shape = model.main.tensors[tensor].shape
    return patch_tensor(data, read_model(data), 0, tensor, values.reshape(shape), allow_shared=True)
