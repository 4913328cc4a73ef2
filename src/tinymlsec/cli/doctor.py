"""`tinymlsec doctor`: what is installed, and what each missing part would add."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    warm: Annotated[bool, typer.Option(help="Build minimal firmware for every core, which fills the cache.")] = True,
) -> int:
    """Check the installation: versions, the runtime, extras, compilers, plug-ins."""
    import json

    from tinymlsec.cli.terminal import console
    from tinymlsec.doctor import doctor as examine
    from tinymlsec.doctor import doctor_text
    from tinymlsec.registry import discover

    found, registry = examine(warm), discover()
    if output == "json":
        document = {**found.to_dict(), "attacks": list(registry.attacks), "plugin_problems": list(registry.problems)}
        typer.echo(json.dumps(document, indent=2))
        return 0
    out = console()
    out.print(doctor_text(found))
    out.print(f"attacks: {len(registry.attacks)} ({', '.join(registry.attacks)})")
    for problem in registry.problems:
        out.print(f"plug-in problem: {problem}")
    return 0
