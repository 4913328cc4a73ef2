"""Turns the names of a target description into addresses of an image, and says what is close where one is missing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinymlsec.emulate.foreign.description import DescriptionError
from tinymlsec.emulate.foreign.description_sections import split_place

if TYPE_CHECKING:
    from tinymlsec.target.firmware import FirmwareImage

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
    return image.symbols[symbol_name(name, image, role)].address + offset


def symbol_name(name: str, image: FirmwareImage, role: str) -> str:
    """The name in the symbol table that a user's name means.

    Raises:
        DescriptionError: see `resolve`.
    """
    if name in image.symbols:
        return name
    fits = cpp_matches(name, image.symbols)
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise DescriptionError(
            f"{role}: {name!r} fits several symbols",
            found=", ".join(fits[:6]),
            expected="one symbol",
            next_step="give the full (mangled) name of the one you mean",
        )
    raise _missing(name, image, role)


def cpp_matches(name: str, symbols: Iterable[str]) -> list[str]:
    """Symbols that are the C++ function or variable of that qualified name, whatever it takes.

    >>> cpp_matches("Model::run", ["_ZN5Model3runE4Span", "_ZN5Model5resetEv", "main"])
    ['_ZN5Model3runE4Span']
    """
    parts = name.split("::")
    if not all(re.fullmatch(r"[A-Za-z_]\w{0,199}", part) for part in parts):
        return []
    coded = "".join(f"{len(part)}{part}" for part in parts)
    # 12_GLOBAL__N_1 is an anonymous namespace: invisible in the source, so it may be left out.
    pattern = rf"_ZL?{coded}" if len(parts) == 1 else rf"_ZNK?(?:12_GLOBAL__N_1)?{coded}E"
    compiled = re.compile(pattern)
    return sorted(symbol for symbol in symbols if len(symbol) < 1000 and compiled.match(symbol))


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
    close = near_matches(name, image.symbols)
    return DescriptionError(
        f"{role}: there is no symbol {name!r}",
        found=f"{len(image.symbols)} other symbols",
        expected="the name of a symbol of the image, or an address",
        next_step=f"did you mean {', '.join(close)}?" if close else "list them with nm, or give an address",
    )
