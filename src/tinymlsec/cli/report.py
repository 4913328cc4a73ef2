"""`tinymlsec report`: reports again, from a run folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_dir: Annotated[Path, typer.Argument(help="Folder that tinymlsec assess wrote.")],
    formats: Annotated[str, typer.Option("--format", help="Reports to write.")] = "html,json,sarif,md",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to write them; the run folder without.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary.")] = False,
) -> int:
    """Rebuild the reports of a run from its records."""
    from tinymlsec.assessment import read_run
    from tinymlsec.cli.terminal import say_summary
    from tinymlsec.report import parse_formats, write_assessment

    wanted = parse_formats(formats)
    result = read_run(run_dir)
    written = write_assessment(result, out or run_dir, wanted)
    if not quiet:
        say_summary(result, written)
    return 0
