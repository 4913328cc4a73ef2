"""Names of instructions that hold across builds, so that what own builds teach can be looked for in another's trace.

A kernel is the same code in every build: function and place. Generated code that calls kernels differs in constants
and in how these are written; its name is the text of the whole function without them, and the place. What calls the
layers is other for every model: there only calls are told from the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._timing_places import disassembler

if TYPE_CHECKING:
    from tinymlsec.emulate.twin import Twin
    from tinymlsec.target.firmware.image import Symbol

CALLER = "tms_infer"
GLUE = ("tms_op_", "tms_pix_")
CALL, AHEAD, BETWEEN, BEHIND = "call of a layer", "ahead of layers", "between layers", "behind layers"
LAYER, PIXEL = "layer", "pixel"
"""How names of generated code begin."""
_SAME = {"movs": "mov", "mov.w": "mov", "movw": "mov", "mvn": "mov", "mvn.w": "mov", "mvns": "mov"} | {
    f"{name}{end}": "add" for name in ("add", "sub") for end in ("", "s", ".w", "w")
}
"""Ways of writing a constant, and of adding one."""
_NUMBER, _TARGET, _POOL = re.compile(r"#-?(0x)?[0-9a-f]+"), re.compile(r"#0x[0-9a-f]+$"), re.compile(r"\[pc, #(\w+)\]")


class Names:
    """Numbers of instructions by their names; builds add to them."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, twin: Twin, pcs: NDArray[np.uint32]) -> NDArray[np.int32]:
        """(t,) the number of each instruction that ran.

        Args:
            twin: an own build, with symbols.
            pcs: (t,) addresses.
        """
        addresses, places = np.unique(pcs, return_inverse=True)
        table = [self._number(name) for name in _names(twin, addresses.tolist())]
        made = np.array(table, np.int32)[places]
        symbols = twin.image.symbols
        layers = [symbols[layer.symbol].address for layer in twin.program.layers]
        rest = made == self._number(BETWEEN)
        calls = np.flatnonzero(rest[:-1] & np.isin(pcs[1:], layers))
        made[calls] = self._number(CALL)
        for name, part in ((AHEAD, slice(calls[0])), (BEHIND, slice(calls[-1] + 1, None))):
            made[part][rest[part]] = self._number(name)
        return made

    def _number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))

    def within(self, *starts: str) -> NDArray[np.int32]:
        """Numbers of all names that begin so."""
        return np.array([number for name, number in self.numbers.items() if name.startswith(starts)], np.int32)


def _names(twin: Twin, addresses: list[int]) -> Iterator[str]:
    texts = cache(lambda symbol: _texts(twin, symbol))
    for address in addresses:
        function, offset = twin.image.symbol_at(address) or ("", address)
        symbol = twin.image.symbols.get(function)
        if symbol is None:
            yield f"{function}+{offset}"
        elif function == CALLER:
            yield BETWEEN
        elif function.startswith(GLUE):
            kind = LAYER if function.startswith(GLUE[0]) else PIXEL
            lines = texts(symbol)
            yield f"{kind} {';'.join(lines.values())}+{list(lines).index(address)}"
        else:
            yield f"{function}:{symbol.size}+{offset}"


def _texts(twin: Twin, symbol: Symbol) -> dict[int, str]:
    """Normal text of each instruction of a function by its address, without the constants that lie behind the code."""
    code, end = twin.image.read(symbol.address, symbol.size) or b"", symbol.address + symbol.size
    made: dict[int, str] = {}
    for at, _, mnemonic, text in disassembler(twin.core.machine).disasm_lite(code, symbol.address):
        if at >= end:
            break
        if found := _POOL.search(text):
            end = min(end, (at + 4 & ~3) + int(found[1] or "0", 0))
        made[at] = _normal(mnemonic, text)
    while made and made[max(made)] == "nop ":
        del made[max(made)]
    return made


def _normal(mnemonic: str, text: str) -> str:
    if mnemonic.startswith(("b", "cb")) and mnemonic.removesuffix(".w") not in ("bic", "bics", "bfi", "bfc", "bx"):
        return f"{mnemonic.removesuffix('.w')} {_TARGET.sub('', text)}"
    return f"{_SAME.get(mnemonic, mnemonic)} {_NUMBER.sub('#', text)}"
