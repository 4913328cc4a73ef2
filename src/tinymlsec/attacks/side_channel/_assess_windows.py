"""What is run of each layer: one output pixel and some channels, or the beginning of a layer without pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._macs import Macs, macs_of
from tinymlsec.target.tflite.constant import constant

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen.program import Layer, Span
    from tinymlsec.emulate.twin import Twin

REACH = 16_384
"""Instructions of a window at most; a longer layer is run so far, and again from its beginning."""
OUTPUT_BYTES = 2048
"""Of a layer's output, at most, that are looked at as intermediate values."""


@dataclass(frozen=True)
class Fed:
    """A part of a tensor that the window reads."""

    tensor: int
    address: int
    """Of the part."""
    dtype: np.dtype[Any]
    first: int
    """Place of its first element in the flat tensor."""
    count: int
    model_input: bool


@dataclass(frozen=True)
class Stored:
    """A part of a table of weights in the firmware's memory."""

    address: int
    first: int
    """Place of its first element in the flat table."""
    values: NDArray[Any]
    """(w,) as they are."""
    every: NDArray[Any]
    """All values of the layer."""


@dataclass(frozen=True)
class Part:
    """What is assessed of one layer."""

    layer: Layer
    window: str
    fed: tuple[Fed, ...]
    stored: Stored | None
    """None: the layer has no weights."""
    macs: Macs | None
    """Products behind the pixel; None where the layer has no int8 weights."""
    channels: tuple[int, int]
    """Output channels, (0, 0) without pixels."""
    pixel: tuple[int, int]
    """Row and column of the output."""
    output: tuple[int, np.dtype[Any], int] | None
    """Address, type and number of output values."""

    @property
    def name(self) -> str:
        """For reports."""
        return f"{self.layer.index}: {self.layer.op}"

    @property
    def real(self) -> bool:
        """It computes with real numbers."""
        kinds = [fed.dtype for fed in self.fed] + ([] if self.output is None else [self.output[1]])
        return any(kind.kind == "f" for kind in kinds)


def parts_of(twin: Twin, channels: int, rng: np.random.Generator) -> list[Part]:
    """One window for each layer.

    Args:
        twin: the firmware.
        channels: output channels of each pixel.
        rng: which of them.
    """
    return [_part(twin, layer, channels, rng) for layer in twin.program.layers]


def _part(twin: Twin, layer: Layer, channels: int, rng: np.random.Generator) -> Part:
    macs = _macs(twin, layer)
    if not layer.pixel_symbol or not all(layer.pixels):
        return Part(
            layer, f"op:{layer.index}", _fed(twin, layer, None), None, None, (0, 0), (0, 0), _output(twin, layer)
        )
    rows, columns, depth = layer.pixels
    y, x = macs.pixel if macs is not None else (rows // 2, columns // 2)
    count = min(channels, depth)
    first = int(rng.integers(0, depth - count + 1))
    span = (first, first + count)
    window = f"op:{layer.index}@{y},{x},{span[0]}:{span[1]}"
    places = None if macs is None else macs.inputs[span[0] : span[1]]
    return Part(
        layer, window, _fed(twin, layer, places), _stored(twin, layer, macs, span), macs, span, (y, x),
        _output(twin, layer, (y * columns + x) * depth + first, count),
    )  # fmt: skip


def _macs(twin: Twin, layer: Layer) -> Macs | None:
    try:
        return macs_of(twin.model, twin.model.main.operators[layer.index])
    except (ValueError, IndexError):
        return None


def _type(twin: Twin, tensor: int) -> np.dtype[Any] | None:
    try:
        return np.dtype(twin.model.main.tensors[tensor].dtype)
    except TypeError:
        return None


def _fed(twin: Twin, layer: Layer, places: NDArray[np.int64] | None) -> tuple[Fed, ...]:
    """Tensors of the arena, each once; of the first only what the pixel reads, where that is known."""
    made: dict[int, Fed] = {}
    for span in layer.inputs:
        kind = _type(twin, span.tensor)
        if span.offset is None or kind is None or not span.bytes or span.tensor in made:
            continue
        low, high = 0, span.bytes // kind.itemsize
        if places is not None and not made:
            low, high = int(places.min()), int(places.max()) + 1
        address = twin.tensor_address(span.tensor) + low * kind.itemsize
        made[span.tensor] = Fed(span.tensor, address, kind, low, high - low, span.tensor in twin.model.main.inputs)
    return tuple(made.values())


def _stored(twin: Twin, layer: Layer, macs: Macs | None, channels: tuple[int, int]) -> Stored | None:
    """The weights of some channels, where the table in the image holds them as the file does."""
    op = twin.model.main.operators[layer.index]
    values = constant(twin.model, twin.model.main.tensors[op.inputs[1]])
    symbol = twin.image.symbols.get(f"tms_w_{layer.index:03d}")
    if values is None or symbol is None or twin.image.read(symbol.address, values.nbytes) != values.tobytes():
        return None
    flat = values.ravel()
    if macs is not None:
        places = macs.weights[channels[0] : channels[1]]
        low, high = int(places.min()), int(places.max()) + 1
    elif layer.op == "DEPTHWISE_CONV_2D":
        low, high = 0, len(flat)
    else:
        each = len(flat) // layer.pixels[2]
        low, high = channels[0] * each, channels[1] * each
    return Stored(symbol.address + low * flat.itemsize, low, flat[low:high], flat)


def _output(twin: Twin, layer: Layer, first: int = 0, count: int = 0) -> tuple[int, np.dtype[Any], int] | None:
    span: Span | None = next((span for span in layer.outputs if span.offset is not None), None)
    kind = None if span is None else _type(twin, span.tensor)
    if span is None or kind is None or not span.bytes:
        return None
    most = count or min(span.bytes, OUTPUT_BYTES) // kind.itemsize
    return twin.tensor_address(span.tensor) + first * kind.itemsize, kind, most
