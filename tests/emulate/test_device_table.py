"""Device -> core -> engine: the choice for each of the 88 devices, and the page that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tinymlsec.cli import main
from tinymlsec.emulate.contract import Fidelity
from tinymlsec.emulate.cores import CORES, CoreChoice, core_for
from tinymlsec.emulate.device_table import START, device_table, with_table
from tinymlsec.target.device import Device, list_devices, load_device

PAGE = Path(__file__).resolve().parents[2] / "docs" / "firmware" / "devices.md"
NONE = "none"

# Written by hand from what is known of the chips, not taken from the code.
EXPECTED = {
    "cortex-m0plus native": "atsamd21g18a cc2340r5 mspm0g3507 rp2040 stm32f072rb",
    "cortex-m0plus approximated": "atsaml11e16a",
    "cortex-m3 native": "particle-photon stm32f103c8",
    "cortex-m4 native": "cc3220sf",
    "cortex-m4f native": "apollo3-blue apollo4-plus atsamd51p20a cc1352p7 max32666 max78000 nrf52832 nrf52840"
    " psoc6 ra4m1 stm32f303re stm32f401re stm32f407vg stm32f411re stm32f446re stm32g474re stm32l475vg stm32l4r5zi"
    " stm32wb55rg",
    "cortex-m7 native": "imxrt1062 imxrt1176 stm32f746ng stm32f767zi stm32h743zi stm32h747xi stm32h7s7l8",
    "cortex-m33 native": "efr32mg24 imxrt685 lpc55s69 mcxn947 nrf5340 nrf54l15 nrf9160 ra6m5 rp2350 stm32h573ii"
    " stm32l552ze stm32l562qe stm32u575zi stm32u585ai stm32wba55cg",
    "cortex-m33 approximated": "apollo510 ensemble-e3 psoc-edge-e84 ra8m1 ra8p1 rtl8720dn stm32n657",
    "rv32imc native": "esp32-c3",
    "rv32imc approximated": "esp32-c6 esp32-p4 gap9 opentitan-earlgrey",
    NONE: "am62x atmega328p beaglebone-ai-64 beaglebone-black coral-dev-board esp32 esp32-s2 esp32-s3 esp8266-nodemcu"
    " hx6537-a imx8mplus-evk imx93 jetson-nano jetson-orin-nano k210 kria-k26 mt3620 mt7688 ncs2 raspberry-pi-4b"
    " raspberry-pi-5 raspberry-pi-zero-2-w raspberry-pi-zero-w rk3588 stm32mp157 stm32mp257",
}
CHOICES = {name: words for words, names in EXPECTED.items() for name in names.split()}
DEVICES = {device.id: device for device in list_devices()}


@pytest.fixture(autouse=True)
def _no_devices_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYMLSEC_DEVICES", raising=False)


def words(choice: CoreChoice) -> str:
    return NONE if choice.core is None else f"{choice.core.id} {choice.fidelity.value}"


def test_every_device_is_in_the_table() -> None:
    assert len(DEVICES) == 88
    assert CHOICES.keys() == DEVICES.keys()


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_choice(name: str) -> None:
    choice = core_for(DEVICES[name])
    assert words(choice) == CHOICES[name]
    assert len(choice.reason) > 15, "a reason in words"
    assert (choice.core is None) == (choice.fidelity is Fidelity.NONE)


def test_no_core_that_is_no_microcontroller_gets_an_engine() -> None:
    """By the instruction sets of the device files: Xtensa, AVR, ARC, MIPS, RV64 and Arm's A profile."""
    other = re.compile(r"^(xtensa|avr|arc|mips|rv64|armv[78](\.\d)?-a$|armv6$)", re.IGNORECASE)
    found = [device for device in DEVICES.values() if other.match(device.cores[0].isa)]
    assert len(found) == 25
    for device in found:
        assert core_for(device).core is None, device.id


@pytest.mark.parametrize("number", ["52", "55", "85"])
def test_helium_is_approximated_by_the_m33(number: str) -> None:
    device = renamed(f"Cortex-M{number}", "Armv8.1-M")
    choice = core_for(device)
    assert words(choice) == "cortex-m33 approximated"
    assert "Helium" in choice.reason


def renamed(name: str, isa: str, base: str = "stm32l4r5zi") -> Device:
    """A device whose only core is called so."""
    device = load_device(base)
    return device.model_copy(update={"cores": (device.cores[0].model_copy(update={"name": name, "isa": isa}),)})


@pytest.mark.parametrize(
    ("name", "isa", "expected"),
    [
        ("Cortex-M4", "Armv7E-M", "cortex-m4 native"),
        ("ARM Cortex M4F core", "", "cortex-m4f native"),
        ("Cortex-M0plus", "", "cortex-m0plus native"),
        ("Cortex-M35P", "Armv8-M Mainline", "cortex-m33 approximated"),
        ("Cortex-M23", "", "cortex-m0plus approximated"),
        ("SC300", "Armv7-M", "cortex-m3 approximated"),
        ("Star-MC1", "Armv8-M Mainline", "cortex-m33 approximated"),
        ("Cortex-M35P", "", NONE),
        ("Cortex-M40", "", NONE),
        ("Cortex-R52", "Armv8-R", NONE),
        ("RV32EC", "RV32EC", NONE),
        ("RV32I", "RV32I", NONE),
        ("CV32E40P", "RV32IMFC", "rv32imc approximated"),
        ("SiFive E31", "rv32imac", "rv32imc approximated"),
        ("own", "RV32GC", "rv32imc approximated"),
        ("X60", "RV64GC", NONE),
        ("mystery", "", NONE),
    ],
)
def test_cores_of_users_device_files(name: str, isa: str, expected: str) -> None:
    choice = core_for(renamed(name, isa))
    assert words(choice) == expected
    assert name in choice.reason


def test_reasons_name_what_is_left_out() -> None:
    assert "without its CNN accelerator" in core_for(DEVICES["max78000"]).reason
    assert "where the model runs on its Cortex-M33" in core_for(DEVICES["psoc-edge-e84"]).reason
    assert "where the model runs on its Cortex-M4" in core_for(DEVICES["am62x"]).reason
    assert "SHAVE VPU is no general-purpose processor" in core_for(DEVICES["ncs2"]).reason
    assert "list" not in core_for(DEVICES["rp2350"]).reason, "its own core is emulated: nothing is missing"


def test_every_core_stands_for_a_device() -> None:
    assert {choice.core.id for device in DEVICES.values() if (choice := core_for(device)).core} == CORES.keys()


def test_the_page_is_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = with_table(page, device_table(list(DEVICES.values())))
    assert page == made, "run: python -m tinymlsec.emulate.device_table"
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", page.partition(START)[2], re.MULTILINE)
    assert rows == sorted(DEVICES)
    assert "88 devices: 50 native, 12 approximated, 26 none." in page


def test_a_page_without_marks_is_told() -> None:
    with pytest.raises(ValueError, match="has no <!-- generated"):
        with_table("# Devices\n", "")


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_list_shows_core_fidelity_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["id"]: row for row in json.loads(output_of(capsys, "list", "devices", "--format", "json"))}
    assert rows["stm32n657"]["core"] == "cortex-m33"
    assert rows["stm32n657"]["fidelity"] == "approximated"
    assert "Helium" in rows["stm32n657"]["reason"]
    assert rows["esp32"]["core"] is None
    assert rows["esp32"]["fidelity"] == "none"
    assert all(row["reason"] for row in rows.values())


def test_explain_shows_core_and_memories(capsys: pytest.CaptureFixture[str]) -> None:
    page = output_of(capsys, "explain", "stm32l4r5zi")
    assert "  core: cortex-m4f\n  fidelity: native\n  reason: Cortex-M4F: its own core\n" in page
    assert "  ram: 0x20000000, 640 KiB\n" in page
    assert "by the convention of the STM32 family" in page
    assert "  core: none\n  fidelity: none\n" in output_of(capsys, "explain", "esp32")
