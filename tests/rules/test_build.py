"""BUILD: components with versions, those with known flaws, and what development left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware.elf_builder import FUNC, OBJECT, Sym
from rules.image_builder import CODE, DATA, SYMBOLS, Firmware, constant, findings, function, ids, with_text
from tinymlsec.rules._components import Component, flaws_of, kinds, version_key


def components(firmware: Firmware) -> dict[str, Component]:
    return {c.name: c for c in firmware.file().components}


VERSIONS = {
    "FreeRTOS Kernel": (b"FreeRTOS Kernel V10.4.1", "10.4.1"),
    "Zephyr": (b"*** Booting Zephyr OS build v3.4.0-12-gabc ***", "3.4.0"),
    "ThreadX": (b"Copyright (c) Microsoft Corporation. * ThreadX Cortex-M4/GNU Version 6.1.7 *", "6.1.7"),
    "Mbed OS": (b"Mbed OS version 6.15.1", "6.15.1"),
    "NuttX": (b"NuttX-12.4.0 abcdef", "12.4.0"),
    "RIOT": (b"main(): This is RIOT! (Version: 2023.10)", "2023.10"),
    "MCUboot": (b"*** Booting MCUboot v2.1.0-rc1 ***", "2.1.0"),
    "U-Boot": (b"U-Boot 2022.04-rc2 (Apr 04 2022)", "2022.04-rc2"),
    "Mbed TLS": (b"mbed TLS 2.16.3", "2.16.3"),
    "wolfSSL": (b"wolfSSL Library Version: 5.4.0", "5.4.0"),
    "lwIP": (b"Server: lwIP/2.1.2 (http://savannah.nongnu.org)", "2.1.2"),
    "OpenSSL": (b"OpenSSL 1.0.1f 6 Jan 2014", "1.0.1f"),
    "TensorFlow Lite Micro": (b"Didn't find op for builtin opcode '%s'", ""),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_versions_are_read_from_texts(name: str) -> None:
    text, version = VERSIONS[name]
    found = components(with_text(text))
    assert {n: c.version for n, c in found.items()} == {name: version}
    assert DATA <= (found[name].address or 0) < DATA + 100
    if version and found[name].purl:
        assert found[name].purl.endswith(f"@{version}")


def test_esp_idf_describes_its_applications() -> None:
    head = bytes.fromhex("3254cdab").ljust(16, b"\0") + b"1.0".ljust(32, b"\0") + b"blink".ljust(32, b"\0")
    told = head + b"12:00:00".ljust(16, b"\0") + b"Nov 26 2026".ljust(16, b"\0") + b"v4.4.1-dirty".ljust(32, b"\0")
    assert components(Firmware(content=told))["ESP-IDF"].version == "4.4.1"
    assert ids(Firmware(content=told).file()) == ["BUILD-01"]  # CVE-2022-24893


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("xTaskCreate", "FreeRTOS Kernel"), ("arm_convolve_s8", "CMSIS-NN"), ("tvmgen_default_run", "microTVM"),
        ("_ZN6tflite16MicroInterpreter6InvokeEv", "TensorFlow Lite Micro"), ("eml_trees_predict", "emlearn"),
    ],
)  # fmt: skip
def test_symbols_tell_where_texts_do_not(symbol: str, name: str) -> None:
    assert list(components(function(symbol))) == [name]


FLAWED = {
    "FreeRTOS Kernel V10.4.1": {
        "CVE-2021-31571",
        "CVE-2021-31572",
        "CVE-2021-32020",
        "CVE-2021-43997",
        "CVE-2024-28115",
    },
    "FreeRTOS Kernel V10.4.6": {"CVE-2021-43997", "CVE-2024-28115"},
    "FreeRTOS Kernel V10.6.2": set(),
    "mbed TLS 2.28.0": {"CVE-2022-35409", "CVE-2022-46393"},
    "mbed TLS 2.28.2": set(),
    "Mbed TLS 3.3.0": {"CVE-2023-45199", "CVE-2024-30166"},
    "Mbed TLS 3.6.0": set(),
    "OpenSSL 1.0.1f ": {"CVE-2014-0160"},
    "OpenSSL 1.0.1g ": set(),
    "OpenSSL 1.0.0t ": set(),
    "U-Boot 2019.07": {"CVE-2019-14198", "CVE-2022-30767", "CVE-2026-29009"},
    "U-Boot 2026.07-rc1": {"CVE-2026-29009"},
    "U-Boot 2026.07-rc2": set(),
    "U-Boot 2026.07": set(),
}


@pytest.mark.parametrize("text", FLAWED)
def test_ranges_of_versions_are_kept_to_the_letter(text: str) -> None:
    found = findings(with_text(text.encode()).file())
    assert {f.id for f in found} <= {"BUILD-01"}
    assert {cve for f in found for cve in f.cve} == FLAWED[text]


def test_no_version_no_flaw() -> None:
    assert ids(function("xTaskCreate").file()) == []
    assert all(flaws_of(kind, "") == () for kind in kinds())


def test_versions_are_ordered() -> None:
    rising = ["1.0.1", "1.0.1f", "1.0.1g", "1.0.2", "2.0", "2.0.1-rc1", "2.0.1-rc2", "2.0.1", "10.0.0", "2022.04"]
    assert [version_key(v) for v in rising] == sorted(version_key(v) for v in rising)


def test_every_row_says_where_it_comes_from() -> None:
    for kind in kinds():
        for flaw in kind.flaws:
            assert flaw.source
            assert flaw.condition
            assert flaw.ranges
            assert all(cve.startswith("CVE-") for cve in flaw.cve)


LEFT = {
    "zephyr": ("BUILD-02", with_text(b"uart:~$ "), 1),
    "nuttx": ("BUILD-02", with_text(b"nsh> "), 0),
    "u-boot": ("BUILD-02", with_text(b"Hit any key to stop autoboot: %2d"), 1),
    "path": ("BUILD-03", with_text(b"ASSERT /home/jane/project/src/main.c:10"), 8),
    "windows path": ("BUILD-03", with_text(rb"C:\Users\jane\project\main.c"), 1),
    "test": ("BUILD-04", with_text(b"Factory test menu"), 1),
    "rtt": ("BUILD-05", Firmware(symbols=(*SYMBOLS, Sym("_SEGGER_RTT", DATA, 4, OBJECT)), content=bytes(4)), None),
    "rtt text": ("BUILD-05", with_text(b"SEGGER RTT"), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_each_leftover_gives_its_rule_alone_at_its_place(name: str) -> None:
    rule_id, firmware, at = LEFT[name]
    found = findings(firmware.file())
    assert [f.id for f in found] == [rule_id], [(f.id, f.message) for f in found]
    assert found[0].location.address == (None if at is None else DATA + at)


@pytest.mark.parametrize(
    "text",
    [b"http://a.example/home/jane/x", b"self test passed", b"mode: debug", b"/usr/lib/x", b"use path a/home/x/y"],
)
def test_ordinary_texts_are_no_leftovers(text: bytes) -> None:
    assert ids(with_text(text).file()) == []


def test_debug_information_is_a_fact_and_no_finding() -> None:
    from firmware.elf_builder import Sec
    from tinymlsec.scan.image_facts import image_facts

    firmware = replace(Firmware(), sections=(Sec(".debug_info", b"\0" * 16),))
    assert ids(firmware.file()) == []
    assert image_facts(firmware.file())["debug_information"] is True


def test_tables_of_aes_are_a_fact() -> None:
    from tinymlsec.scan.image_facts import image_facts

    table = bytes.fromhex("637c777bf26b6fc53001672bfed7ab76ca82c97d")
    assert image_facts(Firmware(content=bytes(8) + table).file())["aes_in_software"] == [DATA + 8]
    assert image_facts(Firmware().file())["aes_in_software"] == []


def test_named_constants_and_functions_do_not_disturb() -> None:
    assert ids(constant("g_model_data", bytes(range(64))).file()) == []
    assert ids(replace(Firmware(), symbols=(*SYMBOLS, Sym("main", CODE | 1, 4, FUNC))).file()) == []
