"""Cycle tables: what an instruction of a class costs on a core, who says so, and how sure that is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tinymlsec.errors import DeviceError
from tinymlsec.records import Record
from tinymlsec.target.device_facts import Words
from tinymlsec.target.toml_file import parse, read_text, validate

Cycles = Annotated[float, Field(ge=0, le=1000)]
"""Cycles of one instruction; halves stand for two instructions issued together."""

FOLDER = Path(__file__).with_name("cores")

KINDS = (
    "alu", "multiply", "multiply_accumulate", "multiply_long", "accumulate_long", "dsp", "divide", "load", "store",
    "store_register", "load_many", "store_many", "branch", "jump", "call", "table_branch", "it", "barrier", "system",
    "float", "float_accumulate", "float_divide",
)  # fmt: skip
"""Classes of instructions that every table prices."""


class Bounds(Record):
    """From `low` to `high` cycles; a plain number or a pair in the file."""

    low: Cycles
    """Fewest."""
    high: Cycles
    """Most."""

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        return self


def _bounds(value: Any) -> Any:
    """A plain number stands for both bounds, a list of two for the pair."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"low": value, "high": value}
    return {"low": value[0], "high": value[1]} if isinstance(value, list) and len(value) == 2 else value


Bounded = Annotated[Bounds, BeforeValidator(_bounds)]
_NOTHING = Bounds(low=0, high=0)


class Source(Record):
    """A document."""

    title: Words = Field(min_length=1)
    """Name, number and revision."""
    checked: bool = Field(strict=True)
    """Whether the rows were compared with a copy of it, rather than written from memory."""


class Row(Record):
    """Cost of one class of instructions, without branch refill and wait states."""

    cycles: Bounded
    """Of the instruction itself."""
    per_register: Bounded = _NOTHING
    """For each register that it loads or stores."""
    source: Words = Field(min_length=1)
    """Key of a source of the table."""
    confidence: Literal["A", "B", "C"]
    """A: read in the vendor's table; B: measured by others on silicon; C: from memory or by analogy, to be checked."""
    note: Words = ""
    """What the row leaves out."""
    operands: bool = Field(default=False, strict=True)
    """What it costs depends on the values it works on, or may: there timing tells about data on any path."""


class Rules(Record):
    """How neighbors change the cost of an instruction."""

    refill: Bounded
    """Cycles for refilling the pipeline after a branch that is taken or another write of the program counter."""
    refill_extra_return: Bounded = _NOTHING
    """On top of it where the program counter comes from memory."""
    pipelined: Bounded = _NOTHING
    """Cycles saved by a single load, or a store at a register offset, right after a single load that its address does
    not depend on."""
    pipelined_store: Bounded = _NOTHING
    """The same for a store at an immediate offset."""
    after_store: Bounded = _NOTHING
    """Cycles lost by a load right after a store."""
    address_stall: Bounded = _NOTHING
    """Cycles lost where an address was computed by the instruction right before."""
    load_use: Bounded = _NOTHING
    """Cycles lost where a value is used right after it was loaded."""
    literal: Bounded = _NOTHING
    """Cycles lost where a load relative to the program counter competes with instruction fetch."""
    skipped: Bounded = Bounds(low=1, high=1)
    """Cost of an instruction in an IT block whose condition fails."""
    source: Words = Field(min_length=1)
    """Key of a source of the table."""
    confidence: Literal["A", "B", "C"]
    """As in `Row`."""


class CycleTable(Record):
    """All that is known of a core's timing."""

    core: Words
    """Id of the core."""
    approximate: bool = Field(strict=True)
    """There is no table by the vendor: costs are by analogy or by other people's measurements."""
    validation: Words
    """How far figures from this table were compared with silicon; empty where they never were."""
    note: Words = ""
    """What the table as a whole leaves out."""
    sources: dict[Words, Source]
    """Documents by key."""
    rows: dict[Words, Row]
    """Costs by class."""
    rules: Rules
    """Effects of neighbors."""

    @model_validator(mode="after")
    def _complete(self) -> CycleTable:
        missing, unknown = set(KINDS) - set(self.rows), set(self.rows) - set(KINDS)
        if missing or unknown:
            raise ValueError(f"rows missing: {sorted(missing)}, rows unknown: {sorted(unknown)}")
        for key in [*(row.source for row in self.rows.values()), self.rules.source]:
            if key not in self.sources:
                raise ValueError(f"source {key!r} is not listed")
        return self


@cache
def cycle_table(core: str) -> CycleTable:
    """The table of one core.

    Raises:
        DeviceError: there is none, or it does not follow the schema.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if core not in known:
        raise DeviceError(f"no cycle table for the core {core!r}", expected=", ".join(known))
    path = FOLDER / f"{core}.toml"
    text = read_text(path, DeviceError, "reinstall tinymlsec")
    return validate(CycleTable, parse(text, path, DeviceError), path, text, DeviceError)
