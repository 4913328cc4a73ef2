"""`tinymlsec measure`: what a model costs on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_records import Measurement

FORMATS = ("text", "json", "md", "svg")
STYLES = ("plain", "unrolled", "dsp")


def measure(
    model: Annotated[Path, typer.Argument(help="The .tflite file.")],
    device: Annotated[str, typer.Option(help="Board or chip id (tinymlsec list devices), or a TOML file.")],
    style: Annotated[str, typer.Option(help=f"Inner loops of the kernels: {', '.join(STYLES)}.")] = "plain",
    inputs: Annotated[int, typer.Option(min=1, max=10_000, help="Inputs that are run.")] = 5,
    data: Annotated[Path | None, typer.Option(help="Samples as .npz; random codes otherwise.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random codes.")] = 0,
    optimize: Annotated[str, typer.Option("--optimize", help="Level of the compiler: O0, O1, O2, O3 or Os.")] = "O2",
    toolchain: Annotated[str | None, typer.Option(help="zig or gcc; by default what is found first.")] = None,
    output: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "text",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; by default the terminal.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Build a model as firmware, run it in the emulator, and print cycles as a range, time and memory."""
    from tinymlsec.cli.terminal import progress_bar
    from tinymlsec.emulate.codegen import Style
    from tinymlsec.emulate.measure import MeasureOptions
    from tinymlsec.emulate.measure import measure as run
    from tinymlsec.emulate.toolchain import find_toolchain

    if style not in STYLES:
        raise typer.BadParameter(f"{style!r} is none of {', '.join(STYLES)}", param_hint="--style")
    if output not in FORMATS:
        raise typer.BadParameter(f"{output!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    options = MeasureOptions(
        inputs=inputs,
        data=data,
        seed=seed,
        optimize=optimize,
        toolchain=find_toolchain(toolchain) if toolchain else None,
    )
    with progress_bar(quiet=quiet) as progress:
        found = run(model, device, Style(style), options, progress)
    _write(_rendered(found, output), out, quiet=quiet)
    return 0


def _rendered(found: Measurement, output: str) -> str:
    from tinymlsec.cli.terminal import plain
    from tinymlsec.report.measurement.markdown import markdown
    from tinymlsec.report.measurement.picture import picture
    from tinymlsec.report.measurement.text import text_lines

    if output == "json":
        return found.model_dump_json(indent=2) + "\n"
    if output == "md":
        return markdown(found)
    if output == "svg":
        return picture(found)
    return "\n".join(plain(line, 400) for line in text_lines(found)) + "\n"


def _write(text: str, out: Path | None, *, quiet: bool) -> None:
    from tinymlsec.errors import UsageError

    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {out}", found=error.strerror or str(error)) from None
    if not quiet:
        typer.echo(f"wrote {out}")
