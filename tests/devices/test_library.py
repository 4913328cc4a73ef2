"""The bundled devices, looked up and filtered, and users' own beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tinymlsec.errors import DeviceError
from tinymlsec.target import device as library
from tinymlsec.target.device import FEATURE_NAMES, list_devices, load_device

OURS = Path(library.__file__).with_name("devices")

OWN = """
id = "my-board"
name = "My board"
class = "TinyML"

[provenance]
cores = { confidence = "A", source = "our own datasheet, rev 3" }
memories = { confidence = "A", source = "our own datasheet, rev 3" }
features = { confidence = "C", source = "hearsay" }

[[cores]]
name = "Cortex-M4F"
mhz = { min = 32, max = 64 }

[[memories]]
name = "SRAM"
kind = "sram"
bytes = { min = 65536, max = 131072 }

[features]
mpu = "yes"
ecc = { value = "yes", confidence = "A", source = "our own test report" }
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "board.toml"
    path.write_text(OWN)
    return path


def test_files_are_named_by_their_ids() -> None:
    assert [device.id for device in list_devices()] == sorted(path.stem for path in OURS.glob("*.toml"))
    assert len(list_devices()) == 88


def test_every_known_value_has_confidence_and_source() -> None:
    for device in list_devices():
        features = [device.declared(name) for name in FEATURE_NAMES]
        for value in (*device.cores, *device.memories, *(f for f in features if f.value != "unknown")):
            assert value.confidence is not None, (device.id, value)
            assert value.source, (device.id, value)


def test_no_figure_without_a_source() -> None:
    assert not [device.id for device in list_devices() if device.power]
    assert not [m for device in list_devices() for m in device.memories if m.wait_states is not None]


def test_filters() -> None:
    found = {device.id for device in list_devices("tinyml", has=["trustzone_m"])}
    assert {"stm32u585ai", "nrf5340", "rp2350"} <= found
    assert not found & {"stm32l4r5zi", "rtl8720dn", "imx93"}  # no TrustZone-M, IoT, EdgeML
    assert {d.id for d in list_devices(core="m3")} == {"stm32f103c8", "particle-photon"}
    assert {d.id for d in list_devices("IoT", lacks=["mpu", "external_flash"])} == {"cc3220sf"}
    assert all(d.declared("puf").value == "yes" for d in list_devices(has=["puf"]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load_device("stm32l4r5"), "stm32l4r5zi"),
        (lambda: load_device("esp8266"), "esp8266-nodemcu"),
        (lambda: load_device("zzz"), "tinymlsec list devices"),
        (lambda: load_device("../devices/rp2040"), "unknown device"),
        (lambda: list_devices("mcu"), "iot, edgeml or tinyml"),
        (lambda: list_devices(has=["trustzone"]), "trustzone_m"),
        (lambda: load_device("rp2040").fact("secureboot"), "did you mean 'secure_boot'"),
    ],
)
def test_what_is_unknown_names_what_is_near(call: Callable[[], object], words: str) -> None:
    with pytest.raises(DeviceError, match=words.replace(".", r"\.")):
        call()


def test_own_file_by_path_and_by_folder(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = load_device(own)
    assert device.ram_bytes == (65536, 131072)
    assert device.flash_bytes is None
    assert (device.fact("mpu"), device.declared("mpu").value) == ("unknown", "yes")  # C does not count
    assert device.fact("ecc") == "yes"  # its own mark, not the group's
    with pytest.raises(DeviceError):
        load_device("my-board")
    assert load_device("my-board", extra_dirs=[own.parent]) == device
    monkeypatch.setenv("TINYMLSEC_DEVICES", f"{own.parent}{os.pathsep}")
    assert load_device("my-board") == device
    assert len(list_devices()) == 89


def test_no_id_is_taken_twice(own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "same.toml").write_text(OWN)
    with pytest.raises(DeviceError, match=r"'my-board' is taken[\s\S]*board\.toml"):
        list_devices(extra_dirs=[own.parent, other])
    own.write_text(OWN.replace("my-board", "rp2040"))
    with pytest.raises(DeviceError, match=r"'rp2040' is taken[\s\S]*rp2040-mine"):
        load_device(own)
    with pytest.raises(DeviceError, match="'rp2040' is taken"):
        load_device("rp2040", extra_dirs=[own.parent])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('mpu = "yes"', 'mpuu = "yes"', r"line 21: unknown key 'features\.mpuu'[\s\S]*did you mean 'mpu'"),
        ('mpu = "yes"', 'mpu = "maybe"', r"features\.mpu\.value'[\s\S]*'maybe'[\s\S]*'optional'"),
        ('id = "my-board"', "", r"key 'id' is missing"),
        ('class = "TinyML"', 'class = "MCU"', r"key 'class'[\s\S]*'EdgeML'"),
        ("bytes = {", "size = {", r"unknown key 'memories\.0\.size'[\s\S]*bytes"),
        ("min = 65536", "min = 999999", r"min = 999999 is above max"),
        (', source = "our own test report"', "", r"features\.ecc'[\s\S]*confidence and source"),
        ('features = { confidence = "C", source = "hearsay" }', "", r"key 'provenance\.features' is missing"),
    ],
)
def test_a_broken_file_is_explained(own: Path, old: str, new: str, words: str) -> None:
    assert old in OWN
    own.write_text(OWN.replace(old, new))
    with pytest.raises(DeviceError, match=words):
        load_device(own)


def test_listing_is_cheap_and_light() -> None:
    code = (
        "import sys, time; import tinymlsec.records; from tinymlsec.target.device import list_devices;"
        "start = time.process_time(); n = len(list_devices()); spent = time.process_time() - start;"
        "print(n, 'numpy' in sys.modules, spent < 0.3)"  # 0.04 s alone; the rest is room for a slow machine
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["88", "False", "True"]


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
    path = tmp_path / "example.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0])
    assert load_device(path).fact("external_flash") == "yes"
