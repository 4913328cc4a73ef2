"""`tinymlsec measure`: what a model costs on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.emulate.measure_records import Measurement

EXIT_DIFFERS = 1
STYLES = "plain, unrolled, dsp"
LEVELS = "O0, O1, O2, O3, Os"


def measure(
    model: Annotated[Path, typer.Argument(help="The .tflite file.")],
    device: Annotated[str, typer.Option(help="Board or chip id (tinymlsec list devices), or a TOML file.")],
    style: Annotated[str, typer.Option(help=f"Inner loops of the kernels: {STYLES}.")] = "plain",
    optimize: Annotated[str, typer.Option(help=f"Level of the compiler: {LEVELS}.")] = "O2",
    toolchain: Annotated[str | None, typer.Option(help="zig or gcc; by default zig where it is installed.")] = None,
    inputs: Annotated[int, typer.Option(min=1, max=10_000, help="Inputs that are run.")] = 5,
    data: Annotated[Path | None, typer.Option(help="Samples as .npz (x); random codes otherwise.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random codes.")] = 0,
    flash: Annotated[Path | None, typer.Option(help="Wait states and flash caches of the device as TOML.")] = None,
    stack: Annotated[int, typer.Option(min=256, max=1 << 20, help="Bytes set aside for the stack.")] = 8192,
    formats: Annotated[
        str | None, typer.Option("--format", help="text, json, md, html, svg; several with -o, separated by commas.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for measurement.<format>; a run folder shows it, too.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, and no text beside written files.")
    ] = False,
) -> int:
    """Build a model as firmware, run it in the emulator, and print cycles as a range, time, energy and memory.

    Ends with 0; with 1 where an output differs from the reference runtime's; with 2 where the model does not fit or
    something else cannot be used; with 3 where nothing could be run.
    """
    from tinymlsec.cli.terminal import progress_bar
    from tinymlsec.emulate.cycles.flash_timing import read_flash_timing
    from tinymlsec.emulate.measure_model import MeasureOptions
    from tinymlsec.emulate.measure_model import measure as run
    from tinymlsec.report.measurement.write import render, wanted_formats, write_measurement

    wanted = wanted_formats(formats, to_folder=out is not None)
    options = MeasureOptions(
        inputs=inputs,
        data=data,
        seed=seed,
        optimize=optimize,
        toolchain=toolchain,
        flash=read_flash_timing(flash) if flash else None,
        stack_bytes=stack,
    )
    with progress_bar(quiet=quiet) as progress:
        found = run(model, device, style=style, options=options, progress=progress)
    if out is None:
        typer.echo(render(found, wanted[0]), nl=False)
    else:
        written = write_measurement(found, out, wanted)
        if not quiet:
            typer.echo(render(found, "text"))
            typer.echo("\n".join(f"{name + ':':<6}{path}" for name, path in written.items()))
            if "json" in written and (out / "run.json").is_file():
                typer.echo(f"tinymlsec report {out} puts it into the report of this run")
    return _verdict(found)


def _verdict(found: Measurement) -> int:
    """Says on the error channel where figures are not to be trusted."""
    if not found.inputs.wrong:
        return 0
    typer.echo(
        f"warning: {found.inputs.wrong} of {found.inputs.count} outputs differ from the reference runtime's: "
        "this is a defect of tinymlsec, please report it with the model",
        err=True,
    )
    return EXIT_DIFFERS
