"""Layers without weights: pools, sums, softmax. The attacker builds what may follow a shape, and compares.

Their kernels are called once for a whole layer, so there is nothing to put together: an own model with one operator of
each kind, with random values, is recorded on the own board.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Shape
from tinymlsec.attacks.side_channel._arch_layer import GAP, LONGEST, LOOK, Found
from tinymlsec.attacks.side_channel._arch_profile import Numbers, Profile
from tinymlsec.attacks.side_channel._arch_recording import random_inputs, record
from tinymlsec.attacks.side_channel._arch_scores import Samples, correlation, sliding
from tinymlsec.emulate.twin import build_twin
from tinymlsec.target.tflite.builder import GraphBuilder

LARGEST = 1 << 18
"""Values of a tensor for which an own model is built."""
PIECE, SWAY = 400, 40
"""Samples of a layer with a varying path that are compared at a time, and how far they may be shifted."""
STEEPNESS = (0.05, 2.0)
"""Scales of the values that a curve is fed: with large steps most exponentials are skipped."""
VARIES = ("SOFTMAX", "LOGISTIC", "TANH")
WINDOWS = ((2, 2), (3, 2), (3, 3), (2, 1), (3, 1))
"""Width and stride of pools."""


@dataclass(frozen=True)
class Own:
    """One operator that may follow."""

    kind: str
    output: Shape
    detail: str = ""
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "VALID"


@dataclass(frozen=True)
class Look:
    """What it looks like on the own board."""

    own: Own
    template: Samples
    lengths: tuple[int, int]
    """Fewest and most samples over some inputs."""


class WholeLayers:
    """What layers without weights look like, made as shapes come up.

    Args:
        profile: compiler, core and leakage model.
        rng: values of own models.
    """

    def __init__(self, profile: Profile, rng: np.random.Generator) -> None:
        self.profile, self.rng = profile, rng
        self._known: dict[tuple[Shape, tuple[Own, ...]], list[Look]] = {}

    def looks(self, shape: Shape, twice: bool) -> Iterator[list[Look]]:
        """Of all operators that may follow a tensor, the usual ones first.

        Args:
            shape: of the tensor.
            twice: there is another tensor of its shape to be added or multiplied with.
        """
        if prod(shape) > LARGEST:
            return
        for group in (_plain(shape, twice), _pools(shape, whole=True), _pools(shape, whole=False)):
            if group and (shape, group) not in self._known:
                self._known[(shape, group)] = self._made(shape, group)
            if group:
                yield self._known[(shape, group)]

    def _made(self, shape: Shape, owns: Sequence[Own]) -> list[Look]:
        ran = []
        for steepness in STEEPNESS:
            twin = build_twin(_model(shape, owns, steepness), self.profile.core, toolchain=self.profile.toolchain)
            recording = record(twin, random_inputs(twin, self.rng), self.profile.leakage, pcs=True)
            ran.append(Numbers(twin).stretches(recording))
        looks = []
        for own, first, second in zip(owns, *ran, strict=True):
            same = len(first) == len(second) and own.kind not in VARIES
            template = (first + second) / 2 if same else first
            lengths = sorted((len(first), len(second)))
            slack = 0 if same else 32 + lengths[1] // 10
            looks.append(Look(own, template.astype(np.float32), (lengths[0] - slack, lengths[1] + slack)))
        return looks


def find_whole(samples: Samples, at: int, source: Shape, looks: Sequence[Look]) -> list[Found]:
    """Layers without weights that may begin soon after a place, the best first."""
    made = []
    for look in looks:
        found = (
            _steady(samples, at, source, look)
            if look.lengths[0] == look.lengths[1]
            else _swaying(samples, at, source, look)
        )
        if found is not None:
            made.append(found)
    return sorted(made, key=lambda found: -found.sure)


def _steady(samples: Samples, at: int, source: Shape, look: Look) -> Found | None:
    template = look.template
    fits = sliding(samples[at : at + GAP + min(len(template), LOOK)], template[:LOOK])
    if not len(fits):
        return None
    # kernels without weights are one loop: they look alike a round later, and a round earlier but for what lies ahead
    good = fits >= fits.max() - max(3 / np.sqrt(min(len(template), LOOK)), 0.03 * fits.max())
    start = at + int(np.argmax(_peaks(fits) & good))
    stretch = samples[start : start + len(template)]
    if len(stretch) < len(template):
        return None
    fit = correlation(stretch[:LONGEST], template[:LONGEST])
    return Found(
        look.own.kind, source, look.own.output, 0, start, start + len(template), fit, len(template), look.own.detail
    )


def _peaks(fits: NDArray[np.float64]) -> NDArray[np.bool_]:
    padded = np.concatenate([[-2.0], fits, [-2.0]])
    peaks: NDArray[np.bool_] = (fits >= padded[:-2]) & (fits >= padded[2:])
    return peaks


def _swaying(samples: Samples, at: int, source: Shape, look: Look) -> Found | None:
    """A layer whose path depends on its values: piece by piece, each a little shifted."""
    shift, total, weight, start = 0, 0.0, 0, None
    for begin in range(0, max(len(look.template) - PIECE, 1), PIECE):
        piece = look.template[begin : begin + PIECE]
        reach = GAP if start is None else SWAY
        low = at + begin + shift - (0 if start is None else SWAY)
        fits = sliding(samples[low : low + reach + (0 if start is None else SWAY) + len(piece)], piece)
        if not len(fits):
            break
        best = int(np.argmax(fits))
        if start is None:
            start, shift = at + best, best
        else:
            shift += best - SWAY
        total += float(fits[best]) * len(piece)
        weight += len(piece)
    if start is None:
        return None
    end = start + len(look.template) + shift - (start - at)
    end = int(np.clip(end, start + look.lengths[0], start + look.lengths[1]))
    # the best of many shifts is a little above zero where nothing is
    luck = 3 / np.sqrt(PIECE)
    own, end, fit = look.own, min(end, len(samples)), total / weight - luck
    return Found(own.kind, source, own.output, 0, start, end, float(fit), weight, own.detail)


def _plain(shape: Shape, twice: bool) -> tuple[Own, ...]:
    made = (Own("ADD", shape), Own("MUL", shape)) if twice else ()
    return (*made, Own("LOGISTIC", shape), Own("SOFTMAX", shape)) if len(shape) == 1 else made


def _pools(shape: Shape, *, whole: bool) -> tuple[Own, ...]:
    """Over the whole image, or over the usual windows."""
    if len(shape) != 3:
        return ()
    height, width, depth = shape
    kinds = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
    if whole:
        text = f"{height}x{width} stride {max(height, width)} VALID"
        made = [Own(k, (1, 1, depth), text, (height, width), max(height, width)) for k in kinds]
        return (*made, Own("MEAN", (depth,)))
    made = []
    for (window, stride), padding in product(WINDOWS, ("VALID", "SAME")):
        if window < min(height, width):
            output = [-(-n // stride) if padding == "SAME" else (n - window) // stride + 1 for n in (height, width)]
            text = f"{window}x{window} stride {stride} {padding}"
            made += [Own(k, (*output, depth), text, (window, window), stride, padding) for k in kinds]
    return tuple(made)


def _model(shape: Shape, owns: Sequence[Own], steepness: float) -> bytes:
    builder = GraphBuilder("own layers without weights")
    full = (1, *shape)
    x = builder.input(full, scale=0.05, zero_point=-3)
    y = builder.input(full, scale=0.07, zero_point=5)
    z = builder.input(full, scale=steepness, zero_point=-3)
    for own in owns:
        builder.output(operator(builder, own, z if own.kind in VARIES else x, y))
    return builder.tobytes()


def operator(builder: GraphBuilder, own: Own, x: int, y: int) -> int:
    """Adds the operator to a graph; y is its second operand, where it has one. Returns its output."""
    if own.kind in ("ADD", "MUL"):
        return builder.op(own.kind, [x, y], scale=0.1, zero_point=-7, options={"fused_activation_function": "NONE"})
    if own.kind == "SOFTMAX":
        return builder.op("SOFTMAX", [x], scale=1 / 256, zero_point=-128, options={"beta": 1.0})
    if own.kind == "LOGISTIC":
        return builder.op("LOGISTIC", [x], scale=1 / 256, zero_point=-128)
    if own.kind == "MEAN":
        return builder.op("MEAN", [x, builder.ints(1, 2)], scale=0.05, zero_point=-3, options={"keep_dims": False})
    options: dict[str, int | str] = {
        "padding": own.padding, "stride_h": own.stride, "stride_w": own.stride, "filter_height": own.window[0],
        "filter_width": own.window[1], "fused_activation_function": "NONE",
    }  # fmt: skip
    return builder.op(own.kind, [x], options=options)
