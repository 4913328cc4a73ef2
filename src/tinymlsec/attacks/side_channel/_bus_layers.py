"""From accesses to an architecture: borders of layers, tensors, and the layers that explain every count and address.

A layer writes its output from the first value to the last, and reads what an earlier one has written. Weights are what
is only ever read. Whoever sees that much knows how many values go in and out and how many weights there are, and few
layers have such numbers; of these one has the addresses that were seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape, guesses
from tinymlsec.attacks.side_channel._arch_truth import Guessed
from tinymlsec.attacks.side_channel._bus_recording import BusTrace

MOST_LAYERS = 512
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")


@dataclass(frozen=True)
class Tensor:
    """A stretch of memory that holds a tensor."""

    address: int
    shape: Shape


@dataclass(frozen=True)
class Seen:
    """What one layer did on the bus."""

    start: int
    end: int
    out: int
    """Address of its first output value."""
    outputs: int
    """Values written."""
    reads: NDArray[np.int64]
    """Addresses of activations that were read, in order."""
    owners: NDArray[np.int64]
    """For each of these, the number of the output value that was written next."""
    weights: NDArray[np.int64]
    """Different addresses of constants that were read, ascending."""
    constants: int
    """Reads of constants."""


def borders(trace: BusTrace) -> list[tuple[int, int]]:
    """(begin, end) accesses of each layer: it ends with the last value of its output.

    A new layer begins where values are no longer written one behind the other, and where a value is read that the layer
    has just written itself (W. Hua, Z. Zhang, G. E. Suh, DAC 2018).
    """
    at = np.flatnonzero(trace.writes)
    if not len(at):
        return []
    written = trace.addresses[at].astype(np.int64)
    jumps = np.flatnonzero(np.diff(written) != 1) + 1
    cuts = [0, *jumps.tolist(), len(at)]
    made, begin = [], 0
    for first, last in pairwise(cuts):
        for inner in _reread(trace, at, written, first, last):
            made.append((begin, int(at[inner - 1]) + 1))
            begin = int(at[inner - 1]) + 1
    return made[:MOST_LAYERS]


def _reread(trace: BusTrace, at: NDArray[np.int64], written: NDArray[np.int64], first: int, last: int) -> Iterator[int]:
    """Ends of layers within one run of writes, each as the number of the write behind it."""
    low, begin = int(written[first]), int(at[first])
    stretch = slice(begin, int(at[last - 1]) + 1)
    address = trace.addresses[stretch].astype(np.int64)
    # how many values had been written before each access
    done = np.cumsum(trace.writes[stretch])
    again = np.flatnonzero(~trace.writes[stretch] & (address >= low) & (address < low + done))
    # values from `since` on belong to the layer that is under way; a value that lies before is an input of it
    since = 0
    while len(again := again[address[again] - low >= since]):
        since = int(done[again[0]])
        if since >= last - first:
            break
        yield first + since
        again = again[1:]
    yield last


def seen_layers(trace: BusTrace) -> list[Seen]:
    """What each layer did."""
    written = np.unique(trace.addresses[trace.writes])
    memory = (int(written[0]) & ~0xFFFFFF, int(written[-1]) | 0xFFFFFF) if len(written) else (0, 0)
    made = []
    for begin, end in borders(trace):
        address, writes = trace.addresses[begin:end].astype(np.int64), trace.writes[begin:end]
        outputs = address[writes]
        activation = (address >= memory[0]) & (address <= memory[1]) & ~writes
        constant = ~activation & ~writes
        owners = np.cumsum(writes, dtype=np.int64)
        made.append(
            Seen(begin, end, int(outputs[0]), len(outputs), address[activation], owners[activation],
                 np.unique(address[constant]), int(constant.sum()))
        )  # fmt: skip
    return made


def recognize(trace: BusTrace, source: Shape) -> list[Guessed]:
    """The layers of one inference.

    Args:
        trace: what was seen on the bus.
        source: shape of the input, without the batch: whoever feeds the device knows it.
    """
    tensors: list[Tensor] = []
    made: list[Guessed] = []
    for seen in seen_layers(trace):
        if not tensors and len(seen.reads):
            tensors.append(Tensor(int(seen.reads.min()), source))
        found = _explained(trace, seen, tensors)
        if not found:
            made.append(Guessed("unknown", (seen.outputs,), 0, seen.start, seen.end))
            tensors.append(Tensor(seen.out, (seen.outputs,)))
            continue
        best = found[0]
        read = _read(seen, tensors)
        if best[0] == "FULLY_CONNECTED" and read and len(read[0].shape) == 3:
            made.append(Guessed("RESHAPE", (prod(read[0].shape),), 0, seen.start, seen.start))
        made.append(Guessed(*best, seen.start, seen.end, tuple(found[1:4])))
        tensors.append(Tensor(seen.out, best[1]))
    return made


Fact = tuple[str, Shape, int]
"""Kind, shape of the output, products."""


def _read(seen: Seen, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors that a layer reads: of those at an address the newest."""
    made: dict[int, Tensor] = {}
    for tensor in tensors:
        for old in [
            a for a, t in made.items() if a < tensor.address + prod(tensor.shape) and tensor.address < a + prod(t.shape)
        ]:
            del made[old]
        made[tensor.address] = tensor
    lows = {t.address: (seen.reads >= t.address) & (seen.reads < t.address + prod(t.shape)) for t in made.values()}
    return [made[address] for address, inside in lows.items() if inside.any()]


def _explained(trace: BusTrace, seen: Seen, tensors: Sequence[Tensor]) -> list[Fact]:
    read = _read(seen, tensors)
    if not read:
        return []
    if seen.constants:
        return [fact for tensor in read[:1] for fact in _weighted(seen, tensor)]
    return _without_weights(trace, seen, read)


def _weighted(seen: Seen, tensor: Tensor) -> Iterator[Fact]:
    """Layers with weights that read exactly these addresses for every output value."""
    for guess in guesses(tensor.shape):
        channels, rest = divmod(seen.outputs, len(guess.rows) * len(guess.columns))
        if rest or not channels or guess.fixed_channels not in (0, channels):
            continue
        depth = prod(tensor.shape) if not guess.windowed else tensor.shape[2] if guess.kind == "CONV_2D" else 1
        weights = prod(guess.window) * depth * channels
        if not weights <= len(seen.weights) <= weights + 9 * channels:
            continue
        if _reads_match(seen, tensor, guess, channels):
            yield guess.kind, guess.output(channels), guess.macs(channels)


def _reads_match(seen: Seen, tensor: Tensor, guess: Guess, channels: int) -> bool:
    counts = np.bincount(seen.owners, minlength=seen.outputs)[: seen.outputs]
    first = np.full(seen.outputs, np.iinfo(np.int64).max)
    np.minimum.at(first, np.minimum(seen.owners, seen.outputs - 1), seen.reads)
    if not guess.windowed:
        return bool(np.all(counts == prod(tensor.shape)) and np.all(first == tensor.address))
    depth = tensor.shape[2] if guess.kind == "CONV_2D" else 1
    rows = np.array([t.inside for t in guess.rows])
    columns = np.array([t.inside for t in guess.columns])
    expected = np.repeat((rows[:, None] * columns * depth).ravel(), channels)
    return bool(np.array_equal(counts, expected) and np.array_equal(first, _firsts(tensor, guess, channels)))


def _firsts(tensor: Tensor, guess: Guess, channels: int) -> NDArray[np.int64]:
    """Lowest address that each output value reads."""
    y, x = (_starts(taps, guess.stride) for taps in (guess.rows, guess.columns))
    pixel = tensor.address + (y[:, None] * tensor.shape[1] + x) * tensor.shape[2]
    channel = np.arange(channels) if guess.kind == "DEPTHWISE_CONV_2D" else np.zeros(channels, np.int64)
    return (pixel[:, :, None] + channel).ravel()


def _starts(taps: Sequence[object], stride: int) -> NDArray[np.int64]:
    before = np.array([getattr(t, "before", 0) for t in taps])
    pad = int(before[0]) if len(before) else 0
    return np.maximum(np.arange(len(before)) * stride - pad, 0)


def _without_weights(trace: BusTrace, seen: Seen, read: Sequence[Tensor]) -> list[Fact]:
    shape = read[0].shape
    each = len(seen.reads) / seen.outputs
    if len(read) == 2 and read[1].shape == shape and each == 2 and seen.outputs == prod(shape):
        return _by_data(trace, seen, [("ADD", shape, 0), ("MUL", shape, 0), ("SUB", shape, 0)])
    if seen.outputs == prod(shape) and len(read) == 1 and len(np.unique(seen.reads)) == seen.outputs:
        if each > 2:
            return [("SOFTMAX", shape, 0)]
        if each == 1:
            return [("LOGISTIC", shape, 0), ("RELU", shape, 0), ("QUANTIZE", shape, 0), ("TANH", shape, 0)]
    return _by_data(trace, seen, list(_pools(seen, read[0])))


def _pools(seen: Seen, tensor: Tensor) -> Iterator[Fact]:
    if len(tensor.shape) != 3:
        return
    height, width, depth = tensor.shape
    windows = {(height, width), *((n, n) for n in range(2, 8))}
    for window, stride, padding in product(sorted(windows), range(1, 9), ("VALID", "SAME")):
        guess = Guess("DEPTHWISE_CONV_2D", tensor.shape, window, stride if window != (height, width) else 1, padding)
        fits = len(guess.rows) * len(guess.columns) * depth == seen.outputs
        if fits and _reads_match(seen, tensor, guess, depth):
            output = guess.output(depth)
            yield from ((kind, output, 0) for kind in POOLS)
            if output[:2] == (1, 1):
                yield "MEAN", (depth,), 0
            return


def _by_data(trace: BusTrace, seen: Seen, facts: list[Fact]) -> list[Fact]:
    """Tells a maximum from a mean by the values, where they are seen."""
    if trace.values is None or not facts or facts[0][0] not in POOLS:
        return facts
    values = trace.values[seen.start : seen.end].astype(np.uint8).view(np.int8)
    writes = trace.writes[seen.start : seen.end]
    most = np.full(seen.outputs, -128, np.int64)
    np.maximum.at(most, np.minimum(np.cumsum(writes)[~writes], seen.outputs - 1), values[~writes].astype(np.int64))
    is_maximum = np.array_equal(most, values[writes].astype(np.int64))
    return sorted(facts, key=lambda fact: (fact[0] == "MAX_POOL_2D") != is_maximum)
