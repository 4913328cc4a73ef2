"""Rules of the recogniser, built on models of the attacker's own: what runs for which loop counts, and how it looks.

The attacker compiles the public runtime with models of their own for the same core. From these builds, whose symbols
they have, come the loop nests of the kernels and the mean signal of each of their instructions. From the device under
attack comes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_models import Own, levels_model, pooled_model, weights_model
from tinymlsec.attacks.side_channel._arch_nest import Nest, NotALoop, Steps, inserted, learn
from tinymlsec.attacks.side_channel._arch_recording import Recording, random_inputs, record
from tinymlsec.emulate.twin import Twin, build_twin

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import Core
    from tinymlsec.emulate.leakage import Leakage
    from tinymlsec.emulate.toolchain import Toolchain

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BORDERS = ("top", "bottom", "left", "right")
CHAINS = 2
"""Own models whose signal is averaged."""
_GLUE = ("tms_op_", "tms_pix_", "tms_infer")
"""Generated code that calls kernels: it is other for every model."""

Skipped = tuple[int, int, int, int]
"""Taps of a window beyond the border: top, bottom, left, right."""
Pixel = tuple[Skipped, tuple[int, ...], tuple[int, ...]]
"""Taps beyond borders, loop counts, channels whose sums are not shifted."""


@dataclass(frozen=True)
class Kernel:
    """One kernel with weights, called once for each output pixel (or row of a dense layer)."""

    kind: str
    nest: Nest
    """By channels, rows of taps, products of a row; for dense layers by units and products."""
    borders: tuple[tuple[int, Nest | Steps], ...] = ()
    """For each border: at which place of a run blocks come in, and what comes in by the number of taps."""
    flat: tuple[int, int] = (0, 0)
    """Instructions that a channel lacks whose sum is not shifted, and how many of a run are behind them at its end."""
    _known: dict[Pixel, Steps] = field(default_factory=dict, compare=False, repr=False)
    _lengths: dict[Pixel, int] = field(default_factory=dict, compare=False, repr=False)
    _channels: dict[tuple[int, ...], Steps] = field(default_factory=dict, compare=False, repr=False)
    _leads: dict[tuple[Skipped, tuple[int, ...]], int] = field(default_factory=dict, compare=False, repr=False)

    def steps(self, skipped: Skipped, counts: Sequence[int], flat: tuple[int, ...] = ()) -> Steps:
        """What runs for one pixel.

        Args:
            skipped: taps beyond borders.
            counts: of loops.
            flat: channels whose sums are not shifted.
        """
        key = skipped, tuple(counts), flat
        if key not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            self._known[key] = self._without(self._steps(skipped, counts), counts, flat)
        return self._known[key]

    def _without(self, steps: Steps, counts: Sequence[int], flat: tuple[int, ...]) -> Steps:
        size, behind = self.flat
        if not flat or not size:
            return steps
        keep = np.ones(len(steps), np.bool_)
        ends = len(steps) - behind - (counts[0] - 1 - np.array(flat)) * len(self.channel(counts))
        for end in ends.tolist():
            keep[max(end - size, 0) : max(end, 0)] = False
        return steps[keep]

    def _steps(self, skipped: Skipped, counts: Sequence[int]) -> Steps:
        plain = self.nest.steps(counts)
        parts, done = [], 0
        for taps, (place, block) in zip(skipped, self.borders, strict=False):
            if taps:
                parts += [plain[done:place], block.steps((taps,)) if isinstance(block, Nest) else block]
                done = place
        return np.concatenate([*parts, plain[done:]])

    def length(self, skipped: Skipped, counts: Sequence[int], flat: tuple[int, ...] = ()) -> int:
        """Samples of one pixel."""
        key = skipped, tuple(counts), flat
        if key not in self._lengths:
            self._lengths[key] = len(self.steps(*key))
        return self._lengths[key]

    def channel(self, counts: Sequence[int]) -> Steps:
        """What one channel more adds."""
        key = tuple(counts[1:])
        if key not in self._channels:
            block = self.nest.parts[1]
            self._channels[key] = block.steps(key) if isinstance(block, Nest) else block
        return self._channels[key]

    def lead(self, skipped: Skipped, counts: Sequence[int]) -> int:
        """Instructions ahead of the place where a channel more comes in, for a run of the fewest channels."""
        key = skipped, tuple(counts[1:])
        if key not in self._leads:
            first = self.nest.parts[0]
            ahead = first.steps(counts[1:]) if isinstance(first, Nest) else first
            more = self.length(skipped, counts) - self.length((0, 0, 0, 0), counts)
            self._leads[key] = len(ahead) + more
        return self._leads[key]


@dataclass(frozen=True)
class Profile:
    """All rules for one compiler, core and leakage model."""

    kernels: dict[str, Kernel]
    levels: NDArray[np.float32]
    """(instructions,) mean signal of each instruction of a kernel."""
    compiler: str
    core: Core
    leakage: Leakage
    toolchain: Toolchain | None
    samples: int
    """Of own traces from which it was built."""
    missing: dict[str, str]
    """Kinds whose kernels cannot be learned, and why."""
    gaps: tuple[int, int]
    """Samples between a pool and a dense layer: directly, and with a RESHAPE between them."""


def build_profile(
    core: Core, leakage: Leakage, rng: np.random.Generator, toolchain: Toolchain | None = None
) -> Profile:
    """Builds the rules.

    Raises:
        NotALoop: no kernel's run follows from its loop counts.
    """
    data, layers = weights_model(rng)
    twin = build_twin(data, core, toolchain=toolchain)
    recording = record(twin, random_inputs(twin, rng), leakage, pcs=True)
    numbers = Numbers(twin)
    runs = numbers.runs(recording.pcs)
    kernels, missing = {}, {}
    for kind in WEIGHTED:
        try:
            kernels[kind] = _kernel(kind, layers, runs)
        except NotALoop as error:
            missing[kind] = error.message
    if not kernels:
        raise NotALoop(next(iter(missing.values())))
    sums, counts, samples = np.zeros(len(numbers.addresses)), np.zeros(len(numbers.addresses)), 0
    numbers.add(recording.samples, recording.pcs, sums, counts)
    few = sums / np.maximum(counts, 1)
    sums[:], counts[:] = 0, 0
    for _ in range(CHAINS):
        own = build_twin(levels_model(rng), core, toolchain=toolchain)
        recording = record(own, random_inputs(own, rng), leakage, pcs=True)
        samples += len(recording.samples)
        numbers.add(recording.samples, _moved(recording.pcs, own, twin), sums, counts)
    levels = np.where(counts > 0, sums / np.maximum(counts, 1), few).astype(np.float32)
    gaps = _gaps(core, leakage, rng, toolchain)
    return Profile(kernels, levels, twin.build.compiler, core, leakage, toolchain, samples, missing, gaps)


class Numbers:
    """Numbers of instructions that lie in kernels, and runs of them."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.spans = kernel_spans(twin)
        self.addresses = np.concatenate([np.arange(low, high, 2, dtype=np.uint32) for low, high in self.spans])

    def of(self, pcs: NDArray[np.uint32]) -> Steps:
        """-1 for what is no kernel."""
        at = np.minimum(np.searchsorted(self.addresses, pcs), len(self.addresses) - 1)
        return np.where(self.addresses[at] == pcs, at, -1).astype(np.int32)

    def runs(self, pcs: NDArray[np.uint32]) -> list[list[Steps]]:
        """For each layer, what ran in kernels between what ran outside of them."""
        return [kernel_runs(self.of(pcs[begin:end])) for begin, end in pairwise([*self.begins(pcs), len(pcs)])]

    def begins(self, pcs: NDArray[np.uint32]) -> list[int]:
        """First sample of each layer."""
        symbols = self.twin.image.symbols
        return [int(np.argmax(pcs == symbols[layer.symbol].address)) for layer in self.twin.program.layers]

    def stretches(self, recording: Recording) -> list[NDArray[np.float32]]:
        """For each layer the samples from the first instruction of a kernel to the last."""
        made = []
        for begin, end in pairwise([*self.begins(recording.pcs), len(recording.pcs)]):
            inside = np.flatnonzero(self.of(recording.pcs[begin:end]) >= 0)
            low, high = (inside[0], inside[-1] + 1) if len(inside) else (0, 0)
            made.append(recording.samples[begin + low : begin + high])
        return made

    def add(
        self,
        samples: NDArray[np.float32],
        pcs: NDArray[np.uint32],
        sums: NDArray[np.float64],
        counts: NDArray[np.float64],
    ) -> None:
        """Adds up the signal of each instruction."""
        steps = self.of(pcs)
        inside = steps >= 0
        sums += np.bincount(steps[inside], samples[inside], len(sums))
        counts += np.bincount(steps[inside], minlength=len(sums))


def _gaps(core: Core, leakage: Leakage, rng: np.random.Generator, toolchain: Toolchain | None) -> tuple[int, int]:
    made = []
    for reshaped in (False, True):
        twin = build_twin(pooled_model(rng, reshaped=reshaped), core, toolchain=toolchain)
        steps = Numbers(twin).of(record(twin, random_inputs(twin, rng), leakage, pcs=True).pcs)
        outside = np.flatnonzero(np.diff(np.concatenate([[0], (steps >= 0).astype(np.int8), [0]])))
        made.append(int(outside[2] - outside[1]))
    return made[0], made[1]


def kernel_spans(twin: Twin) -> list[tuple[int, int]]:
    """Addresses of code that is not generated for a model: kernels and what they call."""
    code = [
        (s.address, s.address + s.size)
        for name, s in twin.image.symbols.items()
        if s.size and s.kind == "function" and not name.startswith(_GLUE)
    ]
    return sorted(set(code))


def kernel_runs(steps: Steps) -> list[Steps]:
    """The stretches between negative numbers."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (steps >= 0).astype(np.int8), [0]])))
    return [steps[low:high] for low, high in zip(edges[::2], edges[1::2], strict=True)]


def _moved(pcs: NDArray[np.uint32], own: Twin, twin: Twin) -> NDArray[np.uint32]:
    """The same instructions where they lie in another build; 0 where there is no such function."""
    moved = np.zeros_like(pcs)
    for name, symbol in own.image.symbols.items():
        other = twin.image.symbols.get(name)
        if symbol.size and other is not None and other.size == symbol.size and not name.startswith(_GLUE):
            inside = (pcs >= symbol.address) & (pcs < symbol.address + symbol.size)
            moved[inside] = pcs[inside] - symbol.address + other.address
    return moved


def _kernel(kind: str, layers: Sequence[Own], runs: Sequence[Sequence[Steps]]) -> Kernel:
    own = {layer.counts: ran[0] for layer, ran in zip(layers, runs, strict=True) if layer.kind == kind and layer.plain}
    small = {counts: steps for counts, steps in own.items() if max(counts) <= 3 and max(counts[1:]) <= 2}
    nest = learn(small)
    assert isinstance(nest, Nest)
    flat = _flat(nest, kind, layers, runs)
    for counts, steps in own.items():
        if counts[0] >= nest.least and not np.array_equal(nest.steps(counts), steps):
            raise NotALoop(f"the kernel of {kind} is not what was learned", found=str(counts))
    if kind == "FULLY_CONNECTED":
        return Kernel(kind, nest, flat=flat)
    borders: list[tuple[int, Nest | Steps]] = []
    for layer, ran in zip(layers, runs, strict=True):
        if layer.kind == kind and layer.skipped:
            borders += _borders(nest, layer.counts, ran)
    return Kernel(kind, nest, tuple(borders), flat)


def _flat(nest: Nest, kind: str, layers: Sequence[Own], runs: Sequence[Sequence[Steps]]) -> tuple[int, int]:
    """What channels lack whose sums are not shifted; nothing where that is no single stretch."""
    counts, steps = next((o.counts, ran[0]) for o, ran in zip(layers, runs, strict=True) if o.kind == kind and o.flat)
    whole = nest.steps(counts)
    cut = inserted(steps, whole, 1)
    return (cut[1] - cut[0], len(whole) - cut[1]) if cut is not None else (0, 0)


def _borders(nest: Nest, counts: tuple[int, ...], ran: Sequence[Steps]) -> list[tuple[int, Nest | Steps]]:
    """What taps beyond the two borders of an axis bring in. The image is as wide as the window."""
    axis, size = (1, counts[1]) if counts[1] > 1 else (2, counts[2])
    half = size // 2
    made = []
    for begin, sign in ((half, -1), (half, 1)):
        blocks, places = {}, set()
        for taps in range(1, half + 1):
            inner = [counts[0], counts[1], counts[2]]
            inner[axis] = size - taps
            steps = ran[begin + sign * taps]
            cut = inserted(nest.steps(inner), steps, 1)
            if cut is None:
                raise NotALoop("the border of an image brings in more than one block", found=f"{taps} taps")
            places.add(cut[0])
            blocks[(taps,)] = steps[cut[0] : cut[1]]
        if len(places) != 1:
            raise NotALoop("the border of an image brings in blocks at several places", found=str(sorted(places)))
        made.append((places.pop(), learn({key: blocks[key] for key in ((1,), (2,))})))
    return made
