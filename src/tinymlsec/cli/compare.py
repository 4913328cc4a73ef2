"""`tinymlsec compare A B`: what is new, gone and changed between two scans or two assessments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.compare.records import Comparison


def compare(
    run_a: Annotated[Path, typer.Argument(help="The earlier: a run folder of assess, or scan.json.")],
    run_b: Annotated[Path, typer.Argument(help="The later one, of the same kind.")],
    fail_on: Annotated[
        str, typer.Option(help="Exit 1 where something new is at or above: none, low, medium, high, critical.")
    ] = "none",
    output: Annotated[str, typer.Option("--format", help="text, json or md.")] = "text",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write instead of the terminal.")] = None,
) -> int:
    """Compare two scans, or two assessments: findings, threats, and metrics beyond their intervals."""
    from tinymlsec.cli.assess import EXIT_FINDINGS, check_fail_on
    from tinymlsec.compare.load import compare as run
    from tinymlsec.errors import UsageError
    from tinymlsec.records import Severity

    level = check_fail_on(fail_on)
    if output not in ("text", "json", "md"):
        raise UsageError("unknown format", found=output, expected="text, json or md")
    result = run(run_a, run_b)
    _write(_rendered(result, output), out)
    bad = level != "none" and result.worst_new.rank >= Severity(level).rank
    return EXIT_FINDINGS if bad else 0


def _rendered(result: Comparison, output: str) -> str:
    from tinymlsec.compare.text import render_markdown, render_text
    from tinymlsec.report.json_report import finite_json

    if output == "json":
        return finite_json(result.model_dump(mode="json"))
    return render_markdown(result) if output == "md" else render_text(result)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    from tinymlsec.errors import InputError
    from tinymlsec.report.write import replace_file

    try:
        replace_file(out, text)
    except OSError as error:
        raise InputError("the comparison cannot be written", found=f"{out}: {error.strerror}") from error
