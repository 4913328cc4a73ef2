"""The input space of a model as the device sees it: an integer grid wherever there is one.

Attacks work on *codes*. For an integer model a code is the int8 (or uint8, int16) value the device puts into the input
tensor. A model with float input around an integer core is an integer target all the same: its grid is that of its first
QUANTIZE, and codes are turned into the float values that this operator maps back onto them. Only a model that computes
in floating point has no grid; there one *step* is declared to be 1/255 of the input range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import DataError, DeploymentError, UnsupportedModelError
from tinymlsec.target.tflite.graph import Model, Quantization, Tensor

Codes: TypeAlias = NDArray[Any]
"""Codes: int8, uint8, int16 on a grid, float32 without one."""
GRID_TYPES = ("int8", "uint8", "int16")


@dataclass(frozen=True)
class InputSpace:
    """Where inputs live."""

    shape: tuple[int, ...]
    """Shape of one input as the runtime takes it, the leading batch dimension of 1 included where the model has one."""
    device_dtype: str
    """What the runtime takes: int8, uint8, int16 or float32."""
    code_dtype: str
    """What codes are: the grid's integer type, or float32 without a grid."""
    scale: float
    """Real value of one step; 0 where it is not known."""
    zero_point: int
    low: float
    """Smallest code an input may hold."""
    high: float
    """Largest code an input may hold."""
    wrapped: bool
    """Float at the border, integer inside."""
    bounds_source: str

    @property
    def is_grid(self) -> bool:
        """True where codes are integers."""
        return self.code_dtype != "float32"

    @property
    def step(self) -> float:
        """One input step in codes: 1 on a grid, 1/255 of the range otherwise."""
        return 1.0 if self.is_grid else (self.high - self.low) / 255.0

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one input without the leading batch dimension of 1."""
        return self.shape[1:] if self.shape and self.shape[0] == 1 else self.shape

    def describe_steps(self, steps: float) -> str:
        """A perturbation of so many steps in words, with its real size where the scale is known."""
        if not self.is_grid:
            return f"{steps:g}/255 of the input range ({steps * self.step:.4g} in input units)"
        real = f" ({steps * self.scale:.4g} in real units)" if self.scale else ""
        return f"{steps:g} input step{'s' if steps != 1 else ''}{real}"

    def clip(self, values: NDArray[np.generic]) -> Codes:
        """Nearest codes within the bounds.

        Args:
            values: any shape; integer or float codes that may lie outside.

        Returns:
            the same shape in the code dtype.
        """
        inside = np.clip(values, self.low, self.high)
        if self.is_grid:
            inside = np.rint(inside)
        codes: Codes = inside.astype(self.code_dtype)
        return codes

    def to_device(self, codes: Codes) -> NDArray[np.generic]:
        """What the runtime is given for these codes; shape kept."""
        if self.wrapped:
            return ((codes.astype(np.float64) - self.zero_point) * self.scale).astype(np.float32)
        return codes.astype(self.device_dtype, copy=False)

    def to_real(self, codes: Codes) -> NDArray[np.float64]:
        """Codes in real units; shape kept."""
        if not self.is_grid:
            return codes.astype(np.float64)
        return (codes.astype(np.float64) - self.zero_point) * (self.scale or 1.0)

    def encode(self, x: NDArray[np.generic], encoding: str | None = None) -> Codes:
        """The user's data as codes.

        Args:
            x: (n, *sample_shape) or (n, steps, *sample_shape). int8 is the device input as it is, float is quantized
                with the model's input scale, uint8 needs ``encoding="uint8"`` unless the model itself takes uint8.
            encoding: ``"uint8"`` or None.

        Raises:
            DataError: a type or value that cannot be meant.
        """
        kind = x.dtype.kind
        if encoding == "uint8" and x.dtype != np.uint8:
            raise DataError(
                "the data is not what --input-encoding says",
                found=f"x is {x.dtype}",
                expected="x of type uint8",
                next_step="leave --input-encoding out, or store the data as uint8",
            )
        if kind == "f":
            return self._encode_real(x)
        if kind not in "iu":
            raise DataError("x holds no numbers", found=f"dtype {x.dtype}", expected="int8, uint8 or float32")
        if x.dtype == np.uint8 and self.code_dtype == "int8":
            if encoding != "uint8":
                raise DataError(
                    "uint8 data for an int8 model can mean two things",
                    found="x of type uint8",
                    expected="int8 (device input as it is) or float (real units)",
                    next_step="if 0..255 stands for -128..127, say --input-encoding uint8",
                )
            return (x.astype(np.int16) - 128).astype(np.int8)
        if not self.is_grid:
            return x.astype(np.float32)
        if x.size and (x.min() < self.low_limit or x.max() > self.high_limit):
            raise DataError(
                "integer data does not fit the model's input type",
                found=f"values from {x.min()} to {x.max()} ({x.dtype})",
                expected=f"{self.code_dtype}: {self.low_limit} to {self.high_limit}",
                next_step="store real-valued data as float32; it is then quantized with the model's input scale",
            )
        return x.astype(self.code_dtype)

    @property
    def low_limit(self) -> int:
        """Smallest value of the grid's type."""
        return int(np.iinfo(self.code_dtype).min)

    @property
    def high_limit(self) -> int:
        """Largest value of the grid's type."""
        return int(np.iinfo(self.code_dtype).max)

    def _encode_real(self, x: NDArray[np.generic]) -> Codes:
        if not np.isfinite(x).all():
            bad = int(np.argmin(np.isfinite(x).reshape(len(x), -1).all(axis=1)))
            raise DataError("x holds NaN or infinity", found=f"first in sample {bad}", expected="finite numbers")
        if not self.is_grid:
            return x.astype(np.float32)
        if not self.scale:
            raise DataError(
                "real-valued data cannot be quantized",
                found="the model's input has no scale",
                expected=f"x of type {self.code_dtype}",
            )
        codes = np.rint(x.astype(np.float64) / self.scale) + self.zero_point
        inside: Codes = np.clip(codes, self.low_limit, self.high_limit).astype(self.code_dtype)
        return inside

    def with_bounds(self, low: float, high: float, source: str) -> InputSpace:
        """The same space between two codes (bounds of the sensor, or the range of the data)."""
        return replace(
            self,
            low=max(low, self.low) if self.is_grid else low,
            high=min(high, self.high) if self.is_grid else high,
            bounds_source=source,
        )

    def with_sensor(self, low: float, high: float) -> InputSpace:
        """The same space within the physical range of the sensor, in real units.

        Raises:
            DeploymentError: no code of the model lies within that range.
        """
        if not self.is_grid:
            return self.with_bounds(low, high, "sensor range of the deployment profile")
        with np.errstate(over="ignore"):  # beyond every code is answer enough
            ends = np.rint(np.array([low, high]) / (self.scale or 1.0)) + self.zero_point
        first, last = float(ends.min()), float(ends.max())
        if not (first <= self.high and last >= self.low):
            real = [(code - self.zero_point) * (self.scale or 1.0) for code in (self.low, self.high)]
            raise DeploymentError(
                "the sensor's range lies outside of what the model's input can hold",
                found=f"sensor.low {low:g} to sensor.high {high:g}",
                expected=f"values between {real[0]:g} and {real[1]:g}",
                next_step="give the range in the units of the model's input, after preprocessing",
            )
        return self.with_bounds(first, last, "sensor range of the deployment profile")


def input_space(model: Model) -> InputSpace:
    """The input space of a model with one input.

    Raises:
        UnsupportedModelError: several inputs, or an input type that no attack can work on.
    """
    graph = model.main
    if len(graph.inputs) != 1:
        raise UnsupportedModelError(
            "attacks on inputs need a model with one input",
            found=f"{len(graph.inputs)} inputs",
            next_step="the static parts of the assessment still work",
        )
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.dtype in GRID_TYPES:
        return _grid(tensor, tensor, wrapped=False)
    if tensor.dtype != "float32":
        raise UnsupportedModelError(
            "attacks on inputs cannot work on this input type",
            found=tensor.dtype,
            expected="int8, uint8, int16 or float32",
            offset=tensor.offset,
        )
    core = _quantized_by_first_op(model, tensor)
    if core is not None:
        return _grid(tensor, core, wrapped=True)
    return InputSpace(tensor.shape, "float32", "float32", 0.0, 0, 0.0, 1.0, False, "declared: no bounds known, 0 to 1")


def _quantized_by_first_op(model: Model, tensor: Tensor) -> Tensor | None:
    readers = [op for op in model.main.operators if tensor.index in op.inputs]
    if len(readers) != 1 or readers[0].name != "QUANTIZE":
        return None
    core = model.main.tensors[readers[0].outputs[0]]
    return core if core.dtype in GRID_TYPES and core.quantization is not None else None


def _grid(border: Tensor, core: Tensor, *, wrapped: bool) -> InputSpace:
    info = np.iinfo(core.dtype)
    scale, zero_point = scale_and_zero_point(core.quantization)
    return InputSpace(
        border.shape,
        border.dtype,
        core.dtype,
        scale,
        zero_point,
        float(info.min),
        float(info.max),
        wrapped,
        f"range of {core.dtype}",
    )


def scale_and_zero_point(quantization: Quantization | None) -> tuple[float, int]:
    """Per-tensor scale and zero point, (0.0, 0) where there is none."""
    if quantization is None or quantization.scale.size == 0:
        return 0.0, 0
    zero = int(quantization.zero_point[0]) if quantization.zero_point.size else 0
    return float(quantization.scale[0]), zero
