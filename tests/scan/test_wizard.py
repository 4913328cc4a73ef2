"""`tinymlsec init --ask`: answers from a pipe become a profile."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tinymlsec.cli.wizard import DECISIVE, ONLY_IF, ask_product
from tinymlsec.target.deployment import load_deployment
from tinymlsec.target.deployment_file import describe

Done = subprocess.CompletedProcess[str]


def init(answers: str, *more: str) -> Done:
    command = [sys.executable, "-m", "tinymlsec", "init", *more]
    return subprocess.run(command, input=answers, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_question_is_a_fact_with_words() -> None:
    fields = {info.name: info for info in describe()}
    assert all(fields[name].allowed for name in DECISIVE)
    assert {name for pair in ONLY_IF.items() for name in (pair[0], pair[1][0])} <= set(DECISIVE)
    assert all(word in fields[name].allowed for name, word in ONLY_IF.values())


def test_answers_become_the_profile() -> None:
    done = init("esp8266-nodemcu\nLock\npublic\n\nY\n", "--ask")
    assert done.returncode == 0, done.stderr
    profile = load_deployment("deployment.toml")
    assert profile.product.name == "Lock"
    assert (profile.access.physical, profile.access.unattended, profile.access.lab_access) == (
        "public",
        "unknown",
        "yes",
    )
    assert "--device esp8266-nodemcu" in done.stdout
    assert "stay unknown" in done.stdout


def test_no_answer_at_all_is_an_unknown_product() -> None:
    assert init("", "--ask").returncode == 0
    assert len(load_deployment("deployment.toml").assumed) == len(list(describe())) - 2


def test_flags_are_not_asked_for_again() -> None:
    done = init("", "--ask", "--set", "debug.port=fused", "--name", "Lock")
    assert "Name of the product" not in done.stdout
    assert load_deployment("deployment.toml").debug.port == "fused"


def test_without_a_terminal_nothing_is_asked() -> None:
    done = init("public\n")
    assert "?" not in done.stdout
    assert tomllib.loads(Path("deployment.toml").read_text())["access"]["physical"] == "unknown"


@pytest.mark.parametrize(("answer", "code"), [("no\n", 2), ("", 2), ("yes\n", 0)])
def test_a_file_is_replaced_only_when_told(answer: str, code: int) -> None:
    Path("deployment.toml").write_text("mine")
    assert init(answer, "--ask").returncode == code
    assert (Path("deployment.toml").read_text() == "mine") is (code != 0)


def asked(*answers: str) -> tuple[dict[str, str], str | None, list[str]]:
    left, prompts = list(answers), list[str]()

    def ask(prompt: str) -> str | None:
        prompts.append(prompt)
        return left.pop(0) if left else None

    return *ask_product({}, ask), prompts


def test_wrong_words_are_asked_again_and_then_left() -> None:
    answers, device, _ = asked("no-such-chip", "", "", "perhaps", "controlled")
    assert device is None
    assert answers["access.physical"] == "controlled"
    answers, _, prompts = asked("", "", *["perhaps"] * 5, "no")
    assert "access.physical" not in answers
    assert answers["access.unattended"] == "no"
    assert len(prompts) == 9


def test_beginnings_of_words_are_enough_where_they_are_clear() -> None:
    answers, _, _ = asked("", "", "re", "u", "n")
    assert answers == {"access.physical": "restricted", "access.lab_access": "no"}


def test_what_follows_from_an_answer_is_not_asked() -> None:
    answers, _, prompts = asked("", "", *[""] * 7, "none", *[""] * 100)
    assert answers == {"update.channel": "none"}
    assert len(prompts) == 2 + len(DECISIVE) - len(ONLY_IF) + 1
