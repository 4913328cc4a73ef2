"""`tinymlsec scan`: static checks of model files, firmware images and the product around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.scan.records import ScanReport
    from tinymlsec.scan.settings import ScanSettings

EXIT_INTERRUPTED = 130
SECONDS = 1.0
"""`scan.settings.DEFAULT_SECONDS`, which a test holds equal: importing it here would cost every start."""


def scan(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE_OR_FOLDER...", help="Models, images, folders of them.")
    ] = None,
    facts: Annotated[bool, typer.Option("--facts", help="Only print what one model file says.")] = False,
    device: Annotated[
        str | None, typer.Option(help="Board or chip id (tinymlsec list devices), or a TOML file.")
    ] = None,
    deployment: Annotated[Path | None, typer.Option(help="Deployment profile (tinymlsec init writes one).")] = None,
    runtime: Annotated[str | None, typer.Option(help="Runtime table that findings are relative to.")] = None,
    firmware: Annotated[Path | None, typer.Option(help="ELF whose resolver says which operators can run.")] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Run models with findings on the runtime, in a worker process.")
    ] = False,
    baseline: Annotated[
        Path | None, typer.Option(help="Findings that are known: --write-baseline or a JSON report made it.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", help="Write all findings as a baseline, and end with 0.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Suppressions and severities; tinymlsec.toml here without it.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Exit 1 at or above this severity: none, low, medium, high, critical.")
    ] = "high",
    formats: Annotated[
        str, typer.Option("--format", help="text, json, sarif, md, csv, junit; several with -o FOLDER.")
    ] = "text",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File, or folder for several formats.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, max=256, help="Processes.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Time for the searches in one image.")] = SECONDS,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Scan everything anew and keep nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; nothing on the terminal with -o.")] = False,
) -> int:
    """Scan model files and firmware images without running them.

    Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 bad input or a file that could not be read, 3 nothing
    could be scanned, 130 interrupted (the same command goes on).
    """
    from tinymlsec.cli.assess import check_fail_on
    from tinymlsec.rules.runtime import DEFAULT_RUNTIME
    from tinymlsec.scan.settings import ScanSettings

    if facts:
        return _facts(paths or [], formats)
    _check(paths, device, deployment)
    fail_on, wanted = check_fail_on(fail_on), _formats(formats, out)
    settings = ScanSettings(device, deployment, runtime or DEFAULT_RUNTIME, firmware, confirm, seconds)
    report = _judged(paths or [], settings, config, baseline, jobs, use_cache=not no_cache, quiet=quiet)
    _show(report, wanted, out, fail_on, quiet=quiet)
    if write_baseline is not None:
        return _keep(report, write_baseline, quiet=quiet)
    from tinymlsec.scan.judge import exit_code

    return exit_code(report, fail_on)


def _facts(paths: list[Path], output: str) -> int:
    from tinymlsec.cli.scan_facts import print_facts
    from tinymlsec.errors import UsageError

    if len(paths) != 1:
        raise UsageError("--facts reads one model file", found=f"{len(paths)} paths", expected="one .tflite file")
    print_facts(paths[0], output)
    return 0


def _check(paths: list[Path] | None, device: str | None, deployment: Path | None) -> None:
    from tinymlsec.errors import UsageError

    if not paths and device is None and deployment is None:
        raise UsageError(
            "there is nothing to scan", expected="tinymlsec scan FILE_OR_FOLDER...",
            next_step="or name a --device or a --deployment, whose facts have rules of their own",
        )  # fmt: skip


def _formats(text: str, out: Path | None) -> tuple[str, ...]:
    from tinymlsec.errors import UsageError
    from tinymlsec.scan.output import parse_formats

    names = parse_formats(text)
    if out is None and len(names) > 1:
        raise UsageError("several formats need a folder", found=", ".join(names), next_step="add -o FOLDER")
    return names


def _judged(
    paths: list[Path], settings: ScanSettings, config: Path | None, baseline: Path | None, jobs: int | None, *,
    use_cache: bool, quiet: bool,
) -> ScanReport:  # fmt: skip
    """Configuration and baseline are read first: a mistake in them must not come after minutes of work."""
    from tinymlsec.cli.terminal import progress_bar
    from tinymlsec.scan.baseline import load_baseline
    from tinymlsec.scan.config import load_config
    from tinymlsec.scan.engine import scan as run
    from tinymlsec.scan.judge import judge

    chosen = load_config(config)
    known = load_baseline(baseline) if baseline else None
    with _going_on(use_cache), progress_bar(quiet=quiet) as progress:
        report = run(paths, settings, jobs=jobs, use_cache=use_cache, progress=progress)
    return judge(report, chosen, known)


@contextmanager
def _going_on(use_cache: bool) -> Iterator[None]:
    """Says after an interrupt what is left of the work."""
    try:
        yield
    except KeyboardInterrupt:
        if use_cache:
            typer.echo("what was scanned is kept: the same command goes on from there", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _show(report: ScanReport, formats: tuple[str, ...], out: Path | None, fail_on: str, *, quiet: bool) -> None:
    from tinymlsec.cli.terminal import plain
    from tinymlsec.scan.output import FORMATS, write_reports

    if out is None:
        typer.echo(FORMATS[formats[0]](report, fail_on), nl=False)
        return
    written = write_reports(report, out, formats, fail_on)
    if not quiet:
        typer.echo(FORMATS["text"](report, fail_on), nl=False)
        for name, path in written.items():
            typer.echo(f"{name + ':':<9}{plain(str(path), 400)}")


def _keep(report: ScanReport, path: Path, *, quiet: bool) -> int:
    from tinymlsec.cli.terminal import plain
    from tinymlsec.scan.baseline import write_baseline
    from tinymlsec.scan.judge import EXIT_NOTHING_RAN, was_scanned

    if not any(was_scanned(file) for file in report.files):
        return EXIT_NOTHING_RAN  # an empty baseline made of nothing would look like a clean project
    write_baseline(report, path)
    if not quiet:
        typer.echo(f"baseline: {plain(str(path), 400)}", err=True)
    return 0
