"""Leakage models: from what an instruction did to what an attacker's probe would see of it.

All of them are simulations without units: one is one flipped or set bit. Where the weights of a measured device are
known, `weights` takes them by class of instruction; by default every class counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Core
from tinymlsec.errors import UsageError

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

PARTS: Mapping[str, tuple[str, ...]] = {
    "hamming_weight": ("hw",),
    "hamming_distance": ("hd",),
    "bus": ("bus_hw",),
    "bus_distance": ("bus_hd",),
    "mixed": ("hw", "hd", "bus_hd"),
}
"""Columns of a record that each model adds up.

hamming_weight: bits that are set in what an instruction writes to registers (P. Kocher, J. Jaffe, B. Jun, "Differential
Power Analysis", CRYPTO 1999). hamming_distance: bits that change in those registers (E. Brier, C. Clavier, F. Olivier,
"Correlation Power Analysis with a Leakage Model", CHES 2004). bus, bus_distance: the same of the words that are loaded
and stored. mixed: registers by weight and distance and the bus by distance together, in the manner of D. McCann,
E. Oswald, C. Whitnall, "Towards Practical Tools for Side Channel Aware Software Engineering", USENIX Security 2017,
whose measured coefficients it does not have."""


@dataclass(frozen=True)
class Leakage:
    """A leakage model.

    Args:
        name: one of `PARTS`.
        weights: factor by class of instruction (names of `cycles.table.KINDS`); 1 for classes that are not named.
    """

    name: str = "hamming_weight"
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in PARTS:
            raise UsageError(f"unknown leakage model {self.name!r}", expected=", ".join(PARTS))

    @property
    def columns(self) -> tuple[str, ...]:
        """What is needed of every record."""
        return PARTS[self.name]

    @property
    def words(self) -> str:
        """For reports."""
        weighted = ", ".join(f"{kind} x {factor:g}" for kind, factor in sorted(self.weights.items()))
        return self.name + (f" weighted by class ({weighted})" if weighted else "")

    def signal(
        self, columns: Mapping[str, NDArray[np.unsignedinteger]], kinds: NDArray[np.str_] | None = None
    ) -> NDArray[np.float32]:
        """The signal without noise.

        Args:
            columns: (n, t) each, as `Campaign.samples` has them.
            kinds: (t,) class of the instruction of each sample; needed only with weights.

        Returns:
            (n, t) float32.
        """
        total = np.zeros(next(iter(columns.values())).shape, np.float32)
        for name in self.columns:
            total += columns[name]
        if self.weights:
            if kinds is None:
                raise UsageError("a leakage model with weights needs the classes of the instructions")
            total *= np.array([self.weights.get(str(kind), 1.0) for kind in kinds], np.float32)
        return total


def kinds_of(image: FirmwareImage, core: Core, addresses: NDArray[np.uint32]) -> NDArray[np.str_]:
    """Class of the instruction at each address, as cycle tables name them.

    Args:
        image: the firmware.
        core: that runs it.
        addresses: (t,)
    """
    from tinymlsec.emulate.cycles.decode_arm import arm_decoder
    from tinymlsec.emulate.cycles.decode_riscv import riscv_decoder
    from tinymlsec.emulate.cycles.model import image_bytes

    decode = arm_decoder() if core.machine == "arm" else riscv_decoder()
    known = {int(a): decode(int(a), image_bytes(image, int(a), 4)).kind for a in np.unique(addresses)}
    return np.array([known[int(a)] for a in addresses], np.str_)
