"""`doctor`: says what works, what is missing, what that would add and how to get it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import tinymlsec.doctor as module
from tinymlsec.capabilities import Capability
from tinymlsec.doctor import State, doctor, doctor_text
from tinymlsec.errors import OracleCrash

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def names(requirements):
    return {re.split(r"[^A-Za-z0-9_-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


def check(report, name):
    return next(item for item in report.checks if item.name == name)


def test_a_sound_installation():
    report = doctor()
    assert report.ok
    runtime = check(report, "tflite-micro")
    assert runtime.state is State.OK
    assert "computed sines" in runtime.detail
    assert all(check(report, name).state is State.OK for name in ("python", "numpy", "matplotlib", "memory"))
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


def test_lists_agree_with_the_project_file():
    assert set(module.CORE) | {"tflite-micro"} == names(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]
    assert set(module.EXTRAS) == set(extras) - {"all"}
    for name, (_, packages) in module.EXTRAS.items():
        assert set(packages) <= names(extras[name])


def test_missing_extra_says_what_it_adds_and_how_to_get_it(monkeypatch):
    monkeypatch.setitem(module.EXTRAS, "moon", ("moonlight", ("no-such-package",)))
    report = doctor()
    item = check(report, "extra [moon]")
    assert (item.state, item.adds, item.fix) == (State.MISSING, "moonlight", 'pip install "tinymlsec[moon]"')
    assert report.ok, "what is optional is no problem"
    assert 'to get it: pip install "tinymlsec[moon]"' in doctor_text(report).plain


def test_missing_library_is_a_problem(monkeypatch):
    monkeypatch.setattr(module, "CORE", ("numpy", "no-such-package"))
    report = doctor()
    assert not report.ok
    assert check(report, "no-such-package").state is State.PROBLEM
    assert "should work does not" in doctor_text(report).plain


def test_platform_without_the_runtime(monkeypatch):
    monkeypatch.setattr("tinymlsec.target.oracle.find_spec", lambda name: None)
    item = check(doctor(), "tflite-micro")
    assert item.state is State.MISSING
    assert "running models" in item.adds
    assert "Linux" in item.fix


def crash():
    raise OracleCrash("died", signal="SIGILL")


@pytest.mark.parametrize(
    ("name", "value", "text"), [("_self_test", crash, "SIGILL"), ("_bundled_model", None, "sines")]
)
def test_runtime_that_fails_its_self_test(monkeypatch, name, value, text):
    if value is None:
        from oracle.oracle_models import relu

        monkeypatch.setattr(module, name, lambda: relu(1, 1))  # anything but a sine
    else:
        monkeypatch.setattr(module, name, value)
    item = check(doctor(), "tflite-micro")
    assert item.state is State.PROBLEM
    assert text in item.detail


def test_capabilities_of_later_versions_are_named_without_promises():
    absent = {item.name.removeprefix("capability ") for item in doctor().checks if item.state is State.ABSENT}
    assert "gradients_float" in absent
    assert not absent & {Capability.MODEL.value, Capability.SCORES.value, Capability.DATA.value}
