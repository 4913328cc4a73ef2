"""The schema of a device file: what is known about a chip or board, in whose words, and how surely."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tinymlsec.records import Record

Answer = Literal["yes", "no", "optional", "unknown"]
Mark = Literal["A", "S", "B", "C", "A/S", "B/S"]
DeviceClass = Literal["IoT", "EdgeML", "TinyML"]
DeviceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
Words = Annotated[str, StringConstraints(strict=True, max_length=400)]
Size = Annotated[int, Field(strict=True, ge=0, le=2**50)]
Megahertz = Annotated[float, Field(strict=True, gt=0, le=1e5)]


class Origin(Record):
    """Where values come from, and how sure they are."""

    confidence: Mark
    """A: read in a machine-readable target description; S: secondary survey; B: widely quoted, not checked against the
    datasheet; C: to be checked, and therefore not used in scoring."""
    source: Words = Field(min_length=1)
    """Who says so."""


class Sourced(Record):
    """A value with its origin. What a file does not say here, it says once for the group under ``provenance``."""

    confidence: Mark | None = None
    """As in `Origin`; None only where nothing is known."""
    source: Words = ""
    """Who says so; empty only where nothing is known."""
    note: Words = ""
    """The words of the source, kept where the value alone says less than they do."""

    @model_validator(mode="after")
    def _whole_origin(self) -> Sourced:
        if (self.confidence is None) != (not self.source):
            raise ValueError("confidence and source together, or neither")
        return self


class Range(Record):
    """A quantity that the source gives as alternatives or as a range; a plain number is a range of one."""

    min: float = Field(strict=True, gt=0, le=2**50)
    """Smallest."""
    max: float = Field(strict=True, gt=0, le=2**50)
    """Largest."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.min > self.max:
            raise ValueError(f"min = {self.min:g} is above max = {self.max:g}")
        return self


def _range(value: Any) -> Any:
    """A plain number stands for a range of one."""
    return {"min": value, "max": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Quantity = Annotated[Range, BeforeValidator(_range)]


class Core(Sourced):
    """A processor or accelerator."""

    name: Words
    """Such as ``Cortex-M4F``."""
    isa: Words = ""
    """Instruction set, such as ``Armv7E-M``; empty for accelerators."""
    kind: Literal["cpu", "dsp", "npu", "gpu", "fpga", "network"] = "cpu"
    """What it is for."""
    count: int = Field(default=1, strict=True, ge=1, le=100_000)
    """How many of them."""
    mhz: Quantity | None = None
    """Clock in megahertz; absent where the source gives none for this core."""


class Memory(Sourced):
    """A memory, on the chip or beside it."""

    name: Words
    """Such as ``DTCM``."""
    kind: Literal[
        "sram", "tcm", "weights", "psram", "dram", "flash", "mram", "rram", "nvm", "emmc", "sd"
    ]  # fmt: skip
    """sram, tcm (tightly coupled), weights (an accelerator's own), psram and dram forget; the others keep."""
    external: bool = Field(default=False, strict=True)
    """Whether it lies outside of the chip, where its wires can be probed."""
    bytes: Quantity | None = None
    """Size in bytes; absent where the source gives none."""
    wait_states: int | None = Field(default=None, strict=True, ge=0, le=1000)
    """Wait states at the highest clock; absent where no source is known."""

    @property
    def volatile(self) -> bool:
        """Whether it forgets without power."""
        return self.kind in ("sram", "tcm", "weights", "psram", "dram")


class Feature(Sourced):
    """One security feature. `optional`: it depends on variant, fuse or software, or covers only a part."""

    value: Answer = "unknown"
    """yes, no, optional or unknown."""

    @model_validator(mode="after")
    def _known_has_origin(self) -> Feature:
        if self.value != "unknown" and self.confidence is None:
            raise ValueError("confidence and source for a value that is known")
        return self


def _feature(value: Any) -> Any:
    """A plain word stands for a feature of which nothing else is to be said."""
    return {"value": value} if isinstance(value, str) else value


Fact = Annotated[Feature, BeforeValidator(_feature), Field(default_factory=Feature)]


class Features(Record):
    """What the hardware offers. Whether a product uses it is a fact of the deployment, not of the device."""

    mpu: Fact
    """Memory protection unit, or another unit that guards regions (PMP, PMS)."""
    mmu: Fact
    """Memory management unit with virtual memory."""
    trustzone_m: Fact
    """TrustZone of Armv8-M microcontrollers."""
    trustzone_a: Fact
    """TrustZone of Arm application processors."""
    tee_other: Fact
    """Another hardware-separated world (RISC-V TEE mode, security subsystem)."""
    secure_boot: Fact
    """The chip's ROM checks a signature; optional where that takes software or a variant of the part."""
    readout_protection: Fact
    """Internal memory or the debug port can be locked."""
    trng: Fact
    """True random number generator."""
    crypto_accelerator: Fact
    """Hardware for ciphers; optional where it only hashes."""
    puf: Fact
    """Physically unclonable function for device-unique keys."""
    tamper_detection: Fact
    """Tamper pins or sensors."""
    glitch_detection: Fact
    """Detectors for voltage, clock or electromagnetic glitches."""
    side_channel_hardened: Fact
    """Cipher hardware protected against power and EM analysis."""
    flash_encryption: Fact
    """Stored code and data can be decrypted on the fly; optional where it is software, boot only, or scrambling."""
    ecc: Fact
    """Error-correcting memory; the note tells flash from RAM, and parity alone is no."""
    external_flash: Fact
    """Code and model lie in a memory beside the chip."""


class Bypass(Record):
    """A published way around a protection of this part."""

    what: Words
    """What was shown, with its CVE where there is one."""
    defeats: tuple[Words, ...] = ()
    """Names of the features it defeats; empty where the source does not say."""
    confidence: Mark
    """How sure, as in `Origin`."""
    source: Words
    """Who showed it."""

    @model_validator(mode="after")
    def _known_features(self) -> Bypass:
        for name in self.defeats:
            if name not in Features.model_fields:
                raise ValueError(f"defeats names {name!r}, which is none of {', '.join(Features.model_fields)}")
        return self


class PowerFigure(Origin):
    """Power of the chip in one state; never without a source."""

    state: Words
    """Such as ``active, from flash``."""
    mhz: Megahertz | None = None
    """Clock at which it was measured, in megahertz."""
    milliwatts: Megahertz
    """Power in milliwatts."""


class Provenance(Record):
    """Confidence and source for all values of a group that do not name their own."""

    cores: Origin
    """Of cores and clocks."""
    memories: Origin
    """Of memories and their sizes."""
    features: Origin
    """Of security features."""
