"""What `tinymlsec init` writes can be read back, and documents itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinymlsec.errors import DeploymentError
from tinymlsec.target.deployment import Deployment, load_deployment
from tinymlsec.target.deployment_file import (
    deployment_from_flags,
    describe,
    profile_text,
    reference_table,
)

DOCS = Path(__file__).parents[2] / "docs" / "deployment-profile.md"


def written(tmp_path: Path, **flags: object) -> Deployment:
    path = tmp_path / "p.toml"
    path.write_text(profile_text(**flags), encoding="utf-8")
    return load_deployment(path)


def test_an_empty_profile_comes_back(tmp_path: Path) -> None:
    assert written(tmp_path) == Deployment()


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        ({"physical": "public"}, "access.physical", "public"),
        ({"debug__port": "fused"}, "debug.port", "fused"),
        ({"update.signed": "no"}, "update.signed", "no"),
        ({"units": "1200"}, "product.units", 1200),
        ({"deadline_ms": "2.5"}, "limits.deadline_ms", 2.5),
        ({"threshold": 1e-07}, "sensor.threshold", 1e-07),
        ({"available": "usb, ble"}, "interfaces.available", ("usb", "ble")),
        ({"available": ["none"]}, "interfaces.available", ("none",)),
        ({"safety_critical": True}, "product.safety_critical", "yes"),
        ({"port": None}, "debug.port", "unknown"),
        ({"product.name": 'a "b" \\ \x7f\u2028\n\t😀 # ='}, "product.name", 'a "b" \\ \x7f\u2028\n\t😀 # ='),
    ],
)
def test_flags_come_back(tmp_path: Path, flags: dict[str, object], name: str, value: object) -> None:
    deployment = written(tmp_path, **flags)
    assert deployment.fact(name) == value
    assert deployment == deployment_from_flags(**flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"phsical": "public"}, "physical"),
        ({"name ": "x"}, "name"),
        ({"user_data": "huge"}, r"assets\.user_data[\s\S]*huge"),
        ({"units": "many"}, r"product\.units[\s\S]*many"),
        ({"product.name": "\ud800"}, r"product\.name"),
    ],
)
def test_wrong_flags(flags: dict[str, str], words: str) -> None:
    with pytest.raises(DeploymentError, match=words):
        profile_text(**flags)


def test_a_key_of_two_tables_needs_its_table() -> None:
    with pytest.raises(DeploymentError, match=r"several keys[\s\S]*model\.training_data or assets\.training_data"):
        profile_text(training_data="own")


def test_every_key_says_what_it_means() -> None:
    text = profile_text()
    for info in describe():
        assert info.meaning.endswith("."), info.name
        assert info.allowed or info.kind in ("text", "integer", "number"), info.name
        assert info.default in ("unknown", None, "", ()), info.name
    assert max(map(len, text.splitlines())) <= 120


def test_the_documented_reference_is_the_model() -> None:
    begin, end = "<!-- reference: begin -->\n", "<!-- reference: end -->"
    documented = DOCS.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    assert documented.strip() == reference_table().strip()


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(DOCS.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0])
    assert load_deployment(path).debug.port == "fused"
