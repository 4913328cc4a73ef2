"""The attacker's own board, on which points and levels are found, and the device whose input is secret.

Both run the same firmware with the same weights. On the device one value after the other of an output is recorded, as a
segmented trace of the whole layer gives them; only that leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._input_layer import FirstLayer, Window
from tinymlsec.attacks.side_channel._input_points import ROWS, Known, Spoken, find
from tinymlsec.errors import CapabilityMissing, MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.leakage import Leakage
    from tinymlsec.emulate.twin import Twin

NARROW = 8
"""Steps around the zero point within which half of the known inputs lie, as natural inputs often do."""
LEVELS = 6
"""Known inputs from which the level of each sample is found, for each window and channel."""
OFF = 0.05
"""Units of the trace by which a sample may be off anywhere: what a template leaves is no noise that averages out."""
LEAST_KEPT = 0.1
"""Share of the samples that is kept, however far off."""
CLASSES = 8
"""Channels whose windows are profiled together."""


@dataclass
class Shape:
    """All windows that run the same code."""

    windows: list[Window]
    groups: tuple[tuple[int, ...], ...]
    bundles: NDArray[np.int64]
    """(b, c) channels that are summed together, of all windows."""
    spoken: tuple[Spoken, ...] = ()
    levels: NDArray[np.float32] | None = None
    """(windows, b, samples)"""

    @property
    def inputs(self) -> NDArray[np.int64]:
        """(windows, k)"""
        return np.stack([window.inputs for window in self.windows])

    @property
    def samples(self) -> NDArray[np.int64]:
        """Numbers of the samples that speak."""
        return np.array([spoken.sample for spoken in self.spoken], np.int64)


class InputBench:
    """A started twin. A context manager.

    Args:
        twin: the firmware.
        layer: the first of its model.
        leakage: what the probe sees.
        channels: output channels that are used, at most.
        rng: of that choice and of known inputs.
    """

    def __init__(
        self, twin: Twin, layer: FirstLayer, leakage: Leakage, channels: int, rng: np.random.Generator
    ) -> None:
        self.twin, self.layer, self.leakage, self.rng = twin, layer, leakage, rng
        self.style = twin.program.style.value
        self.shapes = self._shapes(channels)
        self._board = twin.start()
        try:
            self._entry = self._board.enter(f"op:{layer.op}@0,0,0:1")
            self._address = twin.tensor_address(layer.input_tensor)
            self.poor = 0
            """Samples that are left out because their terms do not explain them well."""
            self.named = 0.0
            """Variance of the signal at the sample of the ratio: the last sum of a window inside of the image."""
            for number, shape in enumerate(self.shapes):
                self._profile(shape, name=number == 0)
        except BaseException:
            self._board.machine.close()
            raise

    def __enter__(self) -> InputBench:
        return self

    def __exit__(self, *_: object) -> None:
        self._board.machine.close()

    def _shapes(self, channels: int) -> list[Shape]:
        """Windows by their code, those with the most products first."""
        together = 2 if self.style == "dsp" and self.layer.name != "DEPTHWISE_CONV_2D" else 1
        made: dict[tuple[bytes, bytes], Shape] = {}
        chosen: dict[bytes, NDArray[np.int64]] = {}
        for window in self.layer.windows:
            which = window.channels.tobytes()
            if which not in chosen:
                chosen[which] = self._bundles(window.channels, together, channels)
            key = (window.taps.tobytes(), which)
            if key not in made:
                made[key] = Shape([], self.layer.groups(window, self.style), chosen[which])
            made[key].windows.append(window)
        return sorted(made.values(), key=lambda shape: -len(shape.windows[0].inputs))

    def _bundles(self, channels: NDArray[np.int64], together: int, most: int) -> NDArray[np.int64]:
        whole = channels[: len(channels) // together * together].reshape(-1, together)
        if not len(whole):
            raise CapabilityMissing("a layer of one channel is not covered with the DSP extension")
        count = min(len(whole), max(1, most // together))
        bundles: NDArray[np.int64] = whole[np.sort(self.rng.permutation(len(whole))[:count])]
        return bundles

    def _run(
        self, windows: list[Window], bundles: NDArray[np.int64], fed: NDArray[np.int8],
        points: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """(n, t): row i is window i with the channels of bundle i and input i, or the only input."""
        machine = self._board.machine
        arguments = np.array(
            [(*window.pixel, bundle[0], bundle[-1] + 1) for window, bundle in zip(windows, bundles, strict=True)],
            np.int64,
        )
        rows = np.ascontiguousarray(fed, np.int8).reshape(len(fed), -1).view(np.uint8)
        if len(rows) == 1:
            machine.write(self._address, rows.tobytes())
        campaign = machine.campaign(
            replace(self._entry, arguments=tuple(arguments[0].tolist())),
            [(self._address, rows)] if len(rows) > 1 else [],
            take=self.leakage.columns, points=points, arguments=arguments,
        )  # fmt: skip
        if campaign.ends.any():
            raise MachineError("a window of the first layer did not end well", found=str(campaign.ends.max()))
        return self.leakage.signal(campaign.samples)

    def _known(self, shape: Shape, windows: list[Window], bundles: NDArray[np.int64], fed: NDArray[np.int8]) -> Known:
        places = np.stack([window.inputs for window in windows])
        codes = np.take_along_axis(fed.reshape(len(fed), -1), places, axis=1).astype(np.int32)
        weights = self.layer.weights[bundles][:, :, shape.windows[0].taps]
        return Known(codes, weights, self.layer.offset, shape.groups)

    def random(self, n: int) -> NDArray[np.int8]:
        """(n, size) random codes."""
        return self.rng.integers(-128, 128, (n, self.layer.size)).astype(np.int8)

    def _chosen(self, n: int) -> NDArray[np.int8]:
        """(n, size) known inputs: every other one random, every other one around the zero point."""
        center = int(np.clip(-self.layer.offset, -128 + NARROW, 127 - NARROW))
        narrow = self.rng.integers(center - NARROW, center + NARROW + 1, (n, self.layer.size)).astype(np.int8)
        return np.where(np.arange(n)[:, None] % 2 == 0, self.random(n), narrow)

    def _profile(self, shape: Shape, *, name: bool) -> None:
        """Points of one window with some channels, then the levels of all."""
        picked = shape.bundles[self.rng.permutation(len(shape.bundles))[:CLASSES]]
        classes = np.arange(ROWS) // 2 % len(picked)
        windows, fed = [shape.windows[len(shape.windows) // 2]] * ROWS, self._chosen(ROWS)
        signal = self._run(windows, picked[classes], fed, None)
        known = self._known(shape, windows, picked[classes], fed)
        packed = self.style == "dsp" and self.layer.name != "DEPTHWISE_CONV_2D"
        begins = self._begins(shape, picked[0])
        mixed = len(self.leakage.columns) > 1
        shape.spoken = find(signal, known, classes, begins, packed=packed, mixed=mixed)
        if not shape.spoken:
            return
        if name:
            self.named = _variance(signal[::2], shape, classes[::2])
        self._calibrate(shape)

    def _begins(self, shape: Shape, bundle: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) the first sample that changes with each input value."""
        window = shape.windows[len(shape.windows) // 2]
        count = len(window.inputs)
        fed = np.repeat(self.random(1), 2 * count + 1, axis=0)
        fed[1 + np.arange(count), window.inputs] ^= np.int8(-1)
        fed[1 + count + np.arange(count), window.inputs] ^= np.int8(0x55)
        signal = self._run([window] * len(fed), np.tile(bundle, (len(fed), 1)), fed, None)
        differs = (signal[1:] != signal[0]).reshape(2, count, -1).any(0)
        first: NDArray[np.int64] = np.where(differs.any(1), differs.argmax(1), 0).astype(np.int64)
        return first

    def _calibrate(self, shape: Shape) -> None:
        """Levels: pointers in registers differ from window to window."""
        windows, bundles = self._all(shape)
        rest = []
        for fed in self._chosen(LEVELS):
            known = self._known(shape, windows, bundles, np.broadcast_to(fed, (len(windows), len(fed))))
            told = np.stack([known.explained(spoken) for spoken in shape.spoken], axis=1)
            rest.append(self._run(windows, bundles, fed[None], shape.samples) - told)
        stacked = np.stack(rest).reshape(LEVELS, len(shape.windows), len(shape.bundles), -1)
        levels = stacked.mean(0, dtype=np.float64).astype(np.float32)
        spread = np.sqrt(((stacked - levels) ** 2).mean((0, 1, 2)) * LEVELS / (LEVELS - 1))
        worst = np.abs(stacked - levels).max((0, 1, 2))
        kept = np.flatnonzero(worst <= max(OFF, float(np.quantile(worst, LEAST_KEPT))))
        self.poor += len(spread) - len(kept)
        shape.levels = np.ascontiguousarray(levels[:, :, kept])
        shape.spoken = tuple(replace(shape.spoken[i], spread=float(spread[i])) for i in kept.tolist())

    def _all(self, shape: Shape) -> tuple[list[Window], NDArray[np.int64]]:
        """Every window with every bundle, in that order."""
        windows = [window for window in shape.windows for _ in shape.bundles]
        return windows, np.tile(shape.bundles, (len(shape.windows), 1))

    def traces(self, fed: NDArray[np.int8]) -> list[NDArray[np.float32]]:
        """What the device gives away of one input, without noise and less the levels.

        Args:
            fed: (size,) what the layer is fed: the secret.

        Returns:
            for each shape (windows, bundles, samples).
        """
        made = []
        for shape in self.shapes:
            if shape.levels is None:
                made.append(np.zeros((len(shape.windows), len(shape.bundles), 0), np.float32))
                continue
            signal = self._run(*self._all(shape), fed.reshape(1, -1), shape.samples)
            made.append(signal.reshape(shape.levels.shape) - shape.levels)
        return made


def _variance(signal: NDArray[np.float32], shape: Shape, classes: NDArray[np.int64]) -> float:
    """At the last sum, within channels."""
    sums = [s for s in shape.spoken if s.terms[0].first.kind == "S"] or list(shape.spoken)
    values = signal[:, sums[-1].sample].astype(np.float64)
    return float(np.mean([values[classes == each].var() for each in np.unique(classes)]))
