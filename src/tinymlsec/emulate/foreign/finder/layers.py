"""One window per layer: which kernel computes it, the how-manieth call of that kernel it is, and where its tensors lie.

The order is the model's, so the n-th layer of an operator is the n-th time its kernel is entered. Running confirms it:
at the entry the second argument points to the node, whose lists of inputs and outputs must be the model's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tinymlsec.emulate.foreign.finder.blob import Blob
from tinymlsec.emulate.foreign.finder.memory import WORD
from tinymlsec.emulate.foreign.finder.registrations import RegistrationTable
from tinymlsec.emulate.foreign.finder.tensors import PlacedTensor, TensorTable

MAX_LIST = 4096
"""Most tensors of one layer."""

Read = Callable[[int, int], bytes]
"""Reads memory: address, bytes; fewer bytes where there is none."""


@dataclass(frozen=True)
class LayerWindow:
    """Where one layer is computed."""

    index: int
    operator: str
    invoke: int
    """Address of the kernel, without the Thumb bit."""
    hit: int
    """The layer is the hit-th call of that kernel in an inference, from 1."""
    inputs: tuple[PlacedTensor | None, ...]
    """None for an optional input that is absent, or where no table of tensors was found."""
    outputs: tuple[PlacedTensor | None, ...]

    @property
    def name(self) -> str:
        """Name of the window."""
        return f"op:{self.index}"


def layer_windows(blob: Blob, registrations: RegistrationTable, tensors: TensorTable | None) -> tuple[LayerWindow, ...]:
    """Windows of all layers of the main graph in their order; none where a kernel is not in the table."""
    hits: Counter[int] = Counter()
    placed = {tensor.index: tensor for tensor in tensors.tensors} if tensors else {}
    windows = []
    for op in blob.model.main.operators:
        invoke = registrations.invoke_of(blob.model.opcodes[op.opcode].builtin)
        if invoke is None:
            return ()
        hits[invoke] += 1  # two operators may share a kernel
        inputs, outputs = (tuple(placed.get(i) for i in side) for side in (op.inputs, op.outputs))
        windows.append(LayerWindow(op.index, op.label, invoke, hits[invoke], inputs, outputs))
    return tuple(windows)


def confirms(window: LayerWindow, blob: Blob, node: int, read: Read) -> str:
    """Compares the node that a kernel was given with the model; says what differs, or nothing where all agrees.

    Args:
        window: the layer that should be entered.
        blob: the model.
        node: second argument at the kernel's entry.
        read: the device's memory.
    """
    op = blob.model.main.operators[window.index]
    for side, place, expected in (("inputs", 0, op.inputs), ("outputs", WORD, op.outputs)):
        found = number_list(read, _word(read, node + place))
        if found != expected:
            return f"{window.name} ({window.operator}): {side} {found} instead of {expected}"
    return ""


def number_list(read: Read, address: int | None) -> tuple[int, ...] | None:
    """The runtime's list of integers at an address, None where there is none."""
    length = _word(read, address)
    if address is None or length is None or length > MAX_LIST:
        return None
    data = read(address + WORD, WORD * length)
    if len(data) < WORD * length:
        return None
    return tuple(int.from_bytes(data[i : i + WORD], "little", signed=True) for i in range(0, len(data), WORD))


def _word(read: Read, address: int | None) -> int | None:
    data = b"" if address is None else read(address, WORD)
    return int.from_bytes(data, "little") if len(data) == WORD else None
