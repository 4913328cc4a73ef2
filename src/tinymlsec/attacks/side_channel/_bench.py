"""The attacker's measuring bench: a board of their own for profiling, and the device under attack.

Both are the same firmware. On the attacker's own board weights are what they choose; on the device they are secret, and
only its traces leave this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._macs import Macs
from tinymlsec.attacks.side_channel._points import Profile, profile, recalibrated
from tinymlsec.attacks.side_channel._weights_output import output_codes
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import StartedTwin, Twin

SETS, EACH = 32, 10
"""Sets of weights, and inputs for each, from which points are found."""
FEW_SETS = 3
"""Sets for the levels of one channel."""
LARGEST_BIAS = 5000

Signal = Mapping[int, NDArray[np.float32]]
"""By sample, (n,)."""


@dataclass(frozen=True)
class _Known:
    """Traces of the attacker's own board, and what it computed with."""

    signal: NDArray[np.float32]
    factors: NDArray[np.int32]
    weights: NDArray[np.int32]
    bias: NDArray[np.int32] | None


class Bench:
    """Two started twins. A context manager.

    Args:
        twin: the firmware.
        leakage: what the probe sees.
    """

    bias_first = False
    """The generated kernels add the bias to the whole sum."""

    def __init__(self, twin: Twin, leakage: Leakage) -> None:
        self.twin, self.leakage = twin, leakage
        self._device = twin.start()
        try:
            self._own = twin.start()
        except BaseException:
            self._device.machine.close()
            raise

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._device.machine.close()
        self._own.machine.close()

    def points(self, macs: Macs, rng: np.random.Generator) -> Profile:
        """Where the weights of a layer speak."""
        known = self._measured(macs, 0, SETS, None, rng)
        codes = self._codes(macs, 0, known)
        return profile(
            known.signal, known.factors, known.weights, known.bias, self.groups(macs), outputs=codes
        )  # fmt: skip

    def _codes(self, macs: Macs, channel: int, known: _Known) -> NDArray[np.int32]:
        """What the own board made of its sums."""
        sums = (known.factors * known.weights).sum(1, dtype=np.int32)
        whole = sums if known.bias is None else sums + known.bias
        return output_codes(self.twin.model, macs.op, channel, whole, clamped=False)

    def groups(self, macs: Macs) -> tuple[tuple[int, ...], ...]:
        """Products that the kernel adds at once."""
        return macs.groups(self.twin.program.style)

    def run(self, macs: Macs) -> int:
        """Of these, how many the inner loop adds before an outer one goes on."""
        return next((i for i, group in enumerate(self.groups(macs)) if max(group) >= macs.run), len(self.groups(macs)))

    def levels(self, found: Profile, macs: Macs, channel: int, rng: np.random.Generator) -> Profile:
        """The same points with the levels of one channel."""
        known = self._measured(macs, channel, FEW_SETS, found.samples, rng)
        signal = {int(sample): known.signal[:, i] for i, sample in enumerate(found.samples)}
        codes = self._codes(macs, channel, known)
        return recalibrated(found, signal, known.factors, known.weights, known.bias, self.groups(macs), codes)

    def traces(self, found: Profile, macs: Macs, channel: int, activations: NDArray[np.int8]) -> Signal:
        """What the device under attack gives away, without noise.

        Args:
            found: which samples.
            macs: layer and pixel.
            channel: of the output.
            activations: (n, ...) what the layer is fed; the same as the inputs of the device lead to.
        """
        signal = self._campaign(self._device, macs, channel, activations, found.samples)
        return {int(sample): np.ascontiguousarray(signal[:, i]) for i, sample in enumerate(found.samples)}

    def whole(self, macs: Macs, channel: int, activations: NDArray[np.int8]) -> NDArray[np.float32]:
        """The same at all samples of the window: (n, t)."""
        return self._campaign(self._device, macs, channel, activations, None)

    def _campaign(
        self,
        board: StartedTwin,
        macs: Macs,
        channel: int,
        activations: NDArray[np.int8],
        samples: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:
        y, x = macs.pixel
        window = board.enter(f"op:{macs.op}@{y},{x},{channel}:{channel + 1}")
        rows = np.ascontiguousarray(activations).reshape(len(activations), -1).view(np.uint8)
        address = self.twin.tensor_address(macs.input_tensor)
        campaign = board.machine.campaign(window, [(address, rows)], take=self.leakage.columns, points=samples)
        return self.leakage.signal(campaign.samples)

    def _measured(
        self, macs: Macs, channel: int, sets: int, samples: NDArray[np.int64] | None, rng: np.random.Generator
    ) -> _Known:
        machine, symbols = self._own.machine, self.twin.image.symbols
        table, bias_table = symbols[f"tms_w_{macs.op:03d}"], symbols.get(f"tms_b_{macs.op:03d}")
        shape = self.twin.model.main.tensors[macs.input_tensor].shape
        signals, factors, weights, biases = [], [], [], []
        for _ in range(sets):
            values = rng.integers(-127, 128, table.size).astype(np.int8)
            machine.write(table.address, values.tobytes())
            bias = int(rng.integers(-LARGEST_BIAS, LARGEST_BIAS))
            if bias_table is not None:
                machine.write(bias_table.address + 4 * channel, np.int32(bias).tobytes())
            activations = rng.integers(-128, 128, (EACH, *shape)).astype(np.int8)
            signals.append(self._campaign(self._own, macs, channel, activations, samples))
            factors.append(macs.factors(activations, channel))
            weights.append(np.tile(values[macs.weights[channel]].astype(np.int32), (EACH, 1)))
            biases.append(np.full(EACH, bias, np.int32))
        length = min(signal.shape[1] for signal in signals)  # behind the sum, paths may part
        return _Known(
            np.concatenate([signal[:, :length] for signal in signals]),
            np.concatenate(factors),
            np.concatenate(weights),
            np.concatenate(biases) if bias_table is not None else None,
        )
