"""Which kernels of a runtime guard themselves: a table per runtime version, as data.

A malformed model is dangerous only where the runtime does not check it, so a finding is relative to one runtime. The
tables lie in `runtimes/*.toml`, each row with its source and whether it was read in the kernel or seen to happen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import Field

from tinymlsec.errors import UsageError
from tinymlsec.records import Record

DEFAULT_RUNTIME = "tflm-2026-08"
_FOLDER = Path(__file__).with_name("runtimes")


class Guard(StrEnum):
    """What stands between a malformed file and damage."""

    OPEN = "open"
    """No check in a release build."""
    DCHECK = "dcheck"
    """Only an assertion that release builds leave out."""
    GUARD = "guard"
    """Checked: the runtime refuses the model or returns an error."""
    ABSENT = "absent"
    """The runtime has no such kernel."""
    UNKNOWN = "unknown"
    """Nobody looked."""


class Row(Record):
    """One condition: what happens when a file breaks it."""

    guard: Guard
    """As it was read in the kernel's source, or as it was seen to happen."""
    ops: tuple[str, ...] = ()
    """Operators it is about; empty for all."""
    where: str = ""
    """File and line in the runtime's source."""
    seen: str = ""
    """What the real runtime did with such a file (crash, silent, guarded), and its version; empty where not run."""
    note: str = ""
    unchecked: str = ""
    """Why no rule looks for it, where it is no condition of a file."""


class Runtime(Record):
    """A runtime version."""

    id: str
    title: str
    version: str
    source: str
    operators: frozenset[str] = frozenset()
    """Builtin operators that it has kernels of; empty where nobody listed them."""
    custom: frozenset[str] = frozenset()
    """Codes of the custom operators that come with it."""
    types: Mapping[str, frozenset[str]] = Field(default_factory=dict)
    """Types of data that kernels take, of float32, int8, uint8, int16, int32, int64 and bool, where they were asked."""
    max_rank: int = 8
    """Dimensions that its kernels have room for."""
    rows: Mapping[str, Row] = Field(default_factory=dict)
    """CVE id or rule id (``CVE-2021-29587``, ``OPT-07``) -> row. Where kernels of one row differ, one of them has a row
    with its name behind a blank: ``CVE-2021-37687 GATHER_ND``."""

    def row(self, *names: str, op: str = "") -> Row | None:
        """The first row that one of the names has, for one operator if it is given; rows that know come first.

        Rows that are about other operators are passed over.
        """
        keys = [key for each in names for key in ((f"{each} {op}", each) if op else (each,))]
        found = [self.rows[key] for key in keys if key in self.rows]
        about = [row for row in found if not op or not row.ops or op in row.ops]
        return next((row for row in about if row.guard is not Guard.UNKNOWN), about[0] if about else None)

    def lacks(self, op: str) -> bool:
        """Whether it is known to have no kernel of a builtin operator."""
        return bool(self.operators) and op not in self.operators


@cache
def list_runtimes() -> tuple[str, ...]:
    """Ids of the runtimes that there are tables of."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_runtime(runtime_id: str = DEFAULT_RUNTIME) -> Runtime:
    """The table of one runtime version.

    Raises:
        UsageError: there is no table of that id.
    """
    if runtime_id not in list_runtimes():
        raise UsageError(
            "there is no table of that runtime", found=runtime_id[:60], expected=", ".join(list_runtimes())
        )
    with (_FOLDER / f"{runtime_id}.toml").open("rb") as file:
        return Runtime.model_validate({"id": runtime_id, **tomllib.load(file)})
