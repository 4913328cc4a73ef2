"""The target description: a TOML file that tells how to run an inference on a user's own ELF.

core = "cortex-m4"
boot = { until = "main_loop" }
inference = { function = "Model::run", arguments = ["input", "output"] }
input = { at = "g_input", bytes = 64 }
output = { at = "g_output", bytes = 10 }
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from tinymlsec.emulate.foreign.description_sections import (
    MAX_ENTRIES,
    Boot,
    Inference,
    Memory,
    Peripheral,
    Stub,
    SysTick,
    Tensor,
    Uart,
)
from tinymlsec.errors import InputError
from tinymlsec.records import Record
from tinymlsec.target.toml_file import parse, read_text, validate

NEXT_STEP = "`tinymlsec doctor --firmware ELF` prints a description to start from (docs/firmware/bring-your-own.md)"


class DescriptionError(InputError):
    """A target description that does not follow the schema, or does not fit the ELF."""


class Description(Record):
    """How to run an inference on somebody's firmware."""

    core: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    """Core such as "cortex-m4"; or give `device`."""
    device: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Device such as "stm32l4r5zi", for its core and memory map."""
    boot: Boot
    """How the firmware gets ready."""
    inference: Inference
    """What runs the model."""
    input: Tensor
    """Where the input is written."""
    output: Tensor
    """Where the output is read."""
    stub: Annotated[tuple[Stub, ...], Field(max_length=MAX_ENTRIES)] = ()
    """Functions that are not run."""
    uart: Annotated[tuple[Uart, ...], Field(max_length=MAX_ENTRIES)] = ()
    """Where text is collected."""
    semihosting: bool = False
    """Whether BKPT 0xAB (on RISC-V its EBREAK sequence) writes text and ends the program, as under a debugger."""
    systick: SysTick | None = None
    """A clock."""
    peripheral: Annotated[tuple[Peripheral, ...], Field(max_length=MAX_ENTRIES)] = ()
    """Registers that the firmware reads and writes."""
    memory: Annotated[tuple[Memory, ...], Field(max_length=MAX_ENTRIES)] = ()
    """Memories; left out, those of the device or of the core's default map."""

    @model_validator(mode="after")
    def _complete(self) -> Description:
        if (self.core is None) == (self.device is None):
            raise ValueError("either `core` or `device`")
        if self.inference.function is None and (self.boot.start == "none" or self.boot.init is not None):
            raise ValueError("`inference.function`, since no start-up ends where the inference could go on")
        for role, tensor in (("input", self.input), ("output", self.output)):
            if tensor.at is None and role not in self.inference.arguments:
                raise ValueError(f'{role} with `at`, or "{role}" among inference.arguments')
        return self


def read_description(path: str | Path) -> Description:
    """Reads a target description.

    Raises:
        DescriptionError: it cannot be read, is not TOML, or has an unknown key or a wrong value; the message names
            file, line, key and what was expected.
    """
    path = Path(path)
    text = read_text(path, DescriptionError, NEXT_STEP)
    return validate(Description, parse(text, path, DescriptionError), path, text, DescriptionError)


def description_of(data: Mapping[str, Any], where: str = "description") -> Description:
    """A description from data that is already parsed.

    Raises:
        DescriptionError: as `read_description`.
    """
    return validate(Description, dict(data), Path(where), "", DescriptionError)
