"""Devices are data: one TOML file each, ours in `devices/`, a user's wherever they like.

device = load_device("stm32l4r5zi")
device.fact("ecc")        # "yes", "no", "optional" or "unknown": what scoring may use
device.declared("ecc")    # the same with the source's words and how sure we are
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from tinymlsec.errors import DeviceError
from tinymlsec.records import Record
from tinymlsec.target.device_facts import (
    Answer,
    Bypass,
    Core,
    DeviceClass,
    DeviceId,
    Feature,
    Features,
    Memory,
    PowerFigure,
    Provenance,
    Words,
)
from tinymlsec.target.toml_file import parse, read_text, validate

FEATURE_NAMES: tuple[str, ...] = tuple(Features.model_fields)
"""Names that `Device.fact` and the filters take."""


class Device(Record):
    """What is known about a chip or board. Files say `class`, which Python reserves; dumps say `class_`."""

    model_config = ConfigDict(populate_by_name=True)

    id: DeviceId
    """Name on the command line, and of the file."""
    name: Words
    """The part, and in brackets a board that carries it."""
    class_: DeviceClass = Field(alias="class")
    """How the part is usually used; `tinymlsec.threat.taxonomy` decides for a given use from the facts."""
    note: Words = ""
    """Remarks of the source on the device as a whole."""
    provenance: Provenance
    """Confidence and source of each group of values."""
    cores: tuple[Core, ...] = Field(min_length=1, max_length=32)
    """Processors and accelerators, the main one first."""
    memories: tuple[Memory, ...] = Field(min_length=1, max_length=64)
    """Memories on the chip and beside it."""
    companions: tuple[Words, ...] = Field(default=(), max_length=16)
    """Accelerators that some boards put beside the chip."""
    features: Features
    """Security features of the hardware."""
    known_bypasses: tuple[Bypass, ...] = Field(default=(), max_length=64)
    """Published ways around these features."""
    power: tuple[PowerFigure, ...] = Field(default=(), max_length=64)
    """Power figures, each with a source."""

    @model_validator(mode="before")
    @classmethod
    def _inherit_provenance(cls, data: Any) -> Any:
        """Gives every value that names no confidence and source of its own those of its group."""
        if not isinstance(data, dict) or not isinstance(data.get("provenance"), dict):
            return data
        common = data["provenance"]
        return data | {
            group: _with_defaults(data[group], common[group])
            for group in ("cores", "memories", "features")
            if group in data and isinstance(common.get(group), dict)
        }

    def declared(self, name: str) -> Feature:
        """A feature as the file has it: value, words, confidence, source.

        Raises:
            DeviceError: there is no feature of that name.
        """
        feature: Feature = getattr(self.features, _known_feature(name))
        return feature

    def fact(self, name: str) -> Answer:
        """A feature as scoring may use it: what is only marked C ("to be checked") counts as unknown."""
        feature = self.declared(name)
        return "unknown" if feature.confidence in (None, "C") else feature.value

    def bypasses(self, name: str) -> tuple[Bypass, ...]:
        """The published ways around one feature that are surer than C."""
        _known_feature(name)
        return tuple(way for way in self.known_bypasses if name in way.defeats and way.confidence != "C")

    def describe_cores(self) -> str:
        """The cores in one line, such as ``Cortex-M7F 480 MHz, Cortex-M4F 240 MHz``."""
        return ", ".join(_core_text(core) for core in self.cores)

    @property
    def ram_bytes(self) -> tuple[int, int] | None:
        """Smallest and largest RAM in bytes, summed over the memories of known size; None where there is none."""
        return _total(memory for memory in self.memories if memory.volatile)

    @property
    def flash_bytes(self) -> tuple[int, int] | None:
        """Smallest and largest lasting memory in bytes, as `ram_bytes`; external memory included."""
        return _total(memory for memory in self.memories if not memory.volatile)


def _with_defaults(values: Any, common: dict[str, Any]) -> Any:
    """The values of a group, each completed with the group's confidence and source.

    A value that names a confidence of its own keeps its own source, too: half a provenance would be a false one.
    """

    def complete(value: Any) -> Any:
        value = {"value": value} if isinstance(value, str) else value
        return {**common, **value} if isinstance(value, dict) and "confidence" not in value else value

    if isinstance(values, dict):
        return {name: complete(value) for name, value in values.items()}
    return [complete(value) for value in values] if isinstance(values, list) else values


def _core_text(core: Core) -> str:
    name = f"{core.count} x {core.name}" if core.count > 1 else core.name
    if core.mhz is None:
        return name
    low, high = f"{core.mhz.min:g}", f"{core.mhz.max:g}"
    return f"{name} {low} MHz" if low == high else f"{name} {low} to {high} MHz"


def _known_feature(name: str) -> str:
    if name not in FEATURE_NAMES:
        close = difflib.get_close_matches(name, FEATURE_NAMES, n=1)
        raise DeviceError(
            f"no device feature is called {name!r}",
            expected=", ".join(FEATURE_NAMES),
            next_step=f"did you mean {close[0]!r}?" if close else None,
        )
    return name


def _total(memories: Iterable[Memory]) -> tuple[int, int] | None:
    sizes = [memory.bytes for memory in memories if memory.bytes is not None]
    return (int(sum(size.min for size in sizes)), int(sum(size.max for size in sizes))) if sizes else None


def read_device(path: Path) -> Device:
    """One device file.

    Raises:
        DeviceError: it cannot be read or does not follow the schema; the message names file, line, key, what was
            found and what was expected.
    """
    text = read_text(path, DeviceError, "see docs/devices.md for the schema")
    return validate(Device, parse(text, path, DeviceError), path, text, DeviceError)
