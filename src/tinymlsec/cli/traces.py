"""`tinymlsec traces`: campaigns of simulated traces that are kept, and a look at traces of any kind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinymlsec.context import Progress
    from tinymlsec.traces.traceset import Noise, TraceSet

EXIT_INTERRUPTED = 130
MODELS = "hamming_weight, hamming_distance, bus, bus_distance, mixed"
STYLES = "plain, unrolled, dsp"

app = typer.Typer(
    help="Make, look at and convert sets of side-channel traces.", no_args_is_help=True, rich_markup_mode=None
)

Out = Annotated[Path, typer.Option("-o", "--out", help="Zarr folder to make.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a folder that is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]
InputFile = Annotated[Path | None, typer.Option("--inputs", help=".npy with the inputs, where the set has none.")]
InputAt = Annotated[
    str | None, typer.Option("--input-at", metavar="FIRST:BYTES", help="Where the input lies in the data of a .trs.")
]


@app.command("simulate")
def simulate(
    model: Annotated[Path, typer.Argument(help="The .tflite file.")],
    device: Annotated[str, typer.Option(help="Board or chip id (tinymlsec list devices), or a TOML file.")],
    out: Out,
    window: Annotated[
        str | None,
        typer.Option(
            help="op:<n>, op:<n>@<y>,<x>,<c0>:<c1> (one output pixel, some channels), or inference; by default the "
            "middle pixel and first channel of the first layer that has pixels."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000_000, help="Traces.")] = 1000,
    leakage: Annotated[str, typer.Option(help=f"What the probe sees: {MODELS}.")] = "hamming_weight",
    class_weights: Annotated[
        str | None, typer.Option(help="Factors by class of instruction, such as load=1.2,store=0.8.")
    ] = None,
    snr: Annotated[float | None, typer.Option(help="Signal-to-noise ratio at --snr-at.")] = None,
    snr_at: Annotated[
        int | None, typer.Option(min=0, help="Sample of that ratio; by default the one whose signal varies most.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(min=0, help="Standard deviation of the noise, in bits.")] = None,
    low_pass: Annotated[int, typer.Option(min=1, max=1024, help="Samples that a moving average takes together.")] = 1,
    misalign: Annotated[int, typer.Option(min=0, max=10_000, help="Largest shift of a trace, in samples.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Inputs as .npz (x); random codes otherwise.")] = None,
    style: Annotated[str, typer.Option(help=f"Inner loops of the kernels: {STYLES}.")] = "plain",
    seed: Annotated[int, typer.Option(min=0, help="Seed of inputs and noise.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Simulate traces of a model's own firmware and keep them; interrupted, the same command goes on.

    Noise is one of --sigma and --snr; without either, traces are free of noise.
    """
    from tinymlsec.traces.campaign import CampaignOptions, campaign, checked_style, class_factors

    options = CampaignOptions(
        window, count, leakage, class_factors(class_weights), _noise(snr, snr_at, sigma, low_pass, misalign), data,
        checked_style(style), seed,
    )  # fmt: skip
    with _going_on(out), campaign(model, device, options) as traces:
        _keep(traces, out, overwrite=overwrite, quiet=quiet)
    return 0


@app.command("show")
def show(
    path: Annotated[Path, typer.Argument(help="Zarr folder, .npy, .npz, .trs or .cwp.")],
    inputs: InputFile = None,
    input_at: InputAt = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Print what a set of traces says of itself, and what one pass over it sees."""
    _print(_opened(path, inputs, input_at), quiet=quiet)
    return 0


@app.command("convert")
def convert(
    path: Annotated[Path, typer.Argument(help="Zarr folder, .npy, .npz, .trs or .cwp.")],
    out: Out,
    inputs: InputFile = None,
    input_at: InputAt = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Import traces of any kind into a Zarr folder, with their inputs; interrupted, the same command goes on."""
    with _going_on(out):
        _keep(_opened(path, inputs, input_at), out, overwrite=overwrite, quiet=quiet)
    return 0


def _noise(snr: float | None, snr_at: int | None, sigma: float | None, low_pass: int, misalign: int) -> Noise:
    from tinymlsec.errors import UsageError
    from tinymlsec.traces.traceset import Noise

    if snr is not None and sigma is not None:
        raise UsageError("noise is set in two ways", found="--snr and --sigma", expected="one of them")
    if snr is None and snr_at is not None:
        raise UsageError("--snr-at speaks of a ratio", found="no --snr", next_step="give --snr as well")
    if snr is not None and not 0 < snr < 1e9:
        raise UsageError("a signal-to-noise ratio", found=f"{snr:g}", expected="above 0, below 1e9")
    return Noise(sigma=sigma or 0.0, snr=snr, snr_at=snr_at, low_pass=low_pass, jitter=misalign)


def _opened(path: Path, inputs: Path | None, input_at: str | None) -> TraceSet:
    from tinymlsec.traces.imports import load_traces

    return load_traces(path, inputs=inputs, input_at=_place(input_at))


def _place(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, colon, length = text.partition(":")
    if not (colon and first.isascii() and first.isdecimal() and length.isascii() and length.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not FIRST:BYTES, such as 0:16", param_hint="--input-at")
    return int(first[:9]), int(length[:9])


def _keep(traces: TraceSet, out: Path, *, overwrite: bool, quiet: bool) -> None:
    from tinymlsec.cli.terminal import progress_bar
    from tinymlsec.traces.zarr_store import write_zarr

    meter = _Meter()
    with progress_bar(quiet=quiet) as bar:
        kept = write_zarr(traces, out, overwrite=overwrite, progress=meter.telling(bar))
    if quiet:
        return
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    before = f"; {meter.before:,} were there already" if meter.before else ""
    typer.echo(f"wrote {meter.made:,} traces in {meter.seconds:.1f} s ({meter.rate:,.0f} a second){before}")
    typer.echo(f"{'folder:':<18}{_plain(str(out))}, {size:,} bytes ({size / max(len(kept), 1):,.0f} a trace)")
    _print(kept, quiet=quiet)


class _Meter:
    """How many traces a run makes, and how fast: those that an earlier run left do not count."""

    def __init__(self) -> None:
        self.before, self.done, self._began, self._ended = 0, 0, 0.0, 0.0

    def telling(self, bar: Progress) -> Progress:
        def tell(done: int, total: int, what: str) -> None:
            now = time.monotonic()
            if not self._began:
                self.before, self._began = done, now
            self.done, self._ended = done, now
            bar(done, total, what)

        return tell

    @property
    def made(self) -> int:
        return self.done - self.before

    @property
    def seconds(self) -> float:
        return self._ended - self._began

    @property
    def rate(self) -> float:
        return self.made / self.seconds if self.seconds > 0 else 0.0


def _print(traces: TraceSet, *, quiet: bool) -> None:
    from tinymlsec.cli.terminal import progress_bar
    from tinymlsec.traces.look import look
    from tinymlsec.traces.words import lines_of

    with progress_bar(quiet=quiet) as progress:
        looked = look(traces, needs_inputs=False, progress=progress)
    for name, value in lines_of(traces, looked):
        typer.echo(f"{name + ':':<18}{_plain(value)}")


def _plain(text: str) -> str:
    from tinymlsec.cli.terminal import plain

    return plain(text, 400)


@contextmanager
def _going_on(out: Path) -> Iterator[None]:
    """Says after an interrupt that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"the same command goes on: what is written is kept beside {_plain(str(out))}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
