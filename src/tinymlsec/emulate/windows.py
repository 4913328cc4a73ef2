"""Windows by name: the part of an inference that is run again and again.

op:3                    the third operator of the model
op:3@5,7,0:4            of its output the pixel at row 5, column 7, channels 0 to 3
conv_kernel             a function; conv_kernel#2 its second call
pc:0x8001000-0x8001080  from one address to another; #3 at its end: the third time the first one is reached
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import RunEnd, Window
from tinymlsec.errors import MachineError, UsageError

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen.program import Layer, Program
    from tinymlsec.emulate.machine import Machine

FORMS = "op:<n>, op:<n>@<y>,<x>,<c0>:<c1>, <symbol>, <symbol>#<call>, pc:<from>-<to> or pc:<from>-<to>#<hit>"
_LAYER = re.compile(r"op:(\d{1,6})(?:@(\d{1,9}),(\d{1,9}),(\d{1,9}):(\d{1,9}))?")
_ADDRESSES = re.compile(r"pc:(0x[0-9a-fA-F]{1,8}|\d{1,10})-(0x[0-9a-fA-F]{1,8}|\d{1,10})(?:#(\d{1,9}))?")
_FUNCTION = re.compile(r"([^#]{1,500})(?:#(\d{1,9}))?")


@dataclass(frozen=True)
class Named:
    """A window as its name tells."""

    name: str
    at: int
    """Address at which an inference comes to it."""
    hit: int = 1
    """The how-manieth time."""
    stop: int | None = None
    """Address at which it ends; None: when the function returns."""
    pixel: tuple[int, tuple[int, int, int, int]] | None = None
    """Function of one pixel, with row, column and channels, which is called instead of going on."""


def named(name: str, machine: Machine, program: Program | None = None) -> Named:
    """Reads a window's name.

    Args:
        name: see above.
        machine: whose image has the symbols.
        program: what the firmware was generated from; names of layers need it.

    Raises:
        UsageError: no such form, symbol, layer or pixel.
    """
    if found := _LAYER.fullmatch(name):
        return _layer(name, found, machine, program)
    if found := _ADDRESSES.fullmatch(name):
        start, end, hit = found.groups()
        return Named(name, int(start, 0), _positive(name, hit), int(end, 0))
    found = _FUNCTION.fullmatch(name)
    if found is None or name.startswith(("op:", "pc:")):
        raise UsageError(f"no window is called {name[:200]!r}", expected=FORMS)
    return Named(name, machine.address_of(found[1]), _positive(name, found[2]))


def enter(machine: Machine, inference: Window, window: Named, *, seconds: float = 120.0) -> Window:
    """Runs an inference up to a window; what is returned is to be run from there, after a snapshot.

    Args:
        machine: ready for an inference, with its inputs written.
        inference: the whole of it.
        window: from `named`.
        seconds: limit.

    Raises:
        MachineError: the inference ends without having come to the window.
    """
    if inference.start == window.at and window.hit == 1:
        return Window(window.name, window.at, inference.arguments, window.stop)
    reached = machine.run(
        Window(window.name, inference.start, inference.arguments, window.at, window.hit), seconds=seconds
    )
    if reached.end is not RunEnd.DONE or machine.registers()[-1] != window.at:
        ended = reached.fault.kind if reached.fault else reached.end.value
        raise MachineError(
            f"the inference does not come to the window {window.name!r}",
            found=f"{ended} after {reached.instructions} instructions",
            expected=f"0x{window.at:08x} reached {window.hit} times",
        )
    if window.pixel is not None:
        return Window(window.name, *window.pixel)
    if window.stop is not None:
        return Window(window.name, None, (), window.stop)
    link = machine.registers()[14 if machine.core.machine == "arm" else 1]
    return Window(window.name, None, (), link & ~1)


def layer_of(name: str) -> int | None:
    """Number of the operator in whose code a window lies; None where its name does not tell."""
    found = _LAYER.fullmatch(name)
    return None if found is None else int(found[1])


def pixel_of(name: str) -> tuple[int, int, int, int] | None:
    """Row, column, first channel and the one after the last, of a window that is a pixel."""
    found = _LAYER.fullmatch(name)
    if found is None or found[2] is None:
        return None
    return int(found[2]), int(found[3]), int(found[4]), int(found[5])


def _positive(name: str, number: str | None) -> int:
    value = 1 if number is None else int(number)
    if value < 1:
        raise UsageError(f"the window {name!r} counts calls from 1", found=str(value))
    return value


def _layer(name: str, found: re.Match[str], machine: Machine, program: Program | None) -> Named:
    if program is None:
        raise UsageError(f"the window {name!r} needs the model that the firmware was generated from")
    index = int(found[1])
    layer = next((each for each in program.layers if each.index == index), None)
    if layer is None:
        numbers = f"0 to {len(program.layers) - 1}"
        raise UsageError(f"the model has no operator {index}", expected=numbers)
    at = machine.address_of(layer.symbol)
    return Named(name, at) if found[2] is None else Named(name, at, pixel=_pixel(name, found, layer, machine))


def _pixel(name: str, found: re.Match[str], layer: Layer, machine: Machine) -> tuple[int, tuple[int, int, int, int]]:
    y, x, first, end = (int(found[i]) for i in range(2, 6))
    rows, columns, channels = layer.pixels
    if not layer.pixel_symbol:
        raise UsageError(f"operator {layer.index} ({layer.op}) is not computed pixel by pixel", found=name)
    if y >= rows or x >= columns or not first < end <= channels:
        raise UsageError(
            f"operator {layer.index} ({layer.op}) has no such pixel or channels", found=name,
            expected=f"rows below {rows}, columns below {columns}, channels 0 to {channels}",
        )  # fmt: skip
    return machine.address_of(layer.pixel_symbol), (y, x, first, end)
