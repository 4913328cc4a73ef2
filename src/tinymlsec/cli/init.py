"""`tinymlsec init`: a commented deployment profile from flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("deployment.toml"),
    name: Annotated[str | None, typer.Option(help="Name of the product.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE, such as debug.port=fused; repeatable.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> int:
    """Write a deployment profile: every fact the scoring reads, with its meaning and allowed values as comments."""
    from tinymlsec.cli.terminal import console
    from tinymlsec.errors import UsageError
    from tinymlsec.small_files import write_atomically
    from tinymlsec.target.deployment_file import profile_text

    flags = dict(_split(setting) for setting in settings or [])
    if name:
        flags["product.name"] = name
    if out.exists() and not force:
        raise UsageError("the file is there already", found=str(out), next_step="choose another -o, or say --force")
    write_atomically(out, profile_text(**flags).encode())
    console().print(f"wrote {out}: edit it, then run tinymlsec assess MODEL --device ID --deployment {out}")
    return 0


def _split(setting: str) -> tuple[str, str]:
    from tinymlsec.errors import UsageError

    key, equals, value = setting.partition("=")
    if not equals or "." not in key:
        raise UsageError("a setting cannot be read", found=setting, expected="SECTION.KEY=VALUE")
    return key.strip(), value.strip()
