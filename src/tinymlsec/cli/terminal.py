"""What commands share on the terminal: consoles, progress, the closing summary."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.context import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console

    from tinymlsec.assessment import Assessment
    from tinymlsec.evidence import Evidence


def console(*, stderr: bool = False) -> Console:
    """A console that never reads markup out of other people's strings, and that nobody needs to read to the end."""
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            """The reader went away (`| head`): an assessment goes on without words; Rich would end it with exit 1."""
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)

    terminal = sys.stdout is not None and sys.stdout.isatty()  # None where the caller closed it
    return Lasting(stderr=stderr, markup=False, highlight=False, soft_wrap=not terminal)


def plain(text: str, limit: int = 200) -> str:
    """Text from strangers made harmless for a terminal: no control characters, bounded length."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(text) <= limit else clean[:limit] + "..."


def address(text: str | None) -> int | None:
    """The value of --firmware-base as it was typed, decimal or with a prefix; None where it was left out.

    Raises:
        UsageError: it is no number.
    """
    from tinymlsec.errors import UsageError

    if text is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(
            "--firmware-base is no address", found=text[:40], expected="a number such as 0x08000000"
        ) from None


def command_line() -> str:
    """The command as it was typed, for the report; bytes that are no UTF-8 become question marks."""
    return shlex.join(["tinymlsec", *sys.argv[1:]]).encode("utf-8", "replace").decode()


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """A progress channel that shows a bar on a terminal and nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, what: str) -> None:
            bar.update(task, description=plain(what, 60), completed=done, total=total)

        yield show


def say_evidence(evidence: Evidence) -> None:
    """One line for an attack that has just ended."""
    verdict = evidence.verdict
    reason = f": {plain(verdict.reason, 160)}" if verdict.reason else f": {plain(evidence.summary, 160)}"
    console().print(f"  {evidence.attack:<20} {verdict.kind.value:<12} {evidence.seconds:6.1f} s{reason}")


def say_summary(assessment: Assessment, reports: dict[str, Path], *, worst: int = 3) -> None:
    """The closing lines of an assessment: what it shows, the worst findings, where the report is."""
    from tinymlsec.report.view import build_report, worst_findings
    from tinymlsec.threat.records import ThreatOutcome

    out = console()
    report = build_report(assessment.run, assessment.evidence, assessment.threats)
    out.print()
    out.print(report.summary.coverage)
    out.print()
    found = [item.headline for item in worst_findings(report, worst)]
    untested = [
        f"{t.threat} {t.title} (not tested; by facts alone CVSS 4.0 {t.scorecard.v40_bte.score} {t.severity.value})"
        for t in report.threats
        if t.outcome is ThreatOutcome.UNTESTED and t.scorecard
    ]
    out.print(f"The {worst} worst findings, the most urgent untested threats where fewer were found:")
    for number, headline in enumerate([*found, *untested][:worst], start=1):
        out.print(f"  {number}. {plain(headline, 300)}")
    out.print()
    for kind, path in reports.items():
        out.print(f"{kind + ':':<9}{path}")
