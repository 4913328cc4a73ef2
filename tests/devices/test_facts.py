"""What the files say: spot checks by hand, and all of them against the survey they were made from, where present."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tinymlsec.target.device import Device, list_devices, load_device

SURVEY = Path(__file__).parents[2].parent / "shared" / "research" / "devices.json"

WORDED = {
    "secure_boot": "secure_boot",
    "readout_protection": "readout_protection",
    "trng": "trng",
    "crypto": "crypto_accelerator",
    "puf": "puf",
    "flash_enc": "flash_encryption",
    "ecc": "ecc",
    "tamper": "tamper_detection",
    "mpu": "mpu",
}


@pytest.mark.parametrize(
    ("name", "feature", "declared", "fact"),
    [
        ("stm32l4r5zi", "secure_boot", "optional", "optional"),  # vendor software only
        ("stm32l4r5zi", "crypto_accelerator", "no", "no"),  # only its sister has one
        ("stm32h743zi", "secure_boot", "no", "no"),  # only its sister has one
        ("stm32f072rb", "ecc", "no", "no"),  # parity
        ("stm32h7s7l8", "flash_encryption", "yes", "unknown"),  # marked C
        ("rp2350", "glitch_detection", "yes", "yes"),
        ("rp2350", "tamper_detection", "unknown", "unknown"),  # glitch detectors only
        ("esp32-c6", "tee_other", "yes", "yes"),
        ("esp32-c6", "side_channel_hardened", "unknown", "unknown"),  # "weak"
        ("efr32mg24", "side_channel_hardened", "yes", "yes"),
        ("efr32mg24", "puf", "optional", "optional"),  # High variant
        ("raspberry-pi-4b", "mmu", "yes", "yes"),
        ("raspberry-pi-4b", "trustzone_a", "optional", "optional"),  # without secure RAM
        ("imx93", "trustzone_m", "unknown", "unknown"),  # its M33 is not spoken of
        ("k210", "mmu", "no", "unknown"),  # broken, and marked C
        ("esp8266-nodemcu", "readout_protection", "no", "no"),
        ("esp8266-nodemcu", "external_flash", "yes", "yes"),
        ("nrf52840", "external_flash", "no", "no"),
        ("mt7688", "external_flash", "unknown", "unknown"),  # the source does not say where its 32 MB are
        ("am62x", "flash_encryption", "unknown", "unknown"),  # "OSPI OTFA?"
        ("imxrt1062", "external_flash", "yes", "yes"),  # A/S is surer than C
    ],
)
def test_words_become_answers(name: str, feature: str, declared: str, fact: str) -> None:
    device = load_device(name)
    assert (device.declared(feature).value, device.fact(feature)) == (declared, fact)


@pytest.mark.parametrize(
    ("name", "ram", "flash"),
    [
        ("stm32l4r5zi", (655360, 655360), (2097152, 2097152)),
        ("stm32f746ng", (344064, 344064), (1048576, 1048576)),
        ("esp8266-nodemcu", (81920, 163840), (2**20, 2**22)),
        ("psoc6", (2**19, 2**20), (2**20, 2**21)),
        ("rp2350", (532480, 532480), None),  # size of its flash not given
        ("raspberry-pi-5", (2 * 2**30, 16 * 2**30), None),
        ("rtl8720dn", (512 * 1024 + 4 * 2**20,) * 2, (2**21, 2**22)),
    ],
)
def test_memory_totals(name: str, ram: tuple[int, int], flash: tuple[int, int] | None) -> None:
    device = load_device(name)
    assert (device.ram_bytes, device.flash_bytes) == (ram, flash)


def test_bypasses_name_what_they_defeat() -> None:
    assert "CVE-2020-27211" in load_device("nrf52840").bypasses("readout_protection")[0].what
    assert len(load_device("stm32f072rb").known_bypasses) == 2
    assert len(load_device("stm32f072rb").bypasses("readout_protection")) == 1  # the other is marked C
    assert load_device("stm32l4r5zi").known_bypasses == ()


def test_clocks_keep_alternatives() -> None:
    clock = load_device("apollo3-blue").cores[0].mhz
    assert clock is not None
    assert (clock.min, clock.max) == (48, 96)
    assert load_device("stm32wb55rg").cores[1].mhz is None


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("stm32h747xi", "Cortex-M7F 480 MHz, Cortex-M4F 240 MHz"),
        ("esp32", "2 x LX6 240 MHz"),
        ("apollo3-blue", "Cortex-M4F 48 to 96 MHz"),
        ("mcxn947", "2 x Cortex-M33 150 MHz, Neutron NPU"),
    ],
)
def test_cores_in_one_line(name: str, line: str) -> None:
    assert load_device(name).describe_cores() == line


def test_devices_go_to_json_and_back() -> None:
    for device in list_devices():
        assert Device.model_validate_json(device.model_dump_json()) == device


@pytest.fixture(scope="module")
def survey() -> list[tuple[dict[str, Any], Device]]:
    if not SURVEY.is_file():
        pytest.skip("the device survey is not beside this checkout")
    devices = {device.name: device for device in list_devices()}
    return [(row, devices[row["part"]]) for row in json.loads(SURVEY.read_text())]


def test_all_rows_are_there_with_class_note_and_marks(survey: list[tuple[dict[str, Any], Device]]) -> None:
    assert len({device.id for _, device in survey}) == len(survey) == 88
    for row, device in survey:
        assert (device.class_, device.note) == (row["class"], row["note"])
        assert {memory.confidence for memory in device.memories} == {row["conf_mem"]}
        assert device.declared("puf").confidence == row["conf_feat"]


def test_no_word_of_the_survey_is_lost(survey: list[tuple[dict[str, Any], Device]]) -> None:
    for row, device in survey:
        for column, feature in WORDED.items():
            words, fact = row[column], device.declared(feature)
            assert words in (fact.value, fact.note) or (column, words) == ("mpu", "MMU"), (device.id, column, words)
            if words.startswith("no") and words != "no?" and words != "noise-based":
                assert fact.value == "no", (device.id, column, words)
            if words.endswith("?"):
                assert fact.value == "unknown", (device.id, column, words)


def test_sizes_and_clocks_are_those_of_the_survey(survey: list[tuple[dict[str, Any], Device]]) -> None:
    for row, device in survey:
        notes = {memory.note for memory in device.memories} | {core.note for core in device.cores}
        if re.fullmatch(r"\d+", row["sram_kb"]):
            assert device.ram_bytes == (int(row["sram_kb"]) * 1024,) * 2, device.id
        else:
            assert any(row["sram_kb"] in note for note in notes), device.id
        if re.fullmatch(r"[1-9]\d*", row["flash_kb"]):
            assert device.flash_bytes == (int(row["flash_kb"]) * 1024,) * 2, device.id
        else:
            assert any(row["flash_kb"] in note for note in notes), device.id
        clocks = {value for core in device.cores if core.mhz for value in (core.mhz.min, core.mhz.max)}
        assert clocks == {float(number) for number in re.findall(r"\d+", row["mhz"])}, device.id


def test_every_core_of_the_survey_is_there(survey: list[tuple[dict[str, Any], Device]]) -> None:
    for row, device in survey:
        counts = re.findall(r"(?:^|\+)(\d+)x", row["core"])
        assert all(int(count) in {core.count for core in device.cores} for count in counts), device.id
        mains = re.findall(r"(?:^|\+|x)([MA]\d+(?:F|\+|AE)?)(?=$|\+|/| )", row["core"].replace("M0+", "M0p"))
        names = {core.name.removeprefix("Cortex-") for core in device.cores}
        assert set(mains) <= names, (device.id, mains, names)
