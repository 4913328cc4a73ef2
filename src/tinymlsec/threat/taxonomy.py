"""Which kind of device is it: IoT, EdgeML or TinyML?

The three classes are those of Huckelberry et al., "TinyML Security" (arXiv 2411.07114). Its tables were not available;
the rule is our reconstruction: without a model on the device it is IoT; with an MMU and at least 64 MB of RAM it is
EdgeML; everything else is TinyML. The class picks the base vectors of every threat, so each decision carries its rule
and its reasons, and the user may overrule it.
"""

from __future__ import annotations

from tinymlsec.records import Record
from tinymlsec.target.device_facts import DeviceClass
from tinymlsec.target.device_model import Device

EDGE_RAM_BYTES = 64 * 2**20
"""Least RAM, in bytes, of a device that runs a full operating system next to its model."""

LARGE_RAM_BYTES = 4 * 2**20
"""RAM, in bytes, at the upper end of TinyML; with an accelerator it holds models made for larger devices."""


class Classification(Record):
    """A class with the way to it."""

    class_: DeviceClass
    """The class that base vectors are taken from."""
    reasons: tuple[str, ...]
    """The facts that decided, as sentences for the report."""
    rules: tuple[str, ...]
    """Ids of the rules that applied, ``TAX-0`` to ``TAX-4``, the deciding one first."""
    warnings: tuple[str, ...] = ()
    """What makes this device a border case."""


def classify(device: Device, has_model: bool | None, override: DeviceClass | None = None) -> Classification:
    """The class of a device in a given use.

    Rules: TAX-0, the user decides. TAX-1, no model on the device: IoT. TAX-2, MMU and RAM of 64 MB or more: EdgeML.
    TAX-3, anything else: TinyML. TAX-4, an accelerator without a processor of its own: its host decides, EdgeML.

    Args:
        device: the facts. Its own `class` field is not used.
        has_model: whether a model runs on the device; None where that is not known, which is taken as yes.
        override: a class that the user insists on.
    """
    decided = _by_rule(device, has_model)
    if override is None:
        return decided
    warnings = decided.warnings
    if override != decided.class_:
        warnings += (f"the rule would say {decided.class_}: {' '.join(decided.reasons)}",)
    reasons = (f"The user set the class {override}.",)
    return Classification(class_=override, reasons=reasons, rules=("TAX-0", *decided.rules), warnings=warnings)


def _by_rule(device: Device, has_model: bool | None) -> Classification:
    if has_model is False:
        return Classification(class_="IoT", reasons=("No model runs on the device.",), rules=("TAX-1",))
    class_, rule, reasons = _with_model(device)
    warnings = _warnings(device, class_)
    if has_model is None:
        warnings = ("it is not known whether a model runs on the device; taken as yes", *warnings)
    return Classification(class_=class_, reasons=reasons, rules=(rule,), warnings=warnings)


def _with_model(device: Device) -> tuple[DeviceClass, str, tuple[str, ...]]:
    """Class, rule and reasons of a device that a model runs on."""
    if not _has_processor(device):
        return "EdgeML", "TAX-4", ("It is an accelerator without a processor of its own, driven by a host.",)
    mmu = device.declared("mmu").value == "yes"
    ram = device.ram_bytes
    size = f"at least {_megabytes(ram[0])}" if ram else "unknown size"
    if mmu and ram is not None and ram[0] >= EDGE_RAM_BYTES:
        return "EdgeML", "TAX-2", ("It has an MMU.", f"Its RAM is {size}, which is 64 MB or more.")
    if not mmu:
        return "TinyML", "TAX-3", ("No MMU is known.", f"Its RAM is {size}.")
    return "TinyML", "TAX-3", ("It has an MMU.", f"Its RAM is {size}, which does not make 64 MB certain.")


def _has_processor(device: Device) -> bool:
    return any(core.kind == "cpu" for core in device.cores)


def _warnings(device: Device, class_: DeviceClass) -> tuple[str, ...]:
    """What makes a device a border case; two microcontroller cores (as on the STM32H747) do not."""
    mmu, ram = device.declared("mmu"), device.ram_bytes
    small = [core.name for core in device.cores if _is_microcontroller_core(core.isa)]
    accelerators = [core.name for core in device.cores if core.kind in ("npu", "gpu")]
    found = []
    if not _has_processor(device):
        found.append("hybrid: the security features of the host are not in this device's file")
    elif class_ == "EdgeML" and small:
        found.append(f"hybrid: there is a {small[0]}, too; where the model runs on it, set the class to TinyML")
    elif class_ == "TinyML" and mmu.value == "yes":
        found.append("hybrid: it has an MMU, but the RAM of a microcontroller")
    elif class_ == "TinyML" and accelerators and ram is not None and ram[1] >= LARGE_RAM_BYTES:
        found.append(f"hybrid: with {accelerators[0]} and {_megabytes(ram[1])} of RAM it can run models of EdgeML size")
    if device.companions:
        found.append(f"hybrid: some boards add {', '.join(device.companions)}; with it, models of EdgeML size can run")
    if mmu.confidence == "C" and mmu.value == "yes":
        found.append("the MMU is marked C (to be checked)")
    if class_ == "TinyML" and mmu.value == "yes" and ram is not None and ram[1] >= EDGE_RAM_BYTES:
        found.append("variants of this device lie on both sides of 64 MB of RAM; the smallest decides")
    return tuple(found)


def _is_microcontroller_core(isa: str) -> bool:
    return isa.endswith("-M") or "-M " in isa


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.4g} MB"
