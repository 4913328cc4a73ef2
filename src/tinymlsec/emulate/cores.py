"""The cores that firmware is built for and emulated on, and which of them stands for a device.

A device's main processor decides. Where no engine runs its instruction set there is no core, and the reason is what
firmware attacks are skipped with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tinymlsec.emulate.contract import Core, Fidelity
from tinymlsec.target.device import Device
from tinymlsec.target.device_facts import Core as DeviceCore

_ARM = "thumb-freestanding-eabi"
_ARM_HARD = "thumb-freestanding-eabihf"
_THUMB = ("-mthumb", "-mfloat-abi=soft")
_THUMB_HARD = ("-mthumb", "-mfloat-abi=hard")

# zig's Cortex-M4, M7 and M33 are those without options: units that most chips have are added by name.
_ALL = (
    Core(
        id="cortex-m0plus",
        title="Cortex-M0+",
        machine="arm",
        zig_target=_ARM,
        zig_cpu="cortex_m0plus",
        gcc_flags=("-mcpu=cortex-m0plus", *_THUMB),
        unicorn_cpu="UC_CPU_ARM_CORTEX_M0",
        divides=False,
        unaligned=False,
    ),
    Core(
        id="cortex-m3",
        title="Cortex-M3",
        machine="arm",
        zig_target=_ARM,
        zig_cpu="cortex_m3",
        gcc_flags=("-mcpu=cortex-m3", *_THUMB),
        unicorn_cpu="UC_CPU_ARM_CORTEX_M3",
    ),
    Core(
        id="cortex-m4",
        title="Cortex-M4",
        machine="arm",
        zig_target=_ARM,
        zig_cpu="cortex_m4",
        gcc_flags=("-mcpu=cortex-m4", *_THUMB),
        unicorn_cpu="UC_CPU_ARM_CORTEX_M4",
        dsp=True,
    ),
    Core(
        id="cortex-m4f",
        title="Cortex-M4F",
        machine="arm",
        zig_target=_ARM_HARD,
        zig_cpu="cortex_m4+vfp4d16sp",
        gcc_flags=("-mcpu=cortex-m4", *_THUMB_HARD, "-mfpu=fpv4-sp-d16"),
        unicorn_cpu="UC_CPU_ARM_CORTEX_M4",
        dsp=True,
        hard_float=True,
    ),
    # Some M7 and M33 have a unit for double precision or none at all; single precision is what they share most.
    Core(
        id="cortex-m7",
        title="Cortex-M7",
        machine="arm",
        zig_target=_ARM_HARD,
        zig_cpu="cortex_m7+fp_armv8d16sp-fp64",
        gcc_flags=("-mcpu=cortex-m7", *_THUMB_HARD, "-mfpu=fpv5-sp-d16"),
        unicorn_cpu="UC_CPU_ARM_CORTEX_M7",
        dsp=True,
        hard_float=True,
    ),
    Core(
        id="cortex-m33",
        title="Cortex-M33",
        machine="arm",
        zig_target=_ARM_HARD,
        zig_cpu="cortex_m33+dsp+fp_armv8d16sp",
        gcc_flags=("-mcpu=cortex-m33", *_THUMB_HARD, "-mfpu=fpv5-sp-d16"),
        unicorn_cpu="UC_CPU_ARM_CORTEX_M33",
        dsp=True,
        hard_float=True,
    ),
    Core(
        id="rv32imc",
        title="RV32IMC",
        machine="riscv32",
        zig_target="riscv32-freestanding-none",
        zig_cpu="generic_rv32+m+c",
        gcc_flags=(),
        unicorn_cpu="UC_CPU_RISCV32_ANY",
        unaligned=False,  # the specification leaves it to the chip
    ),
)

CORES: dict[str, Core] = {core.id: core for core in _ALL}
"""All cores by id."""


@dataclass(frozen=True)
class CoreChoice:
    """The core that stands for a device."""

    core: Core | None
    """None where `fidelity` is none."""
    fidelity: Fidelity
    reason: str
    """What is the same and what is not, or why there is no engine."""


_M0 = ("cortex-m0plus", Fidelity.NATIVE, "the same instruction set, Armv6-M; cycles are those of the Cortex-M0+")
_M23 = "built for Armv6-M, which Armv8-M Baseline contains: its divide, wide moves and compare-and-branch are not used"
_HELIUM = "built for the instruction set of the Cortex-M33: Armv8.1-M's vector extension (Helium) is not used"

_BY_NAME: dict[str, tuple[str, Fidelity, str]] = {
    "M0": _M0,
    "M0+": ("cortex-m0plus", Fidelity.NATIVE, "its own core"),
    "M3": ("cortex-m3", Fidelity.NATIVE, "its own core"),
    "M4": ("cortex-m4", Fidelity.NATIVE, "its own core"),
    "M4F": ("cortex-m4f", Fidelity.NATIVE, "its own core"),
    "M7": ("cortex-m7", Fidelity.NATIVE, "its own core"),
    "M33": ("cortex-m33", Fidelity.NATIVE, "its own core"),
    "M23": ("cortex-m0plus", Fidelity.APPROXIMATED, _M23),
    "M52": ("cortex-m33", Fidelity.APPROXIMATED, _HELIUM),
    "M55": ("cortex-m33", Fidelity.APPROXIMATED, _HELIUM),
    "M85": ("cortex-m33", Fidelity.APPROXIMATED, _HELIUM),
}
"""Cortex-M cores by the part of their name after "Cortex-"; the F of a floating-point unit matters to the M4 only."""

_BY_ISA: dict[str, tuple[str, str]] = {
    "ARMV6-M": ("cortex-m0plus", "built for the Cortex-M0+, a core of the same architecture"),
    "ARMV7-M": ("cortex-m3", "built for the Cortex-M3, a core of the same architecture"),
    "ARMV7E-M": ("cortex-m4", "built for the Cortex-M4 without floating-point unit, a core of the same architecture"),
    "ARMV8-M BASELINE": ("cortex-m0plus", _M23),
    "ARMV8-M MAINLINE": ("cortex-m33", "built for the Cortex-M33, a core of the same architecture"),
    "ARMV8.1-M": ("cortex-m33", _HELIUM),
}
"""Cores of other names, by instruction set; always approximated."""

_NO_ENGINE: tuple[tuple[str, str], ...] = (
    (r"xtensa", "Xtensa: the emulator does not run it"),
    (r"avr", "AVR: the emulator does not run it"),
    (r"arc(v\d)?\b", "ARC: the emulator does not run it"),
    (r"mips", "a MIPS processor: runs an operating system, not bare-metal firmware"),
    (r"rv64", "firmware is generated for 32-bit cores only"),
    (r"armv\d(\.\d)?(-a)?$", "an Arm application processor: runs an operating system, not bare-metal firmware"),
)

_CORTEX_M = re.compile(r"cortex[- ]?m(\d+)(\+|plus)?(f?)(?![a-z0-9])", re.IGNORECASE)
_RV32 = re.compile(r"rv32([a-z]*)", re.IGNORECASE)


def core_for(device: Device) -> CoreChoice:
    """The core that stands for a device's main processor, how well, and why.

    Args:
        device: from a device file, ours or a user's.
    """
    main = next((core for core in device.cores if core.kind == "cpu"), None)
    if main is None:
        return CoreChoice(None, Fidelity.NONE, f"{device.cores[0].name} is no general-purpose processor")
    known = _cortex_m(main) or _riscv(main) or _by_isa(main)
    if known is None:
        return CoreChoice(None, Fidelity.NONE, f"{main.name}: {_why_not(main)}{_beside(device, main)}")
    name, fidelity, reason = known
    other = _beside(device, main) if fidelity is not Fidelity.NATIVE else ""
    return CoreChoice(CORES[name], fidelity, f"{main.name}: {reason}{_accelerators(device)}{other}")


def _cortex_m(core: DeviceCore) -> tuple[str, Fidelity, str] | None:
    match = _CORTEX_M.search(core.name)
    if match is None:
        return None
    number, plus, unit = match.groups()
    name = f"M{number}" + ("+" if plus else "")
    return _BY_NAME.get(name + unit.upper()) or _BY_NAME.get(name)


def _riscv(core: DeviceCore) -> tuple[str, Fidelity, str] | None:
    match = _RV32.search(core.isa) or _RV32.search(core.name)
    if match is None:
        return None
    letters = match[1].upper().replace("G", "IMAFD")
    if letters == "IMC":
        return "rv32imc", Fidelity.NATIVE, "its own instruction set"
    if not letters:
        return "rv32imc", Fidelity.APPROXIMATED, "built for RV32IMC: what its core has beyond that is not used"
    if {"M", "C"} <= set(letters) and letters[0] == "I":
        more = ", ".join(letter for letter in letters if letter not in "IMC")
        return "rv32imc", Fidelity.APPROXIMATED, f"built for RV32IMC: extension {more} is not used"
    return None


def _by_isa(core: DeviceCore) -> tuple[str, Fidelity, str] | None:
    found = _BY_ISA.get(core.isa.strip().upper())
    return None if found is None else (found[0], Fidelity.APPROXIMATED, found[1])


def _why_not(core: DeviceCore) -> str:
    for text in (core.isa, core.name):
        for pattern, reason in _NO_ENGINE:
            if text and re.match(pattern, text, re.IGNORECASE):
                return reason
    if _RV32.search(f"{core.isa} {core.name}"):
        return f"{core.isa or core.name}: firmware is built for RV32IMC, and it lacks a part of that"
    return f"no engine for the instruction set {core.isa!r}" if core.isa else "its instruction set is not known"


def _accelerators(device: Device) -> str:
    """What computes beside the processor: the model runs on the processor here, whatever a product does."""
    names = [core.name for core in device.cores if core.kind in ("npu", "dsp", "gpu", "fpga")]
    return f"; without its {' and '.join(names)}: the model runs on the processor" if names else ""


def _beside(device: Device, main: DeviceCore) -> str:
    """A microcontroller core beside the main one: where a product runs the model there, a device file can say so."""
    others = [core.name for core in device.cores if core.name != main.name and core.kind == "cpu"]
    small = [name for name in others if _CORTEX_M.search(name)]
    if not small:
        return ""
    return f"; where the model runs on its {small[0]}, give a device file that lists that core first"
