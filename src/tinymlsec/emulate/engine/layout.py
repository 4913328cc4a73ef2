"""Where the results of a campaign lie in the memory that parent and worker share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tinymlsec.emulate.contract import RECORD

WIDE = frozenset(("value", "bus", "address", "pc"))
"""Columns of 32 bits; the others have 16."""
_ALIGN = 16


@dataclass(frozen=True)
class CampaignLayout:
    """Offsets in bytes, in the order: records of one run, per-run figures, addresses, outputs, columns."""

    runs: int
    points: int
    columns: tuple[str, ...]
    outputs: tuple[tuple[int, int], ...]
    """(address, bytes)"""
    records: int
    """Most records of one run."""

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> CampaignLayout:
        """The layout that a request names."""
        outputs = tuple((int(at), int(size)) for at, size in request["outputs"])
        return cls(request["runs"], request["points"], tuple(request["take"]), outputs, request["record_limit"])

    @cached_property
    def _offsets(self) -> tuple[int, ...]:
        sizes = [
            RECORD.itemsize * self.records, self.runs, 4 * self.runs, 8 * self.runs, 4 * self.points,
            *(self.runs * size for _, size in self.outputs),
            *(self.runs * self.points * self.width(name) for name in self.columns),
        ]  # fmt: skip
        offsets = [0]
        for size in sizes:
            offsets.append(-(-(offsets[-1] + size) // _ALIGN) * _ALIGN)
        return tuple(offsets)

    @staticmethod
    def width(name: str) -> int:
        """Bytes of one sample of a column."""
        return 4 if name in WIDE else 2

    @property
    def start(self) -> int:
        """First byte behind the records."""
        return self._offsets[1]

    @property
    def ends_at(self) -> int:
        """Reasons of the ends, one byte a run."""
        return self._offsets[1]

    @property
    def lengths_at(self) -> int:
        """Numbers of records."""
        return self._offsets[2]

    @property
    def instructions_at(self) -> int:
        """Numbers of instructions."""
        return self._offsets[3]

    @property
    def pcs_at(self) -> int:
        """Addresses of the points in the first run."""
        return self._offsets[4]

    @property
    def output_at(self) -> tuple[int, ...]:
        """Outputs, one array each."""
        return self._offsets[5 : 5 + len(self.outputs)]

    @property
    def column_at(self) -> tuple[int, ...]:
        """Columns, one array each."""
        first = 5 + len(self.outputs)
        return self._offsets[first : first + len(self.columns)]

    @property
    def end(self) -> int:
        """First byte behind everything."""
        return self._offsets[-1]
