"""Windows on images: sizes, strides and padding of convolutions and pooling, checked against the tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from numpy.typing import NDArray

from tinymlsec.emulate.codegen.lowering import Place

SAME = 0
"""Number of SAME in the schema's Padding."""


@dataclass(frozen=True)
class Geometry:
    """A window on an image. Field names are those of the C record tms_geometry, but for `images`."""

    images: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    k_h: int
    k_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_h: int
    pad_w: int

    @property
    def initializer(self) -> str:
        """The C initializer of a tms_geometry, on two lines."""
        parts = [f".{f.name} = {getattr(self, f.name)}" for f in fields(self) if f.name != "images"]
        return "{" + ", ".join(parts[:6]) + ",\n          " + ", ".join(parts[6:]) + "}"


def geometry(place: Place, *, depthwise: bool = False) -> Geometry:
    """The window of a convolution.

    Args:
        place: input 0 is the image, input 1 the weights.
        depthwise: output channels run along the last axis of the weights, not the first.

    Raises:
        UnsupportedModelError: shapes that do not fit each other.
    """
    image, weights = place.input(0).shape, place.input(1).shape
    if len(image) != 4 or len(weights) != 4 or len(place.output().shape) != 4:
        raise place.unsupported(f"input of {len(image)} dimensions")
    dilation = (int(place.option("dilation_h_factor", 1)), int(place.option("dilation_w_factor", 1)))
    return window(place, (weights[1], weights[2]), dilation, weights[3] if depthwise else weights[0])


def groups(place: Place, g: Geometry, weights: NDArray[Any]) -> tuple[int, int]:
    """Channels that one group of a convolution reads, and writes.

    Raises:
        UnsupportedModelError: weights that do not divide the channels.
    """
    group_in = weights.shape[3]
    if group_in == 0 or g.in_c % group_in or g.out_c % (g.in_c // group_in):
        raise place.unsupported(f"weights {list(weights.shape)} for {g.in_c} input channels")
    return group_in, g.out_c // (g.in_c // group_in)


def window(place: Place, size: tuple[int, int], dilation: tuple[int, int], channels: int) -> Geometry:
    """A window of a given size over the image at input 0, with the operator's stride and padding.

    Raises:
        UnsupportedModelError: the output is not the one that stride and padding lead to.
    """
    image, output = list(place.input(0).shape), list(place.output().shape)
    stride = (int(place.option("stride_h", 1)), int(place.option("stride_w", 1)))
    if not all(1 <= step < 1 << 15 for step in (*stride, *dilation, *size)):
        raise place.unsupported(f"window {size}, strides {stride}, dilations {dilation}")
    same = int(place.option("padding")) == SAME
    axes = [axis(image[1 + k], size[k], stride[k], dilation[k], same=same) for k in range(2)]
    expected = [image[0], axes[0][0], axes[1][0], channels]
    if output != expected:
        raise place.unsupported(f"output {output} where {expected} is computed")
    numbers: tuple[int, ...] = (*image, *output[1:], *size, *stride, *dilation, *(ahead for _, ahead in axes))
    return Geometry(*numbers)


def axis(size: int, taps: int, stride: int, dilation: int, *, same: bool) -> tuple[int, int]:
    """(output places, padding ahead) along one axis, as the runtime computes them: the odd place is padded behind."""
    reach = (taps - 1) * dilation + 1
    if not same:
        return max((size - reach) // stride + 1, 0), 0
    places = -(-size // stride)
    return places, max((places - 1) * stride + reach - size, 0) // 2
