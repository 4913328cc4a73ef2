"""What stands in for the hardware around a core, as plain data that goes to the emulator's worker process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StubbedFunction:
    """A function that returns at once."""

    address: int
    value: int


@dataclass(frozen=True)
class SinkFunction:
    """A function whose text is collected, and which returns at once."""

    name: str
    address: int
    takes: Literal["char", "buffer", "text"]
    argument: int
    value: int


@dataclass(frozen=True)
class SinkRegister:
    """A register whose writes are collected."""

    name: str
    address: int


@dataclass(frozen=True)
class RegisterBlock:
    """Registers of a peripheral."""

    name: str
    address: int
    size: int
    reads: int | Literal["written", "either", "system"]
    """A value, or how it is made up; system: the registers of a Cortex-M itself."""
    values: tuple[tuple[int, int], ...] = ()
    """(offset, value) of words with a value of their own."""


@dataclass(frozen=True)
class Clock:
    """Something that happens every so many instructions."""

    every: int
    handler: int | None = None
    counter: int | None = None
    gate: tuple[int, int] | None = None
    """Control register and bits: it ticks only while all of them are set, as firmware last wrote that register."""


@dataclass(frozen=True)
class Hardware:
    """All of it."""

    stubs: tuple[StubbedFunction, ...] = ()
    sinks: tuple[SinkFunction, ...] = ()
    registers: tuple[SinkRegister, ...] = ()
    blocks: tuple[RegisterBlock, ...] = ()
    clock: Clock | None = None
    semihosting: bool = False
    listens: bool = False
    """Collect what looks like text from every register, by its address."""
