"""Turns the names of a target description into addresses of an image, and says what is close where one is missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinymlsec.emulate.foreign.description import DescriptionError
from tinymlsec.emulate.foreign.description_sections import split_place

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage, Symbol

MAX_COMPARED = 20_000
"""Symbols that a missing one is compared with; difflib takes about a second for so many."""


def resolve(place: int | str, image: FirmwareImage, role: str) -> int:
    """The address of a place, with the Thumb bit cleared where it is a function.

    Args:
        place: an address, or a symbol with an optional +offset; ``Model::run`` finds the C++ function of that name.
        image: where symbols come from.
        role: key of the description, for errors.

    Raises:
        DescriptionError: no such symbol, several that fit, or an address outside of everything.
    """
    if isinstance(place, int):
        return place
    name, offset = split_place(place)
    return find_symbol(name, image, role).address + offset


def find_symbol(name: str, image: FirmwareImage, role: str) -> Symbol:
    """The symbol that a user's name means: the name as the file has it, or a C++ name without its parameters.

    Raises:
        DescriptionError: see `resolve`.
    """
    found = image.symbols.get(name)
    if found is not None:
        return found
    fits = {symbol.address: symbol for symbol in image.all_symbols if _plain(symbol.short) == _plain(name)}
    if len(fits) == 1:
        return next(iter(fits.values()))
    if fits:
        raise DescriptionError(
            f"{role}: {name!r} fits several symbols",
            found=", ".join(symbol.name[:200] for symbol in list(fits.values())[:6]),
            expected="one symbol",
            next_step="give the full (mangled) name of the one you mean, or its address",
        )
    raise _missing(name, image, role)


def _plain(name: str) -> str:
    """Anonymous namespaces are invisible in the source, so they may be left out."""
    return name.replace("(anonymous namespace)::", "")


def near_matches(name: str, symbols: Iterable[str]) -> list[str]:
    """Up to three symbols that look like the name, the closest first."""
    known = sorted(symbols)[:MAX_COMPARED]
    lowered = {symbol.lower(): symbol for symbol in reversed(known)}
    found = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
    last = name.split("::")[-1].lower()
    inside = [symbol for low, symbol in sorted(lowered.items()) if len(last) >= 4 and last in low]
    return list(dict.fromkeys([*(lowered[low] for low in found), *inside]))[:3]


def _missing(name: str, image: FirmwareImage, role: str) -> DescriptionError:
    if not image.symbols:
        return DescriptionError(
            f"{role}: there is no symbol {name!r}",
            found="an image without symbols (stripped, or not an ELF)",
            expected="an address, such as 0x08001234",
            next_step="`tinymlsec doctor --firmware ELF` finds what it can without symbols",
        )
    close = near_matches(name, [*image.symbols, *{symbol.short for symbol in image.symbols.values()}])
    return DescriptionError(
        f"{role}: there is no symbol {name!r}",
        found=f"{len(image.symbols)} other symbols",
        expected="the name of a symbol of the image, or an address",
        next_step=f"did you mean {', '.join(close)}?" if close else "list them with nm, or give an address",
    )
