"""Weights of a lifted graph as bits of the file: what a flip does to a value, and where in the file it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec._lazy import np, torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from tinymlsec.lift.graph import LiftedGraph
    from tinymlsec.lift.op import LiftedOp

BITS = 8
"""Bits of a weight; only int8 and uint8 weights are searched."""


@dataclass(frozen=True)
class Flip:
    """One bit of one weight."""

    block: int
    """Position of its tensor in `WeightMap.blocks`."""
    element: int
    """Position of the value in the flattened tensor."""
    bit: int
    """0 the least significant, 7 the sign of an int8."""


@dataclass(frozen=True, eq=False)
class WeightBlock:
    """Weights that share one buffer of the file, with the bits that were flipped already."""

    tensors: tuple[int, ...]
    ops: tuple[LiftedOp, ...]
    """Operators that use them."""
    parameters: tuple[nn.Parameter, ...]
    channel_axis: int
    offset: int
    """First byte in the file."""
    signed: bool
    used: NDArray[np.bool_]
    """(values, 8) bits that were flipped and stay so."""

    @property
    def values(self) -> Tensor:
        """(values,) the weights as they are now, float32 holding integers; a view."""
        return self.parameters[0].data.reshape(-1)

    def changes(self) -> NDArray[np.float32]:
        """(values, 8) by how much flipping each bit changes each value."""
        codes = self.values.numpy().astype(np.int64) & 0xFF
        sign = 1 - 2 * ((codes[:, None] >> np.arange(BITS)) & 1)
        weights = 2.0 ** np.arange(BITS)
        if self.signed:
            weights[-1] = -weights[-1]
        return (sign * weights).astype(np.float32)


class WeightMap:
    """All integer weights of the main graph that lie in the file.

    Args:
        graph: a lifted graph whose parameters this changes.
    """

    def __init__(self, graph: LiftedGraph) -> None:
        self.graph, self.main = graph, graph.model.main
        by_buffer: dict[int, list[tuple[int, LiftedOp, nn.Parameter]]] = {}
        for number, op, parameter in _weights(graph):
            info = self.main.tensors[number]
            if info.dtype in ("int8", "uint8") and graph.model.buffers[info.buffer].offset is not None:
                by_buffer.setdefault(info.buffer, []).append((number, op, parameter))
        self.blocks = [self._block(buffer, uses) for buffer, uses in sorted(by_buffer.items())]

    def _block(self, buffer: int, uses: list[tuple[int, LiftedOp, nn.Parameter]]) -> WeightBlock:
        info, offset = self.main.tensors[uses[0][0]], self.graph.model.buffers[buffer].offset
        assert offset is not None
        numbers, ops, parameters = (tuple(column) for column in zip(*uses, strict=True))
        per_channel = info.quantization is not None and info.quantization.per_channel
        depthwise = len(info.shape) == 4 and info.shape[0] == 1
        axis = info.quantization.dimension if info.quantization and per_channel else len(info.shape) - 1
        return WeightBlock(
            tensors=tuple(dict.fromkeys(numbers)),
            ops=ops,
            parameters=parameters,
            channel_axis=axis if per_channel or depthwise else 0,
            offset=offset,
            signed=info.dtype == "int8",
            used=np.zeros((parameters[0].numel(), BITS), bool),
        )

    @property
    def bits(self) -> int:
        """Number of bits in all."""
        return sum(block.used.size for block in self.blocks)

    def candidates(self, gradients: list[Tensor], count: int) -> list[Flip]:
        """The bits of every block that promise the largest growth of the loss, best first within a block.

        Args:
            gradients: per block, of the loss for the values, (values,).
            count: bits per block.
        """
        found: list[Flip] = []
        for number, (block, gradient) in enumerate(zip(self.blocks, gradients, strict=True)):
            gain = block.changes() * gradient.numpy()[:, None]
            gain[block.used] = -np.inf
            count_here = min(count, gain.size)
            best = np.argpartition(gain, -count_here, axis=None)[-count_here:]
            best = best[np.argsort(-gain.reshape(-1)[best], kind="stable")]
            found += [Flip(number, int(k) // BITS, int(k) % BITS) for k in best if gain.reshape(-1)[k] > 0]
        return found

    def toggle(self, flip: Flip) -> None:
        """Flip a bit in the graph (twice is nothing); exactness of the arithmetic is checked anew."""
        block = self.blocks[flip.block]
        before = int(block.values[flip.element])
        code = (before & 0xFF) ^ (1 << flip.bit)
        after = code - 256 if block.signed and code >= 128 else code
        with torch.no_grad():
            for parameter in block.parameters:
                parameter.data.view(-1)[flip.element] = float(after)
        for op in block.ops:
            op.refresh()

    def keep(self, flip: Flip) -> None:
        """Flip a bit for good: it is not a candidate any more."""
        self.toggle(flip)
        self.blocks[flip.block].used[flip.element, flip.bit] = True

    def position(self, flip: Flip) -> int:
        """Bit of the file: 8 x byte + bit."""
        return 8 * (self.blocks[flip.block].offset + flip.element) + flip.bit

    def channel(self, flip: Flip) -> int:
        """Output channel that the value belongs to."""
        block = self.blocks[flip.block]
        place = np.unravel_index(flip.element, tuple(block.parameters[0].shape))
        return int(place[block.channel_axis])


def _weights(graph: LiftedGraph) -> Iterator[tuple[int, LiftedOp, nn.Parameter]]:
    """Weights of the main graph: tensor number, the operator that holds them, and the parameter."""
    for op in graph.main.ops:
        for name, parameter in op.named_parameters(recurse=False):
            if name.startswith("weight_"):
                yield int(name.rpartition("_")[2]), op, parameter  # type: ignore[misc]
