"""Deployment profiles: defaults, reading, and what a mistake is answered with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tinymlsec.errors import DeploymentError
from tinymlsec.target.deployment import Deployment, load_deployment
from tinymlsec.target.toml_file import MAX_BYTES

GOOD = """
[product]
name = "Leak detector"
safety_critical = true
units = 5000

[interfaces]
available = ["ble", "uart"]

[boot]
secure_boot = false

[limits]
deadline_ms = 20

[sensor]
unit = "m/s2"
low = -20
high = 20
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "profile.toml"


def test_a_profile_is_read(profile: Path) -> None:
    profile.write_text(GOOD)
    deployment = load_deployment(profile)
    assert deployment.product.safety_critical == "yes"  # TOML's own true will do
    assert deployment.boot.secure_boot == "off"
    assert deployment.interfaces.available == ("ble", "uart")
    assert deployment.limits.deadline_ms == 20.0
    assert deployment.fact("sensor.low") == -20
    given = {"product.units", "limits.deadline_ms", "boot.secure_boot", "interfaces.available", "sensor.unit"}
    assert not given & set(deployment.assumed)
    assert {"debug.port", "limits.battery_mah", "assets.model"} <= set(deployment.assumed)


def test_by_default_nothing_is_known() -> None:
    nothing = Deployment()
    assert {repr(value) for _, value, _ in nothing.facts()} == {"'unknown'", "None", "()", "''"}
    everything = {name for name, _, _ in nothing.facts()}
    assert set(nothing.assumed) == everything - {"product.name", "product.description"}


def test_saying_unknown_is_the_same_as_saying_nothing(profile: Path) -> None:
    profile.write_text('[debug]\nport = "unknown"\n')
    assert load_deployment(profile) == Deployment()
    assert "debug.port" in load_deployment(profile).assumed


def test_records_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Deployment().debug.port = "open"


@pytest.mark.parametrize("name", ["debug", "debug.prt", "nothing.port", "debug.port.x", "facts.x"])
def test_no_such_fact(name: str) -> None:
    with pytest.raises(DeploymentError, match="no field"):
        Deployment().fact(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[debug]\nprot = "open"', r"profile\.toml, line 2: unknown key 'debug\.prot'[\s\S]*did you mean 'port'"),
        ("[debugg]", r"line 1: unknown key 'debugg'[\s\S]*did you mean 'debug'"),
        ('[debug]\n\nport = "opened"', r"line 3: key 'debug\.port'[\s\S]*'opened'[\s\S]*'open', 'locked'"),
        ('[product]\nunits = "many"', r"'product\.units'[\s\S]*found: 'many'[\s\S]*integer"),
        ("[product]\nunits = true", r"'product\.units'[\s\S]*found: True"),
        ("[product]\nunits = 0", r"'product\.units'[\s\S]*greater than or equal to 1"),
        ("[limits]\ndeadline_ms = nan", r"'limits\.deadline_ms'[\s\S]*nan"),
        ("[limits]\ndeadline_ms = -1", r"'limits\.deadline_ms'[\s\S]*greater than 0"),
        ("[sensor]\nlow = 5\nhigh = 5", r"'sensor'[\s\S]*low = 5 is not below high = 5"),
        ('[interfaces]\navailable = ["none", "usb"]', r"'none' together"),
        ('[interfaces]\navailable = "usb"', r"'interfaces\.available'[\s\S]*a list"),
        ('[interfaces]\navailable = ["usb", "telepathy"]', r"'interfaces\.available\.1'[\s\S]*'telepathy'"),
        ("product = [1]", r"key 'product'[\s\S]*a table"),
        ("[product]\nname = 1979-05-27", r"'product\.name'[\s\S]*a text"),
        ("[debug]\nport = open\n", r"not valid TOML[\s\S]*line 2"),
        ('"\\u001b[31m" = 1', r"unknown key '\\x1b\[31m'"),  # no escape sequence reaches the terminal
        ("a=" + "[\n" * 30_000, r"nests too deeply"),
        ("a." * 30_000 + "a = 1", r"line 1 is too long"),
        ("#" * (MAX_BYTES + 1), r"too large"),
    ],
)
def test_mistakes_are_answered(profile: Path, text: str, words: str) -> None:
    profile.write_text(text)
    with pytest.raises(DeploymentError, match=words):
        load_deployment(profile)


def test_what_is_no_text_file(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b'[product]\nname = "\xff"')
    os.mkfifo(tmp_path / "pipe.toml")
    for name, words in (
        ("bytes.toml", "UTF-8"),
        ("pipe.toml", "not a file"),
        ("", "not a file"),
        ("missing.toml", "tinymlsec init"),
        ("nul\0.toml", "cannot read"),
    ):
        with pytest.raises(DeploymentError, match=words):
            load_deployment(tmp_path / name)
