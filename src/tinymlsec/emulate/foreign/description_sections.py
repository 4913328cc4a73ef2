"""The tables of a target description: how a user's own firmware is started, asked and kept from waiting for hardware.

Unknown keys are errors and every number is bounded: the file may come from a stranger together with the ELF.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tinymlsec.records import Record

MAX_BUFFER_BYTES = 4 << 20
"""Largest input or output; no microcontroller has such a RAM."""
MAX_REGION_BYTES = 64 << 20
MAX_PERIPHERAL_BYTES = 1 << 30
MAX_ENTRIES = 64
"""Most stubs, sinks or regions of one description."""

_PLACE = re.compile(r"^(?P<name>[A-Za-z_.$(][\w.$:~() ]{0,499})(?:\+(?P<offset>0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9}))?$")
_NUMBER = re.compile(r"^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")


def _place(value: object) -> object:
    """A number written as text becomes a number, so that "0x20000000" and 0x20000000 mean the same."""
    if isinstance(value, bool):
        raise ValueError("a symbol, a symbol with +offset, or an address")
    if isinstance(value, str) and _NUMBER.match(value):
        return int(value, 0)
    return value


def _is_place(value: int | str) -> int | str:
    if isinstance(value, str) and not _PLACE.match(value):
        raise ValueError("a symbol, a symbol with +offset, or an address")
    if isinstance(value, int) and not 0 <= value < 1 << 32:
        raise ValueError("an address below 0x100000000")
    return value


Place = Annotated[int | str, BeforeValidator(_place), AfterValidator(_is_place)]
"""A symbol such as ``g_input``, ``Model::run`` or ``g_frame+0x10``, or an address."""

Word = Annotated[int, Field(ge=0, lt=1 << 32)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_. -]{1,64}$")]


def split_place(text: str) -> tuple[str, int]:
    """Name and offset of a place that is not a plain address."""
    match = _PLACE.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no place")
    return match["name"], int(match["offset"] or "0", 0)


class Boot(Record):
    """How the firmware gets ready for its first inference."""

    start: Literal["vector_table", "entry", "none"] = "vector_table"
    """Where execution begins: the reset vector, the ELF's entry, or nowhere (only `init` is called)."""
    until: Place | None = None
    """Where start-up is over, such as the first function of the main loop. Needed unless start is "none"."""
    init: Place | None = None
    """A function without arguments that is called after start-up, or instead of it."""
    stack: Place | None = None
    """Top of the stack for start = "none"; left out, the first word of the vector table or the end of RAM."""
    instructions: Annotated[int, Field(ge=1, le=2_000_000_000)] = 50_000_000
    """Most instructions that start-up may take."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Boot:
        if self.start != "none" and self.until is None:
            raise ValueError('`until`, the place where start-up is over (or start = "none")')
        if self.start == "none" and self.until is not None:
            raise ValueError('no `until` with start = "none"')
        return self


Argument = Annotated[int | str, BeforeValidator(_place), AfterValidator(_is_place)]


class Inference(Record):
    """What runs the model once: a function that is called, or the way on from where start-up ended."""

    function: Place | None = None
    """Symbol or address of a function; left out, the firmware goes on from `boot.until` with all its registers."""
    arguments: Annotated[tuple[Argument, ...], Field(max_length=8)] = ()
    """What goes into the argument registers: "input", "output", "input_bytes", "output_bytes", a number, or a place
    whose address is passed (such as the object a C++ member function works on). Empty: buffers are global."""
    returns: Word | None = None
    """Value that the function returns when all is well; left out, it is not checked."""
    until: Place | None = None
    """Without `function`: where the inference is over."""
    hit: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How many times `until` is reached by then."""
    instructions: Annotated[int, Field(ge=1, le=4_000_000_000)] = 500_000_000
    """Most instructions of one inference."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Inference:
        if (self.function is None) == (self.until is None):
            raise ValueError("either `function` or `until`")
        if self.function is None and (self.arguments or self.returns is not None):
            raise ValueError("no `arguments` and no `returns` without `function`")
        return self


class Tensor(Record):
    """Where the input or output lies."""

    at: Place | None = None
    """Symbol or address; left out, a free part of RAM is used (then the function must take a pointer)."""
    bytes: Annotated[int, Field(ge=1, le=MAX_BUFFER_BYTES)]
    """Size in bytes."""
    type: Literal["int8", "uint8", "int16", "int32", "float32"] = "int8"
    """Type of one element."""
    pointer: bool = False
    """Whether `at` holds the address of the buffer instead of being the buffer, as in TfLiteTensor."""

    @model_validator(mode="after")
    def _whole_elements(self) -> Tensor:
        width = {"int8": 1, "uint8": 1, "int16": 2, "int32": 4, "float32": 4}[self.type]
        if self.bytes % width:
            raise ValueError(f"a multiple of {width} bytes, as {self.type} needs, not {self.bytes}")
        if self.pointer and self.at is None:
            raise ValueError("`at`, since pointer = true")
        return self


class Stub(Record):
    """A function that is not run: it returns a value at once."""

    function: Place
    """Symbol or address."""
    returns: Word = 0
    """What it returns."""


class Uart(Record):
    """Where text leaves the device; it is collected."""

    name: Name = "uart"
    """What to call it."""
    function: Place | None = None
    """A function that sends, which is not run: takes a character, a text that ends with a zero, or a buffer and its
    length."""
    takes: Literal["char", "text", "buffer"] = "char"
    """What the function takes."""
    argument: Annotated[int, Field(ge=0, le=2)] = 0
    """Number of the argument that holds it, from 0; for a buffer the length is in the next one."""
    returns: Word = 0
    """What the function returns."""
    register_at: Word | None = Field(default=None, alias="register")
    """Address of a data register; every write to it is collected."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Uart:
        if (self.function is None) == (self.register_at is None):
            raise ValueError("either `function` or `register`")
        return self


class SysTick(Record):
    """A clock for firmware that waits for time to pass."""

    every: Annotated[int, Field(ge=100, le=1_000_000_000)]
    """Instructions from one tick to the next."""
    handler: Place | None = None
    """The interrupt handler, called between two instructions with all registers kept."""
    counter: Place | None = None
    """A 32-bit word that is incremented instead."""
    always: bool = False
    """Whether the handler of the core's own SysTick is called before the firmware has switched that timer on, too."""

    @model_validator(mode="after")
    def _one_of_them(self) -> SysTick:
        if (self.handler is None) == (self.counter is None):
            raise ValueError("either `handler` or `counter`")
        return self


class Register(Record):
    """One word of a peripheral that reads as something else than the rest."""

    offset: Annotated[int, Field(ge=0, lt=MAX_PERIPHERAL_BYTES, multiple_of=4)]
    """Offset from the peripheral's address in bytes."""
    reads: Word
    """Value of a read."""


class Peripheral(Record):
    """Registers of hardware, by what they read as."""

    name: Name
    """What to call it."""
    address: Word
    """First byte; a multiple of 4096."""
    size: Annotated[int, Field(ge=4096, le=MAX_PERIPHERAL_BYTES, multiple_of=4096)] = 4096
    """Bytes."""
    reads: Word | Literal["written", "either"] = 0
    """What a word reads as that `register` does not name: a value; "written": what was written last, 0 at first;
    "either": when it is read again and again, 0, all ones, alternating bits, what was written last and a growing number
    in turn, which ends most waits."""
    register_values: Annotated[tuple[Register, ...], Field(max_length=MAX_ENTRIES)] = Field(
        default=(), alias="register"
    )
    """Words with values of their own."""

    @model_validator(mode="after")
    def _inside(self) -> Peripheral:
        if self.address % 4096 or self.address + self.size > 1 << 32:
            raise ValueError("a region that starts at a multiple of 4096 and ends below 0x100000000")
        if any(register.offset >= self.size for register in self.register_values):
            raise ValueError("registers inside of the region")
        return self


class Memory(Record):
    """A memory of the device, where the built-in map does not fit."""

    name: Name
    """What to call it."""
    address: Word
    """First byte."""
    size: Annotated[int, Field(ge=4, le=MAX_REGION_BYTES)]
    """Bytes."""
    access: Annotated[str, Field(pattern=r"^r?w?x?$", min_length=1)] = "rw"
    """Any of r, w and x."""
