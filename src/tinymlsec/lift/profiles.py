"""Profiles of rounding: runtimes disagree on the same file, and each profile is one runtime's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.requant import Rounding

SumRounding = Rounding | Literal["float32"]
"""How sums of products become codes: in fixed point, or as XNNPACK does on most processors: the sum as float32 times
the ratio of scales as float32, rounded to the nearest integer, ties to even."""


@dataclass(frozen=True)
class Profile:
    """How one runtime rounds, per family of operators."""

    name: str
    runtime: str
    rounding: Rounding
    """Requantization of element-wise operators, pooling and changes of scale."""
    convolution: SumRounding
    depthwise: SumRounding
    dense: SumRounding

    def sums(self, operator: str) -> SumRounding:
        """Rounding of an operator with weights, by its name in the schema."""
        return {"CONV_2D": self.convolution, "DEPTHWISE_CONV_2D": self.depthwise}.get(operator, self.dense)


_TFLM = Profile("tflm", "TensorFlow Lite Micro, reference kernels", "double", "double", "double", "double")
_RUY = Profile("ruy", "LiteRT on x86 without XNNPACK", "double_up", "double_up", "double", "double_up")
_XNNPACK = Profile(
    "xnnpack", "LiteRT with XNNPACK, its default on PCs and phones", "single", "float32", "float32", "float32"
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in (_TFLM, _RUY, _XNNPACK)}


def profile_named(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROFILES:
        raise UsageError("unknown profile of rounding", found=name, expected=", ".join(PROFILES))
    return PROFILES[name]
