"""The facts that scoring rules read, each with its values from best protected to worst.

Facts of the deployment have the names of the profile (`debug.port`); facts of the device start with `device.`, and
published ways around a feature of the part with `bypass.`. `unknown` is always possible; it counts neither as
protection nor as weakness.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinymlsec.target.deployment import Deployment
    from tinymlsec.target.device import Device

Facts = Mapping[str, str]
"""Fact name -> value."""

UNKNOWN = "unknown"
_YES, _NO = ("yes", "no"), ("no", "yes")
_OFFERED = ("yes", "optional", "no")

DEPLOYMENT_FACTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "product.safety_critical": _NO,
    "access.physical": ("controlled", "restricted", "public"),
    "access.proximity": ("controlled", "restricted", "public"),
    "access.sensor": ("controlled", "restricted", "public"),
    "access.lab_access": _NO,
    "access.enclosure": ("tamper_responsive", "tamper_evident", "closed", "open"),
    "interfaces.network_exposure": ("none", "local", "internet"),
    "interfaces.inputs": ("local", "sensor", "network"),
    "interfaces.outputs": ("none", "label", "score"),
    "interfaces.rate_limited": _YES,
    "interfaces.timing_hidden": _YES,
    "interfaces.link_encrypted": _YES,
    "interfaces.link_authenticated": _YES,
    "interfaces.replay_protected": _YES,
    "interfaces.wakeup_authenticated": _YES,
    "update.channel": ("none", "local", "ota", "server"),
    "update.signed": _YES,
    "update.encrypted": _YES,
    "update.anti_rollback": _YES,
    "update.model_separate": _NO,
    "update.model_signed": _YES,
    "update.public_download": _NO,
    "debug.port": ("fused", "locked", "open"),
    "debug.readout_protection": ("permanent", "on", "off"),
    "debug.bootloader": ("disabled", "authenticated", "open"),
    "boot.secure_boot": ("on", "off"),
    "boot.immutable_root": _YES,
    "boot.whole_image": _YES,
    "boot.fault_hardened": _YES,
    "boot.brown_out_reset": ("on", "off"),
    "model.encrypted_at_rest": _YES,
    "model.integrity_checked": ("each_inference", "periodic", "boot", "never"),
    "model.location": ("internal", "external"),
    "model.runtime": ("compiled", "interpreter"),
    "model.file_validated": _YES,
    "model.on_device_training": _NO,
    "model.federated": _NO,
    "model.update_checked": _YES,
    "model.update_private": _YES,
    "model.source": ("own", "third_party", "public_zoo"),
    "model.source_checked": _YES,
    "model.training_data": ("own", "public", "crowd"),
    "model.training_data_checked": _YES,
    "model.private_training": _YES,
    "model.robust_training": _YES,
    "inference.side_channel": ("masking", "hiding", "none"),
    "inference.constant_time": _YES,
    "inference.redundancy": ("full", "decision", "none"),
    "inference.memory_wiped": _YES,
    "inference.input_checked": _YES,
    "inference.voting": _YES,
    "inference.energy_limited": _YES,
    "keys.shared_fleet_key": _NO,
    "keys.default_credentials": _NO,
    "keys.storage": ("none", "secure_element", "protected", "plain_flash"),
    "isolation.mpu_used": _YES,
    "isolation.trustzone_used": _YES,
    "isolation.privilege_separation": _YES,
    "isolation.stack_protection": _YES,
    "isolation.no_execute_ram": _YES,
    "isolation.dma_restricted": _YES,
    "isolation.clock_power_locked": _YES,
    "supply.parts_verified": _YES,
    "supply.dependencies_pinned": _YES,
    "limits.power": ("mains", "harvested", "battery"),
})  # fmt: skip
"""Facts of the deployment profile, best protected first."""

WORTH: tuple[str, ...] = ("none", "low", "medium", "high")
"""Worth of an asset, least first."""

ASSET_FACTS: tuple[str, ...] = (
    "assets.model", "assets.user_data", "assets.training_data", "assets.decisions", "assets.availability",
    "assets.safety", "assets.keys", "assets.firmware",
)  # fmt: skip
"""What the profile says about worth."""

DEVICE_FACTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "device.memory_protection": _OFFERED,
    "device.trusted_world": _OFFERED,
    "device.secure_boot": _OFFERED,
    "device.readout_protection": _OFFERED,
    "device.tamper_detection": _OFFERED,
    "device.glitch_detection": _OFFERED,
    "device.ecc": _OFFERED,
    "device.external_flash": ("no", "optional", "yes"),
    "bypass.readout_protection": ("unknown", "yes"),
    "bypass.secure_boot": ("unknown", "yes"),
    "bypass.glitch_detection": ("unknown", "yes"),
})  # fmt: skip
"""Facts of the device, best protected first."""

_ANY_OF = {
    "device.memory_protection": ("mpu", "mmu"),
    "device.trusted_world": ("trustzone_m", "trustzone_a", "tee_other"),
}
"""Facts that several features can give."""


def fact_order() -> dict[str, tuple[str, ...]]:
    """Every fact with its values, best protected (or least worth) first."""
    return {**DEPLOYMENT_FACTS, **dict.fromkeys(ASSET_FACTS, WORTH), **DEVICE_FACTS}


def collect_facts(device: Device | None, deployment: Deployment) -> dict[str, str]:
    """All facts that rules may read, of one device in one deployment.

    Args:
        device: None where it is not known; its facts are then unknown.
        deployment: the profile; `Deployment()` where nothing is known.
    """
    facts = {name: str(deployment.fact(name)) for name in (*DEPLOYMENT_FACTS, *ASSET_FACTS)}
    for name in DEVICE_FACTS:
        facts[name] = UNKNOWN if device is None else _device_fact(device, name)
    return facts


def _device_fact(device: Device, name: str) -> str:
    kind, _, feature = name.partition(".")
    if kind == "bypass":
        return "yes" if device.bypasses(feature) else UNKNOWN
    answers = [device.fact(part) for part in _ANY_OF.get(name, (feature,))]
    return next((value for value in ("yes", "optional", UNKNOWN) if value in answers), "no")
