"""What `measure` hands over: cycles as ranges, memory in bytes, and everything a reader must know to judge them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tinymlsec.emulate.contract import Fidelity
from tinymlsec.records import Digest, Record

MEASUREMENT_VERSION = "1.0"
"""Of the records below in JSON."""


class Range(Record):
    """From `low` to `high`."""

    low: float = Field(ge=0)
    """Smallest."""
    high: float = Field(ge=0)
    """Largest."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        return self


class Cost(Record):
    """Work of one part of the firmware, over all inputs that were run."""

    instructions: Range
    """Fewest and most over the inputs; no uncertainty of the model in it."""
    zero_wait: Range
    """Cycles at zero wait states: cheap branches and the cheapest input, dear branches and the dearest."""
    flash_reads: Range | None = None
    """Lines read from the flash array; None where the flash is not modeled."""
    cycles: Range
    """Lower bound of `zero_wait`; its upper bound plus the wait states of all flash reads."""


class LayerCost(Record):
    """One operator of the model, all functions that it calls included."""

    index: int = Field(ge=0)
    """Number in the model file."""
    op: str
    """Name of the operator."""
    symbol: str
    """Function in the firmware."""
    cost: Cost
    """What one inference spends in it."""


class FunctionCost(Record):
    """One function of the firmware by itself, without what it calls."""

    name: str
    """Symbol, or the address where there is none."""
    cost: Cost
    """What one inference spends in it."""


class FlashUse(Record):
    """Bytes in flash."""

    code: int = Field(ge=0)
    """Functions, with the literals among their instructions."""
    weights: int = Field(ge=0)
    """Constant tables of the model: weights, biases, multipliers."""
    constants: int = Field(ge=0)
    """Other constants, tables of vectors, and padding."""
    initial: int = Field(ge=0)
    """First values of variables."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.code + self.weights + self.constants + self.initial


class RamUse(Record):
    """Bytes in RAM."""

    arena: int = Field(ge=0)
    """Activations."""
    variables: int = Field(ge=0)
    """Everything else in .data and .bss: buffers, state of the model."""
    stack: int = Field(ge=0)
    """Deepest stack that was seen."""
    stack_reserved: int = Field(ge=0)
    """What the linker script sets aside for the stack."""

    @property
    def total(self) -> int:
        """What was used: the stack as deep as it was seen, not as it is reserved."""
        return self.arena + self.variables + self.stack


class MemoryUse(Record):
    """What the firmware takes, and what the device has."""

    flash: FlashUse
    """Bytes in flash."""
    ram: RamUse
    """Bytes in RAM."""
    flash_bytes: int = Field(ge=0)
    """Flash of the device that the firmware is linked into."""
    ram_bytes: int = Field(ge=0)
    """RAM of the device that the firmware is linked into."""
    arena_bound: int = Field(ge=0)
    """Bytes alive at the busiest operator: what no arena without shared memory undercuts."""
    source: str
    """Where the memory map comes from."""


class Inputs(Record):
    """What the firmware was fed."""

    count: int = Field(ge=1)
    """How many."""
    source: str
    """Random codes of a seed, or a file."""
    exact: int | None = None
    """How many gave the same output bytes as the reference runtime; None where it was not asked."""
    close: int | None = None
    """The same, with real numbers that differ by at most `measure_reference.TOLERANCE` of the largest."""

    @property
    def wrong(self) -> int:
        """How many gave something else than the runtime: their figures are not to be trusted."""
        return 0 if self.close is None else self.count - self.close


class Binary(Record):
    """The build that figures belong to. Another build of the same model has other cycles."""

    style: str
    """Inner loops: plain, unrolled or dsp."""
    compiler: str
    """Name and version."""
    flags: tuple[str, ...]
    """What it was told."""
    digest: Digest
    """SHA-256 of the ELF."""


class FlashModel(Record):
    """How wait states were modeled."""

    wait_states: int
    """At the clock."""
    line_bytes: int
    """Of one read of the array."""
    code_lines: int
    """Kept for instructions."""
    data_lines: int
    """Kept for data."""
    source: str
    """Who says so."""
    confidence: str
    """A, B or C."""
    note: str
    """What is not modeled."""


class Measurement(Record):
    """One model on one device."""

    version: str = MEASUREMENT_VERSION
    """Of this record."""
    model: str
    """Name of the file."""
    model_digest: Digest
    """SHA-256 of the file."""
    device: str
    """Id."""
    device_name: str
    """In full."""
    core: str
    """Id of the core that was built for and emulated."""
    fidelity: Fidelity
    """How far that core stands for the device's."""
    fidelity_reason: str
    """Why."""
    binary: Binary
    """What was run."""
    inputs: Inputs
    """On what."""
    total: Cost
    """One inference."""
    layers: tuple[LayerCost, ...]
    """By operator, in the order of execution."""
    functions: tuple[FunctionCost, ...]
    """By function, the dearest first."""
    memory: MemoryUse
    """Flash and RAM."""
    mhz: float | None = None
    """Clock; None where the device file has none."""
    milliseconds: Range | None = None
    """One inference at that clock."""
    microjoules: Range | None = None
    """One inference; only from a sourced power figure."""
    energy_note: str
    """The figure's state and source, or why no energy is printed."""
    flash_model: FlashModel | None = None
    """None: the flash term is not modeled."""
    cycle_table: Literal["vendor", "approximate"]
    """Whether costs come from the core vendor's table."""
    validation: str
    """How far figures were compared with silicon; "not validated on silicon" where they never were."""
    notes: tuple[str, ...] = ()
    """What a reader must know besides."""
