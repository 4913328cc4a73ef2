"""Finds one whole inference among the kernels that were called: calls whose nodes are the model's, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinymlsec.emulate.foreign.finder.blob import Blob
from tinymlsec.emulate.foreign.finder.layers import LayerWindow, Read, confirms

MAX_CALLS = 1 << 20
"""Most calls that are looked at."""


@dataclass(frozen=True)
class Call:
    """A kernel was entered."""

    kernel: int
    """Address, without the Thumb bit."""
    node: int
    """Second argument."""
    back: int
    """Where it returns to, without the Thumb bit."""
    index: int = 0
    """Dynamic number of the instruction."""


@dataclass(frozen=True)
class CallsOfInference:
    """Calls of one inference."""

    calls: tuple[Call, ...]
    """One for each layer."""
    over_hit: int
    """How many calls from the first layer's on return to where the last layer's does, its own included."""


def whole_inference(
    calls: Sequence[Call], windows: Sequence[LayerWindow], blob: Blob, read: Read
) -> tuple[CallsOfInference | None, str]:
    """The first inference that is there as a whole, and what differed where none is.

    Calls of other graphs (of IF, WHILE, CALL_ONCE) in between are passed over: their nodes are not the main graph's.

    Args:
        calls: in their order.
        windows: of the model's layers.
        blob: the model.
        read: the device's memory after the calls; nodes stay where they are.
    """
    if not windows:
        return None, "no layers"
    matched: list[int] = []
    known: dict[tuple[int, int], str] = {}
    differs = ""

    def fits(call: Call, layer: int) -> bool:
        nonlocal differs
        if call.kernel != windows[layer].invoke:
            return False
        key = (layer, call.node)
        if key not in known:
            known[key] = confirms(windows[layer], blob, call.node, read)
            differs = differs or known[key]
        return not known[key]

    for place, call in enumerate(calls[:MAX_CALLS]):
        if fits(call, len(matched)):
            matched.append(place)
        elif matched and fits(call, 0):
            matched = [place]
        if len(matched) == len(windows):
            found = tuple(calls[i] for i in matched)
            between = calls[matched[0] : matched[-1] + 1]
            return CallsOfInference(found, sum(each.back == found[-1].back for each in between)), ""
    return None, differs or f"{len(matched)} of {len(windows)} layers were entered in the model's order"
