"""QUANTIZE and DEQUANTIZE: between real numbers and codes, and between codes of two scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tinymlsec.lift.code_tables import CodeTable, all_codes
from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import only
from tinymlsec.lift.other_runtimes import converted_codes, is_xnnpack
from tinymlsec.lift.rescale import Rescale
from tinymlsec.lift.surrogate import window
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, rescale_multiplier


class _Quantize(torch.autograd.Function):
    """Real numbers to codes: single-precision quotient, rounded half away from zero, clamped.

    Beyond 2**31 steps of the scale the kernel's conversion to an integer is undefined (on x86 it gives the smallest
    code, on Arm the nearest). The lift gives the nearest, and the zero point for what is not a number.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float, zero_point: int, low: int, high: int) -> Tensor:
        quotient = torch.nan_to_num((values / scale).to(torch.float64))  # in double the sum with 1/2 is exact
        codes = torch.trunc(quotient + torch.copysign(torch.full_like(quotient, 0.5), quotient)) + zero_point
        ctx.scale = scale
        ctx.save_for_backward(window(codes, low, high))
        return codes.clamp_(low, high).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (passes,) = ctx.saved_tensors
        return gradients[0] * passes / ctx.scale, *[None] * 4


class Quantize(LiftedOp):
    """QUANTIZE from float32."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.scale, self.zero_point = site.scale(site.output())
        self.low, self.high = INTEGER_RANGES[site.output().dtype]

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Real numbers to codes of the same shape."""
        arguments = (self.scale, self.zero_point, self.low, self.high)
        return [_Quantize.apply(inputs[0], *arguments)]  # type: ignore[no-untyped-call]


class Requantize(LiftedOp):
    """QUANTIZE from int16: too many codes for a table."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        (si, self.input_zero_point), (so, zo) = site.scale(site.input(0)), site.scale(site.output())
        bounds = INTEGER_RANGES[site.output().dtype]
        self.rescale = Rescale(*rescale_multiplier(si, so), si / so, zo, bounds, "double")
        self.rescale.prepare(2.0**16)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Codes to codes of the same shape."""
        return [self.rescale(inputs[0] - self.input_zero_point)]


class Dequantize(LiftedOp):
    """DEQUANTIZE: the product is formed in double precision and rounded once."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.scale, self.zero_point = site.scale(site.input(0))

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """Codes to real numbers of the same shape."""
        return [((inputs[0] - self.zero_point).to(torch.float64) * self.scale).to(torch.float32)]


def build_rescale(site: Site) -> LiftedOp:
    """QUANTIZE from int8 or uint8 to another scale or type."""
    (si, zi), (so, zo) = site.scale(site.input(0)), site.scale(site.output())
    source, target = site.input(0).dtype, site.output().dtype
    x = all_codes(source) - zi
    codes = converted_codes(x, (si, so)) if is_xnnpack(site) and source == target else None
    if codes is None:
        codes = multiply_by_quantized_multiplier(x, *rescale_multiplier(si, so))
    return CodeTable(source, codes + zo, INTEGER_RANGES[target], si / so)


_ANY = "one scale and zero point per tensor, any values"
SUPPORT: tuple[Support, ...] = (
    *(Support("QUANTIZE", f"float32 -> {t}", Quantize, only(("float32",), t), _ANY) for t in ("int8", "int16")),
    Support("QUANTIZE", "int8", build_rescale, only(("int8",), "int8"), _ANY),
    Support("QUANTIZE", "int8 -> uint8", build_rescale, only(("int8",), "uint8"), _ANY),
    Support("QUANTIZE", "uint8 -> int8", build_rescale, only(("uint8",), "int8"), _ANY),
    Support("QUANTIZE", "int8 -> int16", build_rescale, only(("int8",), "int16"), _ANY),
    Support("QUANTIZE", "int16 -> int8", Requantize, only(("int16",), "int8"), _ANY),
    Support("QUANTIZE", "int16", Requantize, only(("int16",), "int16"), _ANY),
    *(
        Support("DEQUANTIZE", f"{t} -> float32", Dequantize, only((t,), "float32"), _ANY)
        for t in ("int8", "uint8", "int16")
    ),
)
