"""The device class follows from facts, and says how."""

from __future__ import annotations

import pytest

from tinymlsec.target.device import Device, list_devices, load_device
from tinymlsec.threat.taxonomy import EDGE_RAM_BYTES, classify


def device_with(ram: int | tuple[int, int], mmu: str = "yes", kind: str = "cpu") -> Device:
    origin = {"confidence": "B", "source": "test"}
    size = {"min": ram[0], "max": ram[1]} if isinstance(ram, tuple) else ram
    return Device.model_validate(
        {
            "id": "test-board",
            "name": "Test",
            "class": "IoT",
            "provenance": {"cores": origin, "memories": origin, "features": origin},
            "cores": [{"name": "core", "kind": kind}],
            "memories": [{"name": "RAM", "kind": "dram", "bytes": size}],
            "features": {"mmu": mmu},
        }
    )


@pytest.mark.parametrize("device", list_devices(), ids=lambda device: device.id)
def test_all_devices_fall_into_their_class(device: Device) -> None:
    found = classify(device, has_model=device.class_ != "IoT")
    assert found.class_ == device.class_
    assert found.reasons
    assert found.rules


@pytest.mark.parametrize(
    ("device", "has_model", "class_", "rule"),
    [
        (device_with(EDGE_RAM_BYTES), True, "EdgeML", "TAX-2"),
        (device_with(EDGE_RAM_BYTES - 1), True, "TinyML", "TAX-3"),
        (device_with((EDGE_RAM_BYTES - 1, EDGE_RAM_BYTES)), True, "TinyML", "TAX-3"),
        (device_with(EDGE_RAM_BYTES, mmu="no"), True, "TinyML", "TAX-3"),
        (device_with(EDGE_RAM_BYTES, mmu="unknown"), True, "TinyML", "TAX-3"),
        (device_with(EDGE_RAM_BYTES, mmu="unknown", kind="npu"), True, "EdgeML", "TAX-4"),
        (device_with(EDGE_RAM_BYTES), False, "IoT", "TAX-1"),
        (device_with(EDGE_RAM_BYTES), None, "EdgeML", "TAX-2"),
    ],
)
def test_boundaries(device: Device, has_model: bool | None, class_: str, rule: str) -> None:
    found = classify(device, has_model)
    assert (found.class_, found.rules) == (class_, (rule,))
    assert any("not known whether a model" in warning for warning in found.warnings) == (has_model is None)


@pytest.mark.parametrize(
    ("name", "class_", "words"),
    [
        ("stm32n657", "TinyML", "Neural-ART"),
        ("ensemble-e3", "TinyML", "13.5 MB"),
        ("imxrt1176", "TinyML", "Edge TPU"),
        ("imx8mplus-evk", "EdgeML", "Cortex-M7"),
        ("stm32mp157", "EdgeML", "Cortex-M4"),
        ("mt3620", "TinyML", "RAM of a microcontroller"),
        ("ncs2", "EdgeML", "host"),
        ("rk3588", "EdgeML", "marked C"),
    ],
)
def test_border_cases_are_warned_of(name: str, class_: str, words: str) -> None:
    found = classify(load_device(name), has_model=True)
    assert found.class_ == class_
    assert any(words in warning for warning in found.warnings)


@pytest.mark.parametrize("name", ["stm32h747xi", "stm32l4r5zi", "nrf5340", "raspberry-pi-5"])
def test_plain_cases_are_not(name: str) -> None:
    assert classify(load_device(name), has_model=True).warnings == ()


def test_the_user_may_overrule() -> None:
    found = classify(load_device("stm32mp157"), has_model=True, override="TinyML")
    assert (found.class_, found.rules) == ("TinyML", ("TAX-0", "TAX-2"))
    assert any("the rule would say EdgeML" in warning for warning in found.warnings)
    same = classify(load_device("rp2040"), has_model=True, override="TinyML")
    assert same.warnings == ()
