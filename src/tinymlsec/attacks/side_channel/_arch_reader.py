"""The two ways in which a trace is read: by the rhythm of loops, and by following the code step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from tinymlsec.attacks.side_channel._arch_geometry import Shape
from tinymlsec.attacks.side_channel._arch_nest import NotALoop
from tinymlsec.attacks.side_channel._arch_profile import Profile, build_profile
from tinymlsec.attacks.side_channel._arch_scores import Samples
from tinymlsec.attacks.side_channel._arch_search import Architecture, Recognizer, Report
from tinymlsec.attacks.side_channel._path_layers import recognize
from tinymlsec.attacks.side_channel._path_rules import Rules, build_rules
from tinymlsec.errors import CapabilityMissing, MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import Core
    from tinymlsec.emulate.leakage import Leakage
    from tinymlsec.emulate.toolchain import Toolchain

Method = Literal["auto", "rhythm", "path"]


class Reader(Protocol):
    """What reads traces, with rules from own models."""

    method: str
    compiler: str
    """Of the own models."""
    own_samples: int
    missing: Mapping[str, str]
    """Kinds of layers whose kernels cannot be learned, and why."""

    def read(
        self, samples: Samples, source: Shape, answers: int | None, snr: float, report: Report | None = None
    ) -> Architecture:
        """Recovers the layers of one trace.

        Args:
            samples: (t,)
            source: shape of the input, without the batch.
            answers: values of an answer, where they are known.
            snr: variance of the signal over that of the noise, known from an own board; 0 where there is no noise.
            report: told how far it is.
        """
        ...


class RhythmReader:
    """By the lengths of rounds of loops, which must not depend on data; noise averages out.

    Args:
        profile: rules.
        rng: values of own models that are made on the way.
    """

    method = "rhythm"

    def __init__(self, profile: Profile, rng: np.random.Generator) -> None:
        self.compiler, self.own_samples = profile.compiler, profile.samples
        self.missing: Mapping[str, str] = profile.missing
        self._recognizer = Recognizer(profile, rng)

    def read(
        self, samples: Samples, source: Shape, answers: int | None, snr: float, report: Report | None = None
    ) -> Architecture:
        """As `Reader.read`; the ratio is not needed."""
        return self._recognizer.recognize(samples, source, answers, report)


@dataclass
class PathReader:
    """By following the code, whose way may depend on data; there must be little noise."""

    rules: Rules
    method = "path"

    def __post_init__(self) -> None:
        self.compiler, self.own_samples = self.rules.compiler, self.rules.samples
        self.missing: Mapping[str, str] = {}

    def read(
        self, samples: Samples, source: Shape, answers: int | None, snr: float, report: Report | None = None
    ) -> Architecture:
        """As `Reader.read`; the number of answers is not needed."""
        sigma = float(np.sqrt(samples.var(dtype=np.float64) / (1 + snr))) if snr else 0.0
        return recognize(self.rules, samples, source, sigma, report)


def build_reader(
    method: Method, core: Core, leakage: Leakage, rng: np.random.Generator, toolchain: Toolchain
) -> Reader:
    """Builds own models and learns from them.

    Args:
        method: `auto` takes the rhythm where all kernels keep one.
        core: of the device.
        leakage: what the probe sees.
        rng: values of own models.
        toolchain: by which own models are compiled.

    Raises:
        CapabilityMissing: kernels keep no rhythm, and it was asked for; or own builds do not tell what code counts.
    """
    if method == "path":
        return _by_path(core, leakage, rng, toolchain)
    try:
        profile = build_profile(core, leakage, rng, toolchain)
    except NotALoop as error:
        if method == "auto":
            return _by_path(core, leakage, rng, toolchain)
        raise CapabilityMissing(f"no rules for kernels built with {toolchain.title}: {error.message}") from error
    if profile.missing and method == "auto":
        return _by_path(core, leakage, rng, toolchain)
    return RhythmReader(profile, rng)


def _by_path(core: Core, leakage: Leakage, rng: np.random.Generator, toolchain: Toolchain) -> PathReader:
    if core.machine != "arm":
        raise CapabilityMissing("only code for Arm cores is followed", found=core.id)
    try:
        return PathReader(build_rules(core, leakage, rng, toolchain))
    except MachineError as error:
        raise CapabilityMissing(f"no rules for code built with {toolchain.title}: {error.message}") from error
