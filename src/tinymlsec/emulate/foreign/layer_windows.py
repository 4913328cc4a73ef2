"""Layers of an interpreter's model as windows of a started firmware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core, MemoryMap, Window
from tinymlsec.emulate.foreign.device_memory import running
from tinymlsec.emulate.foreign.finder.layers import LayerWindow, layer_windows
from tinymlsec.emulate.foreign.finder.static import search
from tinymlsec.emulate.windows import Named, enter

if TYPE_CHECKING:
    from tinymlsec.emulate.machine import Machine
    from tinymlsec.target.firmware.image import FirmwareImage


def layers_of(
    image: FirmwareImage, core: Core, memory: MemoryMap, read: Callable[[int, int], bytes]
) -> tuple[LayerWindow, ...]:
    """Windows of the layers, as the interpreter's tables in RAM say; none where something of it is not found."""
    found = search(running(image, memory, read, core.machine == "arm"))
    if found.blob is None or found.registrations is None or found.tensors is None:
        return ()
    return layer_windows(found.blob, found.registrations, found.tensors)


def layer_named(layer: LayerWindow) -> Named:
    """A layer as the call of its kernel."""
    return Named(layer.name, layer.invoke, layer.hit)


def entered(machine: Machine, inference: Window, window: Named, seconds: float) -> Window:
    """Runs an inference up to a window. Where it goes on from the very place, that counts as reached once.

    Args:
        machine: ready for an inference, with its inputs written.
        inference: the whole of it.
        window: where to stop.
        seconds: limit.

    Raises:
        MachineError: the inference does not come to the window.
    """
    if inference.start is not None or machine.registers()[-1] != window.at:
        return enter(machine, inference, window, seconds=seconds)
    if window.hit > 1:
        return enter(machine, inference, replace(window, hit=window.hit - 1), seconds=seconds)
    link = machine.registers()[14 if machine.core.machine == "arm" else 1] & ~1
    return Window(window.name, None, (), link if window.stop is None else window.stop)
