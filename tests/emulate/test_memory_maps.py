"""Memory maps: sizes of the device file, addresses of the family, and never regions that overlap."""

from __future__ import annotations

import pytest

from tinymlsec.emulate.cores import CORES, core_for
from tinymlsec.emulate.memory_maps import MAX_BYTES, memory_map
from tinymlsec.target.device import list_devices, load_device

M4F, RV32 = CORES["cortex-m4f"], CORES["rv32imc"]
KIB = 1024


def regions(found):
    return {region.name: (region.address, region.size, region.access) for region in found.regions}


def test_sizes_and_addresses_of_the_reference_board():
    found = memory_map(load_device("stm32l4r5zi"), M4F)
    assert regions(found) == {
        "flash": (0x08000000, 2048 * KIB, "rx"),
        "ram": (0x20000000, 640 * KIB, "rwx"),
    }
    assert "STM32" in found.source
    assert "device file" in found.source


@pytest.mark.parametrize(("core", "flash", "ram"), [(M4F, 0x08000000, 0x20000000), (RV32, 0x20000000, 0x80000000)])
def test_no_device_gives_the_generic_map(core, flash, ram):
    found = memory_map(None, core)
    assert regions(found) == {"flash": (flash, 2 << 20, "rx"), "ram": (ram, 1 << 20, "rwx")}
    assert "sizes are generic" in found.source
    assert "addresses are generic" in found.source


def test_memories_that_lie_apart_are_regions_of_their_own():
    found = memory_map(load_device("stm32f407vg"), M4F)
    assert regions(found)["ram"] == (0x20000000, 128 * KIB, "rwx"), "both SRAMs continue each other"
    assert regions(found)["ram2"] == (0x10000000, 64 * KIB, "rwx")
    assert "ram2 is CCM" in found.source
    assert regions(memory_map(load_device("stm32h743zi"), CORES["cortex-m7"]))["ram"] == (0x24000000, 512 * KIB, "rwx")


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("rp2350", "size of the flash is generic"),
        ("rp2040", "smallest flash of several"),
        ("efr32mg24", "by the convention of the EFR32xG24 family (as in probe-rs)"),
        ("apollo510", "by the convention of the Apollo5 family; sizes"),
        ("stm32h747xi", "the RAM that lies in one piece: 512 of 1056 KiB"),
        ("max78000", "without CNN weight memory"),
    ],
)
def test_source_says_what_is_not_the_devices_own(device, words):
    assert words in memory_map(load_device(device), core_for(load_device(device)).core).source


def test_no_regions_overlap_on_any_device():
    for device in list_devices():
        core = core_for(device).core
        for each in (core,) if core else CORES.values():
            found = sorted(memory_map(device, each).regions, key=lambda region: region.address)
            for region, after in zip(found, [*found[1:], None], strict=True):
                assert KIB <= region.size <= MAX_BYTES, device.id
                assert region.size % KIB == 0, device.id
                assert region.address + region.size <= (after.address if after else 1 << 32), device.id


def test_absurd_sizes_of_a_users_file_are_cut():
    device = load_device("nrf5340")
    huge = [each.model_copy(update={"bytes": each.bytes.model_copy(update={"min": 2.0**50, "max": 2.0**50})})
            for each in device.memories]  # fmt: skip
    found = memory_map(device.model_copy(update={"memories": tuple(huge)}), CORES["cortex-m33"])
    assert regions(found)["ram"][:2] == (0x20000000, 0x01000000), "cut where the second core's RAM begins"
    assert regions(found)["ram2"][:2] == (0x21000000, MAX_BYTES)
    assert "cut to 64 MiB" in found.source


@pytest.mark.parametrize(
    ("device", "flash", "ram"),
    [
        ("apollo3-blue", (0, 1024), (0x10000000, 384)),
        ("cc1352p7", (0, 704), (0x20000000, 144)),
        ("esp32-c3", (0x42000000, 2048), (0x3FC80000, 384)),
        ("esp32-p4", (0x40000000, 2048), (0x4FF00000, 768)),
        ("imxrt1176", (0x30000000, 2048), (0x20240000, 1792)),
        ("lpc55s69", (0, 640), (0x20000000, 272)),
        ("max78000", (0x10000000, 512), (0x20000000, 128)),
        ("psoc6", (0x10000000, 1024), (0x08000000, 512)),
        ("psoc-edge-e84", (0x60000000, 2048), (0x26000000, 5000)),
        ("ra4m1", (0, 256), (0x20000000, 32)),
        ("ra8m1", (0x02000000, 2048), (0x22000000, 896)),
        ("ra8p1", (0x02000000, 1024), (0x22000000, 1664)),
        ("stm32h7s7l8", (0x70000000, 2048), (0x24000000, 456)),
        ("stm32l475vg", (0x08000000, 1024), (0x20000000, 96)),
        ("stm32n657", (0x70000000, 2048), (0x34000000, 3840)),
        ("stm32u585ai", (0x08000000, 2048), (0x20000000, 768)),
    ],
)
def test_where_other_families_have_their_memories(device, flash, ram):
    """RAM only as far as it lies in one piece: a linker script with more would place variables into nothing."""
    record = load_device(device)
    found = regions(memory_map(record, core_for(record).core))
    assert found["flash"] == (flash[0], flash[1] * KIB, "rx")
    assert found["ram"] == (ram[0], ram[1] * KIB, "rwx")


def test_every_device_with_a_core_has_the_addresses_of_its_family():
    """Generic addresses are for devices of users; ours say whose convention theirs are."""
    with_core = [(device, core) for device in list_devices() if (core := core_for(device).core) is not None]
    assert len(with_core) == 62
    for device, core in with_core:
        source = memory_map(device, core).source
        assert source.startswith("addresses by the convention of the "), device.id
        assert "generic Arm" not in source, device.id
        assert "generic RISC-V" not in source, device.id


def test_a_users_device_gets_generic_addresses():
    device = load_device("stm32l4r5zi").model_copy(update={"id": "my-board"})
    assert "addresses are generic Arm" in memory_map(device, M4F).source
