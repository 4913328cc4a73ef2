"""Asks for the facts of a product that decide most, one by one; Enter means that it is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import typer

DECISIVE = (
    "access.physical", "access.unattended", "access.lab_access", "interfaces.network_exposure", "interfaces.inputs",
    "interfaces.outputs", "interfaces.link_encrypted", "update.channel", "update.signed", "update.anti_rollback",
    "update.model_separate", "update.model_signed", "debug.port", "debug.readout_protection", "debug.bootloader",
    "boot.secure_boot", "model.encrypted_at_rest", "model.location", "model.runtime", "model.file_validated",
    "model.source", "keys.storage", "keys.shared_fleet_key", "isolation.mpu_used", "assets.model", "assets.user_data",
    "assets.decisions", "assets.safety", "assets.keys",
)  # fmt: skip
"""Facts that the wizard asks for: those with the most scoring and scan rules behind them."""

ONLY_IF = {
    "update.signed": ("update.channel", "none"),
    "update.anti_rollback": ("update.channel", "none"),
    "update.model_separate": ("update.channel", "none"),
    "update.model_signed": ("update.model_separate", "no"),
}
"""Question -> (earlier question, answer after which it has no meaning)."""

_TRIES = 5
_STOP = "unanswered questions stay unknown"

Ask = Callable[[str], str | None]
"""Shows a prompt and returns the answer; None where there are no more."""


def read_answer(prompt: str) -> str | None:
    """An answer from the terminal or a pipe."""
    typer.echo(f"{prompt}: ", nl=False)
    try:
        return input()
    except EOFError:
        typer.echo("")
        return None


def ask_product(known: dict[str, str], ask: Ask = read_answer) -> tuple[dict[str, str], str | None]:
    """Asks all questions that are not answered yet.

    Args:
        known: answers by dotted name that were given as flags.
        ask: how to ask.

    Returns:
        All answers by dotted name, and the id of the device, if one was named.
    """
    typer.echo("Enter leaves a fact unknown: it counts neither as protection nor as weakness.")
    answers = dict(known)
    device, more = _ask_device(ask)
    if more and "product.name" not in answers:
        name = ask("Name of the product")
        more = name is not None
        answers |= {"product.name": name.strip()} if name and name.strip() else {}
    for question, meaning, words in _questions():
        if not more:
            typer.echo(_STOP)
            break
        if question in answers or _senseless(question, answers):
            continue
        value, more = _ask_word(question, meaning, words, ask)
        answers |= {question: value} if value else {}
    return answers, device


def _questions() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    from tinymlsec.target.deployment_file import describe

    fields = {info.name: info for info in describe()}
    for name in DECISIVE:
        yield name, fields[name].meaning, tuple(word for word in fields[name].allowed if word != "unknown")


def _senseless(question: str, answers: dict[str, str]) -> bool:
    earlier = ONLY_IF.get(question)
    return earlier is not None and answers.get(earlier[0]) == earlier[1]


def _ask_word(question: str, meaning: str, words: tuple[str, ...], ask: Ask) -> tuple[str, bool]:
    """(answer, empty for unknown; whether there may be more answers)."""
    typer.echo(f"\n{question}: {meaning}")
    for _ in range(_TRIES):
        text = ask(f"  {' / '.join(words)}")
        if text is None:
            return "", False
        word = text.strip().lower()
        if word in ("", "?", "u", "unknown"):
            return "", True
        matches = [word] if word in words else [known for known in words if known.startswith(word)]
        if len(matches) == 1:
            return matches[0], True
        typer.echo(f"  one of {', '.join(words)}, its first letters, or Enter")
    typer.echo("  left unknown")
    return "", True


def _ask_device(ask: Ask) -> tuple[str | None, bool]:
    """(id of the device, None for unknown; whether there may be more answers)."""
    from tinymlsec.errors import DeviceError
    from tinymlsec.target.device import load_device

    for _ in range(_TRIES):
        text = ask("Board or chip (an id of tinymlsec list devices)")
        if text is None or not text.strip():
            return None, text is not None
        try:
            return load_device(text.strip()).id, True
        except DeviceError as error:
            from tinymlsec.cli.terminal import plain

            typer.echo(f"  {plain(' '.join(str(error).split()), 300)}")
    return None, True
