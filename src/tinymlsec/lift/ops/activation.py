"""Activations of their own on int8: RELU, RELU6, LEAKY_RELU, LOGISTIC and TANH, each a table of 256 codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinymlsec.errors import ModelFileError
from tinymlsec.lift.code_tables import CodeTable, all_codes
from tinymlsec.lift.fixed_point import halved, logistic, tanh
from tinymlsec.lift.op import LiftedOp, Site, Support
from tinymlsec.lift.ops.common import only
from tinymlsec.lift.other_runtimes import converted_codes, is_xnnpack, own_multiplier
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier
from tinymlsec.target.tflite.requant_ops import activation_range, logistic_constants

INT8 = (-128, 127)
RELU6_NUMBER = 3


def build_relu(site: Site) -> LiftedOp:
    """RELU: rescaled to the output's scale, clamped at its zero point."""
    return _rescaled_relu(site, INT8[1])


def _rescaled_relu(site: Site, highest: int) -> LiftedOp:
    (si, zi), (so, zo) = site.scale(site.input(0)), site.scale(site.output())
    codes = multiply_by_quantized_multiplier(all_codes("int8") - zi, *own_multiplier(site, (si,), so))
    return CodeTable("int8", codes + zo, (max(zo, INT8[0]), highest), si / so)


def build_relu6(site: Site) -> LiftedOp:
    """RELU6: TensorFlow Lite Micro clamps the input's codes on the input's scale and never looks at the output's."""
    own = site.profile.name == "tflm"
    scale, zero_point = site.scale(site.input(0) if own else site.output())
    try:
        bounds = activation_range(RELU6_NUMBER, "int8", scale, zero_point)
    except ModelFileError as error:
        raise site.unsupported(str(error)) from None
    return CodeTable("int8", all_codes("int8"), bounds, 1.0) if own else _rescaled_relu(site, bounds[1])


def build_leaky_relu(site: Site) -> LiftedOp:
    """LEAKY_RELU: another multiplier below the zero point."""
    (si, zi), (so, zo) = site.scale(site.input(0)), site.scale(site.output())
    alpha, x = float(np.float32(site.option("alpha"))), all_codes("int8") - zi
    codes = converted_codes(x, (si, so), alpha) if is_xnnpack(site) else None
    if codes is None:
        sign = -1 if alpha < 0 else 1  # the kernel multiplies by the magnitude and turns the result around
        below = sign * multiply_by_quantized_multiplier(x, *own_multiplier(site, (si, abs(alpha)), so))
        codes = np.where(x >= 0, multiply_by_quantized_multiplier(x, *own_multiplier(site, (si,), so)), below)
    return CodeTable("int8", codes + zo, INT8, np.where(x >= 0, si / so, alpha * si / so))


def build_logistic(site: Site) -> LiftedOp:
    """LOGISTIC: output codes are 256 times the probability, from -128 on."""
    scale, zero_point = site.scale(site.input(0))
    if site.scale(site.output())[1] != INT8[0]:
        raise site.unsupported("the zero point of its output is not -128")
    real = 1 / (1 + np.exp(-_real(scale, zero_point)))
    codes = _table(site, scale, zero_point, lambda x: halved(logistic(x), 31 - 8) - 128)
    return CodeTable("int8", codes, INT8, 256 * scale * real * (1 - real))


def build_tanh(site: Site) -> LiftedOp:
    """TANH: output codes are 128 times the function."""
    scale, zero_point = site.scale(site.input(0))
    slopes = 128 * scale * (1 - np.tanh(_real(scale, zero_point)) ** 2)
    codes = _table(site, scale, zero_point, lambda x: halved(tanh(x), 31 - 7))
    return CodeTable("int8", codes, INT8, slopes)


def _real(scale: float, zero_point: int) -> NDArray[np.float64]:
    """Real values of all codes, held within the range in which exp does not overflow."""
    return np.clip(scale * (all_codes("int8") - zero_point), -60.0, 60.0)


def _table(site: Site, scale: float, zero_point: int, curve: Callable[[Tensor], Tensor]) -> NDArray[np.int64]:
    """Codes of a saturating curve: evaluated in fixed point inside of the input radius, its ends outside.

    They are clamped here already: the curve flattens by itself, and its small slopes at the ends are worth keeping.
    """
    try:
        constants = logistic_constants(scale)
    except ModelFileError as error:
        raise site.unsupported(str(error)) from None
    x = all_codes("int8") - zero_point
    inside = np.abs(x) < constants.radius
    arguments = multiply_by_quantized_multiplier(np.where(inside, x, 0), constants.multiplier, constants.left_shift)
    values = curve(torch.from_numpy(arguments)).clamp(*INT8).numpy()
    return np.where(inside, values, np.where(x <= -constants.radius, *INT8))


_INT8_ROW = only(("int8",), "int8")
SUPPORT: tuple[Support, ...] = (
    Support("RELU", "int8", build_relu, _INT8_ROW, "any scales and zero points"),
    Support(
        "RELU6",
        "int8",
        build_relu6,
        _INT8_ROW,
        "any scale and zero point of the input; codes are clamped, not rescaled",
    ),
    Support("LEAKY_RELU", "int8", build_leaky_relu, _INT8_ROW, "any scales, zero points and slope"),
    Support("LOGISTIC", "int8", build_logistic, _INT8_ROW, "any scale and zero point; output from -128, step 1/256"),
    Support("TANH", "int8", build_tanh, _INT8_ROW, "any scale and zero point; output around 0, step 1/128"),
)
