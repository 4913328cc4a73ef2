"""Profiles of rounding: runtimes disagree on the same file, and each profile is one runtime's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.requant import Rounding


@dataclass(frozen=True)
class Profile:
    """How one runtime rounds."""

    name: str
    runtime: str
    rounding: Rounding
    """Requantization of convolutions, matrix products and element-wise operators."""


PROFILES: dict[str, Profile] = {
    "tflm": Profile("tflm", "TensorFlow Lite Micro, reference kernels", "double"),
    "ruy": Profile("ruy", "LiteRT on x86 without XNNPACK", "double_up"),
    "xnnpack": Profile("xnnpack", "LiteRT with XNNPACK, its default on PCs and phones", "single"),
}


def profile_named(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROFILES:
        raise UsageError("unknown profile of rounding", found=name, expected=", ".join(PROFILES))
    return PROFILES[name]
