"""`tinymlsec doctor`: what is installed and what each missing part would add; with --firmware, what a firmware is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinymlsec.emulate.foreign.examine import Examination, Question


NOTHING_RUN = 3


def doctor(
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    warm: Annotated[bool, typer.Option(help="Build minimal firmware for every core, which fills the cache.")] = True,
    firmware: Annotated[
        Path | None, typer.Option(help="Look through this ELF, Intel HEX, UF2 or raw image instead.")
    ] = None,
    core: Annotated[str | None, typer.Option(help="Core of the firmware, such as cortex-m4.")] = None,
    device: Annotated[str | None, typer.Option(help="Device of the firmware: its core and memories.")] = None,
    firmware_config: Annotated[
        Path | None, typer.Option(help="Target description (TOML): run one inference by it.")
    ] = None,
    firmware_base: Annotated[str | None, typer.Option(help="Address of the first byte of a raw image.")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="Longest run of the firmware.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Check the installation, or with --firmware what a firmware is and how to run an inference on it."""
    from tinymlsec.cli.terminal import address
    from tinymlsec.errors import UsageError

    if output not in ("text", "json"):
        raise UsageError("unknown format", found=output, expected="text or json")
    if firmware is not None:
        if firmware_config is not None and (core or device):
            raise UsageError("--firmware-config names core or device itself", next_step="leave --core and --device out")
        if core is not None and device is not None:
            raise UsageError("either --core or --device, not both")
        return _firmware(firmware, firmware_config, core, device, address(firmware_base), seconds, output, quiet)
    given = {"--core": core, "--device": device, "--firmware-config": firmware_config, "--firmware-base": firmware_base}
    if lonely := [name for name, value in given.items() if value is not None]:
        raise UsageError(f"{lonely[0]} has a meaning with --firmware only")
    return _installation(output, warm, quiet)


def _installation(output: str, warm: bool, quiet: bool) -> int:
    import json

    from tinymlsec.cli.terminal import console, progress_bar
    from tinymlsec.doctor import doctor as examine
    from tinymlsec.doctor import doctor_text
    from tinymlsec.registry import discover

    with progress_bar(quiet=quiet) as show:
        found, registry = examine(warm, show), discover()
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


def _firmware(
    path: Path, config: Path | None, core: str | None, device: str | None, base: int | None, seconds: float,
    output: str, quiet: bool,
) -> int:  # fmt: skip
    from tinymlsec.emulate.foreign.description import read_description
    from tinymlsec.emulate.foreign.examine import Question
    from tinymlsec.emulate.foreign.first_run import Limits
    from tinymlsec.errors import CapabilityMissing

    description = None if config is None else read_description(config)
    try:
        found = _examined(Question(path, core, device, description, base, Limits(seconds=seconds)), quiet)
    except CapabilityMissing as error:
        typer.echo(f"error: {error}", err=True)
        return NOTHING_RUN
    _print(found, output)
    failed = description is not None and found.trial is not None and not found.trial.ending.ok
    return 1 if failed else 0


def _examined(question: Question, quiet: bool) -> Examination:
    import time

    from tinymlsec.cli.terminal import progress_bar
    from tinymlsec.emulate.foreign.examine import examine

    began, limit = time.monotonic(), int(question.limits.seconds)
    with progress_bar(quiet=quiet) as show:
        return examine(question, lambda what: show(min(int(time.monotonic() - began), limit), limit, what))


def _print(found: Examination, output: str) -> None:
    import json

    from tinymlsec.cli.terminal import console, plain

    if output == "json":
        from tinymlsec.emulate.foreign.examination_json import data_of

        typer.echo(json.dumps(data_of(found), indent=2))
        return
    from tinymlsec.emulate.foreign.examination_text import lines_of

    say: Callable[[str], None] = console().print
    for line in lines_of(found):
        say(plain(line, 2000))
    if found.suggestion:
        say("\na target description to start from:\n")
        typer.echo("\n".join(plain(line, 2000) for line in found.suggestion.splitlines()))  # as it is, not wrapped
