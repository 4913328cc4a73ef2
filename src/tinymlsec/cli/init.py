"""`tinymlsec init`: a commented deployment profile from flags, or from answers to questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def init(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("deployment.toml"),
    name: Annotated[str | None, typer.Option(help="Name of the product.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE, such as debug.port=fused; repeatable.")
    ] = None,
    ask: Annotated[
        bool | None, typer.Option("--ask/--no-ask", help="Ask for the facts; on a terminal without flags by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> int:
    """Write a deployment profile: every fact the scoring reads, with its meaning and allowed values as comments."""
    from tinymlsec.errors import UsageError

    flags = dict(_split(setting) for setting in settings or [])
    if name:
        flags["product.name"] = name
    asking = _on_terminal() and not flags if ask is None else ask
    if out.exists() and not force and not (asking and _may_replace(out)):
        raise UsageError("the file is there already", found=str(out), next_step="choose another -o, or say --force")
    device = None
    if asking:
        from tinymlsec.cli.wizard import ask_product

        flags, device = ask_product(flags)
    _write(out, flags, device)
    return 0


def _write(out: Path, flags: dict[str, str], device: str | None) -> None:
    from tinymlsec.cli.terminal import console
    from tinymlsec.small_files import write_atomically
    from tinymlsec.target.deployment_file import profile_text

    write_atomically(out, profile_text(**flags).encode())
    name = device or "ID"
    console().print(f"wrote {out}: edit it, then run tinymlsec assess MODEL --device {name} --deployment {out}")
    console().print(f"or look at its facts alone: tinymlsec scan --device {name} --deployment {out}")


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()


def _may_replace(out: Path) -> bool:
    from tinymlsec.cli.terminal import plain
    from tinymlsec.cli.wizard import read_answer

    answer = read_answer(f"{plain(str(out), 300)} is there already; replace it? yes / no")
    return answer is not None and answer.strip().lower() in ("y", "yes")


def _split(setting: str) -> tuple[str, str]:
    from tinymlsec.errors import UsageError

    key, equals, value = setting.partition("=")
    if not equals or "." not in key:
        raise UsageError("a setting cannot be read", found=setting, expected="SECTION.KEY=VALUE")
    return key.strip(), value.strip()
