"""What the traces are of: the layer they show, and what it computed from the input of each trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._features import bits
from tinymlsec.attacks.side_channel._macs import Macs, macs_of
from tinymlsec.emulate.windows import layer_of, pixel_of
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.cut import cut_model

if TYPE_CHECKING:
    from tinymlsec.target.space import Codes, InputSpace
    from tinymlsec.target.target import Target
    from tinymlsec.target.tflite.graph import Model
    from tinymlsec.target.victim import Victim

ORDERS = ("products, bias last", "bias first", "bias and zero point first")
"""Ways in which kernels form a sum: as the reference kernels do, with the bias as first value, and with the input's
zero point folded into that value, as CMSIS-NN does."""
FEATURES = ("weight", "change")
"""What a sum may show: its Hamming weight, or its Hamming distance from the sum before."""
Ask = Callable[[int, "Codes"], NDArray[np.generic]]
"""(tensor, codes) -> (n, ...) what the model holds there."""


@dataclass(frozen=True)
class Sums:
    """One output channel at one pixel: everything that a sum of products is made of."""

    macs: Macs
    """At the pixel that is meant."""
    channel: int
    weights: NDArray[np.int32]
    """(k,) the device's own."""
    bias: int
    groups: tuple[tuple[int, ...], ...]
    """Products that are added at once, in order."""

    def factors(self, activations: NDArray[np.int8], order: int) -> NDArray[np.int32]:
        """(n, k) what weights are multiplied with in an order of `ORDERS`."""
        factors = self.macs.factors(activations, self.channel)
        return factors - np.int32(self.macs.offset) if order == 2 else factors

    def first(self, order: int) -> int:
        """What the sum begins with."""
        return (0, self.bias, self.bias + self.macs.offset * int(self.weights.sum()))[order]

    def after(
        self, activations: NDArray[np.int8], order: int, steps: int, weights: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """(n, 1 + steps) what the sum begins with, and the sum after each of the first steps.

        Args:
            activations: (n, ...) of the layer's input.
            order: number in `ORDERS`.
            steps: how many.
            weights: (k,) the device's own, or others.
        """
        groups = self.groups[:steps]
        used = [k for group in groups for k in group]
        products = self.factors(activations, order)[:, used] * weights[used]
        ends = np.cumsum([len(group) for group in groups]) - 1
        summed = np.cumsum(products, axis=1, dtype=np.int32)[:, ends]
        begin = np.zeros((len(summed), 1), np.int32)
        return np.concatenate([begin, summed], axis=1) + np.int32(self.first(order))


@dataclass(frozen=True)
class Subject:
    """The model and the layer that the traces show."""

    model: Model
    space: InputSpace
    ask: Ask
    decide: Callable[[Codes], NDArray[np.int64]] | None
    """The model's decisions; None where the task takes none."""
    sums: Sums | None
    """None where no layer with int8 weights is shown."""
    outputs: NDArray[np.int64]
    """Places in the layer's flat output that are looked at."""
    bytes: NDArray[np.int64]
    """Bytes of the input that are looked at."""
    words: str
    """For reports."""

    def codes(self, inputs: NDArray[np.uint8]) -> Codes:
        """Bytes of the device's input tensor as codes."""
        shape = (len(inputs), *self.space.sample_shape)
        given = np.ascontiguousarray(inputs).view(self.space.device_dtype).reshape(shape)
        return self.space.encode(given) if self.space.wrapped else given.astype(self.space.code_dtype, copy=False)

    def activations(self, codes: Codes) -> NDArray[np.int8]:
        """(n, ...) input of the layer."""
        assert self.sums is not None
        tensor = self.sums.macs.input_tensor
        if tensor == self.model.main.inputs[0]:
            return codes
        return self.ask(tensor, codes).astype(np.int8)

    def output_bits(self, codes: Codes) -> NDArray[np.uint8]:
        """(n, o) Hamming weight of chosen outputs of the layer, as registers hold them."""
        assert self.sums is not None
        tensor = self.model.main.operators[self.sums.macs.op].outputs[0]
        flat = self.ask(tensor, codes).reshape(len(codes), -1)
        return bits(np.ascontiguousarray(flat[:, self.outputs].astype(np.int32)))


def byte_classes(inputs: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Class of a byte by its Hamming weight and its sign: 0 to 16.

    It decides the Hamming weight of the byte as it crosses the bus as well as that of the register that it is
    extended into by its sign.
    """
    return np.bitwise_count(inputs).astype(np.intp) + 8 * (inputs >> 7).astype(np.intp)


CLASSES = 17


def shown(after: NDArray[np.int32], feature: str) -> NDArray[np.uint8]:
    """(n, steps) bits that the sums of each step show.

    Args:
        after: (n, 1 + steps) from `Sums.after`.
        feature: one of `FEATURES`.
    """
    seen = after[:, 1:] if feature == "weight" else after[:, 1:] ^ after[:, :-1]
    return bits(np.ascontiguousarray(seen))


def asker(model: Model, victim_of: Callable[[bytes], Victim]) -> Ask:
    """Values of tensors, from the runtime; each part of the model is opened once."""
    cut: dict[int, Victim] = {}

    def ask(tensor: int, codes: Codes) -> NDArray[np.generic]:
        if tensor not in cut:
            cut[tensor] = victim_of(cut_model(model, tensor))
        return cut[tensor].raw(codes)

    return ask


def subject_of(target: Target, ask: Ask, window: str, style: str, most: tuple[int, int]) -> Subject:
    """What the traces of a target show.

    Args:
        target: with a model that runs.
        ask: from `asker`.
        window: of the traces; empty where nobody said, when the first layer is taken to be in them.
        style: of the kernels' inner loops.
        most: bytes of the input and outputs of the layer that are looked at.
    """
    victim = target.require_victim()
    model, space = victim.model, victim.space
    macs = _macs(model, layer_of(window))
    pixel, channels = _place(macs, window)
    sums = None if macs is None or pixel is None else _sums(model, macs.moved(pixel), channels[0], style)
    width = int(np.prod(space.sample_shape)) * np.dtype(space.device_dtype).itemsize
    own = macs is not None and macs.input_tensor == model.main.inputs[0] and space.device_dtype == "int8"
    used = sums.macs.inputs[sums.channel] if sums is not None and own else np.zeros(0, np.int64)
    return Subject(
        model, space, ask,
        (lambda codes: victim.decisions(victim.scores(codes))) if victim.task.decides else None,
        sums, _outputs(model, macs, window, most[1]), _bytes(used, width, most[0]),
        _words(macs, pixel, channels, window),
    )  # fmt: skip


def _macs(model: Model, layer: int | None) -> Macs | None:
    """The products of the layer that is shown; of the first that has any where nobody said."""
    operators = model.main.operators
    for op in operators if layer is None else operators[layer : layer + 1]:
        try:
            return macs_of(model, op)
        except (ValueError, IndexError):
            continue
    return None


def _place(macs: Macs | None, window: str) -> tuple[tuple[int, int] | None, range]:
    """Pixel and channels; no pixel where its window reaches over the border of the image."""
    if macs is None:
        return None, range(1)
    named = pixel_of(window)
    if named is None:
        return macs.pixel, range(macs.channels)
    y, x, first, end = named
    inside = (y, x) in macs.pixels and end <= macs.channels
    return ((y, x) if inside else None), range(first, end)


def _sums(model: Model, macs: Macs, channel: int, style: str) -> Sums:
    weights = constant(model, model.main.tensors[macs.weight_tensor])
    bias = None if macs.bias_tensor is None else constant(model, model.main.tensors[macs.bias_tensor])
    assert weights is not None
    own = weights.ravel()[macs.weights[channel]].astype(np.int32)
    return Sums(macs, channel, own, 0 if bias is None else int(bias.ravel()[channel]), macs.groups(style))


def _outputs(model: Model, macs: Macs | None, window: str, most: int) -> NDArray[np.int64]:
    if macs is None:
        return np.zeros(0, np.int64)
    shape = (1, 1, *model.main.tensors[model.main.operators[macs.op].outputs[0]].shape)[-3:]
    places = np.arange(int(np.prod(shape))).reshape(shape)
    named = pixel_of(window)
    shown = places.ravel() if named is None else places[named[0], named[1], named[2] : named[3]]
    return _spread(shown, most)


def _bytes(used: NDArray[np.int64], width: int, most: int) -> NDArray[np.int64]:
    """Bytes that the sum takes, in its order, then others spread over the input."""
    first = used[:most]
    others = np.setdiff1d(np.arange(width), first)
    return np.concatenate([first, _spread(others, most - len(first))])


def _spread(places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if most < 1 or not len(places):
        return np.zeros(0, np.int64)
    chosen = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int))
    picked: NDArray[np.int64] = places[chosen]
    return picked


def _words(macs: Macs | None, pixel: tuple[int, int] | None, channels: range, window: str) -> str:
    shown = f"window {window}" if window else "no window stated"
    if macs is None:
        return f"{shown}: no layer with int8 weights, so inputs alone are looked at"
    layer = f"operator {macs.op} ({macs.name})"
    if pixel is None:
        return f"{shown}: {layer}; its window reaches over the border, so no sums are formed"
    return f"{shown}: {layer}, sums of pixel {pixel[0]},{pixel[1]}, channel {channels[0]}"
