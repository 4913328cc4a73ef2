"""The measuring bench for somebody else's firmware: the weights of one convolution, in a kernel that is not ours.

The attacker has a board with the same firmware and writes weights of their own into the model in its flash. Where the
kernel runs they know from the source of the runtime and a disassembler: a window of addresses, as
`pc:<from>-<to>#<hit>` names it, for each output pixel (or channel).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._bench import EACH, LARGEST_BIAS, SETS, Signal
from tinymlsec.attacks.side_channel._macs import Macs
from tinymlsec.attacks.side_channel._points import Profile, profile
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.errors import UsageError

if TYPE_CHECKING:
    from tinymlsec.emulate.foreign.session import Session


@dataclass(frozen=True)
class Kernel:
    """How a foreign kernel computes a convolution.

    The window is entered before the input is read, and ends when the sums of its pixel are complete.
    """

    operator: int
    begins: int
    """Address at which the window begins."""
    ends: int
    """And ends; the same address where a loop comes round to it."""
    columns: int
    """Output pixels of the row-major output that one window computes."""
    channels_apart: bool
    """One window for each channel, instead of one for all of them."""
    first: int = 1
    """The how-manieth time `begins` is reached for the first pixel and channel."""
    records: tuple[tuple[int, int], ...] = ()
    """[from, to) addresses whose instructions make up the trace; all by default."""
    dsp: bool = False
    """Products are added in pairs: bytes 0 and 2 of four that lie side by side, then 1 and 3."""
    bias_first: bool = False
    """The sum starts with the bias."""

    def groups(self, macs: Macs) -> tuple[tuple[int, ...], ...]:
        """Products that are added at once, where the whole window of the input was made one column first."""
        if not self.dsp:
            return tuple((k,) for k in range(macs.length))
        whole = macs.length // 4 * 4
        pairs = [pair for i in range(0, whole, 4) for pair in ((i, i + 2), (i + 1, i + 3))]
        return (*pairs, *((k,) for k in range(whole, macs.length)))

    def window(self, index: int, macs: Macs, channel: int) -> str:
        """Name of the window of an output pixel."""
        at = index // self.columns
        hit = at * macs.channels + channel if self.channels_apart else at
        return f"pc:0x{self.begins:08x}-0x{self.ends:08x}#{hit + self.first}"


class ForeignBench:
    """Two sessions of one firmware: the device, and the attacker's own board. Closing them is the caller's.

    Args:
        device: whose weights are secret.
        own: on which the attacker writes weights.
        kernel: of the layer.
        columns_of_output: width of the layer's output, to count pixels.
        leakage: what the probe sees.

    Raises:
        UsageError: the firmware has no such layer with weights.
    """

    def __init__(self, device: Session, own: Session, kernel: Kernel, columns_of_output: int, leakage: Leakage) -> None:
        self.kernel, self.leakage, self.width = kernel, leakage, columns_of_output
        self._device, self._own = device, own
        layers = [layer for layer in device.layers() if layer.index == kernel.operator]
        if not layers or len(layers[0].inputs) < 2 or None in layers[0].inputs[:2]:
            raise UsageError(
                f"no layer {kernel.operator} with weights is found in the firmware", next_step="doctor --firmware"
            )
        self.places = [None if tensor is None else tensor.address for tensor in layers[0].inputs]
        self.bias_first = kernel.bias_first

    def groups(self, macs: Macs) -> tuple[tuple[int, ...], ...]:
        """Products that the kernel adds at once."""
        return self.kernel.groups(macs)

    def run(self, macs: Macs) -> int:
        """Of these, how many are added before an outer loop goes on."""
        return len(self.groups(macs)) if self.kernel.dsp else macs.run

    def points(self, macs: Macs, rng: np.random.Generator) -> Profile:
        """Where the weights of the first channel speak; the others are profiled one by one."""
        return self.levels(Profile((), ()), macs, 0, rng)

    def levels(self, found: Profile, macs: Macs, channel: int, rng: np.random.Generator) -> Profile:
        """Points and levels of a channel, from weights of the attacker's own."""
        machine, (_, table, bias_table) = self._own.machine, (*self.places, None)[:3]
        assert table is not None
        shape = (1, int(macs.inputs.max()) + 1)
        signals, factors, weights, biases = [], [], [], []
        for _ in range(SETS):
            values = rng.integers(-127, 128, int(macs.weights.max()) + 1).astype(np.int8)
            machine.write(table, values.tobytes())
            bias = int(rng.integers(-LARGEST_BIAS, LARGEST_BIAS))
            if bias_table is not None:
                machine.write(bias_table + 4 * channel, np.int32(bias).tobytes())
            activations = rng.integers(-128, 128, (EACH, *shape)).astype(np.int8)
            signals.append(self._campaign(self._own, macs, channel, activations, None))
            factors.append(macs.factors(activations, channel))
            weights.append(np.tile(values[macs.weights[channel]].astype(np.int32), (EACH, 1)))
            biases.append(np.full(EACH, bias, np.int32))
        length = min(signal.shape[1] for signal in signals)
        return profile(
            np.concatenate([signal[:, :length] for signal in signals]), np.concatenate(factors),
            np.concatenate(weights), np.concatenate(biases) if bias_table is not None else None, self.groups(macs),
            bias_first=self.kernel.bias_first,
        )  # fmt: skip

    def traces(self, found: Profile, macs: Macs, channel: int, activations: NDArray[np.int8]) -> Signal:
        """What the device gives away at the samples of a profile, without noise; see `Bench.traces`."""
        signal = self._campaign(self._device, macs, channel, activations, found.samples)
        return {int(sample): np.ascontiguousarray(signal[:, i]) for i, sample in enumerate(found.samples)}

    def whole(self, macs: Macs, channel: int, activations: NDArray[np.int8]) -> NDArray[np.float32]:
        """The same at all samples: (n, t)."""
        return self._campaign(self._device, macs, channel, activations, None)

    def _campaign(
        self, session: Session, macs: Macs, channel: int, activations: NDArray[np.int8],
        samples: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:  # fmt: skip
        rows = np.ascontiguousarray(activations).reshape(len(activations), -1)
        plan = session.plan.input
        blank = np.zeros((1, plan.bytes // np.dtype(plan.type).itemsize), plan.type)
        window = session.enter(self.kernel.window(macs.pixel[0] * self.width + macs.pixel[1], macs, channel), blank)
        assert self.places[0] is not None
        campaign = session.machine.campaign(
            window, [(self.places[0], rows.view(np.uint8))], take=self.leakage.columns, points=samples,
            ranges=self.kernel.records,
        )  # fmt: skip
        return self.leakage.signal(campaign.samples)
