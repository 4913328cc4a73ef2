"""SOFTMAX on int8: exponentials from a table of differences to the row's maximum, one reciprocal a row.

The runtime of October 2026 ends the program where the exponentials of a row add up to 512 or more and the output is
int8: a flat row of 512 elements is enough. The lift gives the smallest code there, which every probability rounds to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tinymlsec.errors import ModelFileError
from tinymlsec.lift.arithmetic import divide_by_power, high_mul
from tinymlsec.lift.fixed_point import exp_on_negative, halved, reciprocal
from tinymlsec.lift.op import LiftedOp, Site, State, Support
from tinymlsec.lift.ops.common import only
from tinymlsec.target.tflite.requant_ops import INTEGER_RANGES, SOFTMAX_INTEGER_BITS, TableConstants, softmax_constants

SUM_BITS = 12
"""Integer bits of the sum of exponentials."""
LARGEST_ROW = 4095
"""Elements whose exponentials fit the sum even if all are one."""


class _Softmax(torch.autograd.Function):
    """Exact codes forward, the real softmax's derivative backward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, exps: Tensor, parts: Tensor, step: float, bits: int) -> Tensor:
        ctx.steps = 2.0**bits
        ctx.step = step
        ctx.save_for_backward(logits)
        index = (logits.amax(-1, keepdim=True) - logits).to(torch.int32).reshape(-1)
        numerators, terms = (table.index_select(0, index).reshape(logits.shape) for table in (exps, parts))
        mantissa, over = reciprocal(terms.sum(-1, keepdim=True), SUM_BITS)
        codes = divide_by_power(high_mul(numerators, mantissa), over + 31 - bits)
        codes = torch.where(numerators > 0, codes, 0).clamp(0, 2**bits - 1)
        return torch.sub(codes, 2 ** (bits - 1)).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (logits,) = ctx.saved_tensors
        probabilities = torch.softmax(logits * ctx.step, -1)
        inner = (gradients[0] * probabilities).sum(-1, keepdim=True)
        return ctx.steps * ctx.step * probabilities * (gradients[0] - inner), *[None] * 4


class Softmax(LiftedOp):
    """SOFTMAX along the last axis.

    Args:
        constants: rescaling of differences.
        step: difference of the real exponents between neighboring codes (scale times beta).
        bits: of the output type.
    """

    exps: Tensor
    parts: Tensor

    def __init__(self, constants: TableConstants, step: float, bits: int) -> None:
        super().__init__()
        self.step, self.bits = step, bits
        differences = -torch.arange(256)
        shifted = differences * 2**constants.left_shift
        evaluated = differences >= -constants.radius
        rescaled = high_mul(torch.where(evaluated, shifted, 0), torch.tensor(constants.multiplier))
        exps = torch.where(evaluated, exp_on_negative(rescaled, SOFTMAX_INTEGER_BITS), 0)
        self.register_buffer("exps", exps, persistent=False)
        self.register_buffer("parts", halved(exps, SUM_BITS), persistent=False)

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, ..., classes) codes to codes of the same shape."""
        return [_Softmax.apply(inputs[0], self.exps, self.parts, self.step, self.bits)]  # type: ignore[no-untyped-call]


def build(site: Site) -> LiftedOp:
    """SOFTMAX on int8 with int8 or int16 output, whose scale and zero point the runtime prescribes."""
    shape, output = site.input(0).shape, site.output()
    if not shape or not 1 <= shape[-1] <= LARGEST_ROW:
        raise site.unsupported(f"rows of its shape {shape}, not of 1 to {LARGEST_ROW} elements")
    low, high = INTEGER_RANGES[output.dtype]
    steps = high - low + 1
    scale, zero_point = site.scale(output)
    if zero_point != low or abs(scale * steps - 1) > (0 if output.dtype == "int8" else 1e-3):
        raise site.unsupported(f"an output of scale {scale:g} from {zero_point}, not 1/{steps} from {low}")
    beta, input_scale = float(site.option("beta", 1.0)), site.scale(site.input(0))[0]
    try:
        constants = softmax_constants(beta, input_scale)
    except ModelFileError as error:
        raise site.unsupported(str(error)) from None
    return Softmax(constants, beta * input_scale, steps.bit_length() - 1)


SUPPORT: tuple[Support, ...] = tuple(
    Support(
        "SOFTMAX",
        types,
        build,
        only(("int8",), output),
        "along the last axis, up to 4,095 elements; any scale, zero point, beta",
    )
    for types, output in (("int8", "int8"), ("int8 -> int16", "int16"))
)
