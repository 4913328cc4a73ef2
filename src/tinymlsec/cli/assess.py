"""`tinymlsec assess`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinymlsec.cli.interrupted import RunInterrupted
from tinymlsec.registry import EffortLevel

if TYPE_CHECKING:
    from tinymlsec.assessment import Assessment

EXIT_FINDINGS, EXIT_NOTHING_RAN = 1, 3
FAIL_ON = ("none", "low", "medium", "high", "critical")


def assess(
    model: Annotated[Path | None, typer.Argument(help="The .tflite file; leave out to score the device alone.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Board or chip id (tinymlsec list devices), or a TOML file.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Samples as .npz: x, and y where there are labels.")] = None,
    deployment: Annotated[Path | None, typer.Option(help="Deployment profile (tinymlsec init writes one).")] = None,
    firmware: Annotated[
        Path | None, typer.Option(help="The image that is flashed: ELF, Intel HEX, UF2 or raw.")
    ] = None,
    firmware_base: Annotated[str | None, typer.Option(help="Address of the first byte of a raw image.")] = None,
    traces: Annotated[
        Path | None, typer.Option(help="Traces of the device: .npy, .npz, .trs, .cwp or a Zarr folder.")
    ] = None,
    trace_inputs: Annotated[Path | None, typer.Option(help=".npy with their inputs, where the set has none.")] = None,
    trace_window: Annotated[
        str | None, typer.Option(help="What they show, such as op:0, where the set does not say.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Attack ids, families or threat ids, separated by commas.")] = None,
    effort: Annotated[EffortLevel, typer.Option(help="How much work may be spent.")] = EffortLevel.STANDARD,
    budget: Annotated[int | None, typer.Option(min=1, help="Inferences of the runtime in all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="ATTACK.FIELD=VALUE replaces one configuration value.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes of the runtime.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
    fail_on: Annotated[str, typer.Option(help=f"Exit 1 at or above this severity: {', '.join(FAIL_ON)}.")] = "none",
    formats: Annotated[str, typer.Option("--format", help="Reports to write.")] = "html,json,sarif,md",
    input_encoding: Annotated[str | None, typer.Option(help='"uint8" where 0..255 stands for -128..127.')] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder.")] = None,
) -> int:
    """Assess a model, a device, or both, and write a scored report."""
    from tinymlsec.assessment import Options, Sources, default_run_folder
    from tinymlsec.assessment import assess as run
    from tinymlsec.cli.terminal import address, command_line, console, progress_bar, say_evidence, say_summary
    from tinymlsec.planning import parse_overrides
    from tinymlsec.report import parse_formats, write_assessment

    if only is not None and not only.replace(",", "").strip():
        raise typer.BadParameter("it names nothing", param_hint="--only")
    wanted, threshold = parse_formats(formats), check_fail_on(fail_on)
    folder = out or default_run_folder(_stem(model, device, firmware), Path.cwd(), resume=resume)
    sources = Sources(
        model, device, data, deployment, input_encoding, traces=traces, trace_inputs=trace_inputs,
        trace_window=trace_window, firmware=firmware, firmware_base=address(firmware_base),
    )  # fmt: skip
    options = Options(
        effort=effort,
        seed=seed,
        only=tuple(name.strip() for name in (only or "").split(",") if name.strip()),
        overrides=parse_overrides(settings or []),
        budget=budget,
        workers=workers,
        resume=resume,
        command=command_line(),
    )
    if not quiet and (model or device or firmware):
        console().print(f"tinymlsec: assessing {model or device or firmware}")
    try:
        with progress_bar(quiet=quiet) as progress:
            result = run(sources, folder, options, progress=progress, on_evidence=None if quiet else say_evidence)
    except KeyboardInterrupt:
        raise RunInterrupted(str(folder)) from None
    reports = write_assessment(result, folder, wanted)
    if not quiet:
        say_summary(result, reports)
    return exit_code(result, threshold)


def _stem(model: Path | None, device: str | None, firmware: Path | None) -> str:
    return model.stem if model else device or (firmware.stem if firmware else "device")


def check_fail_on(level: str) -> str:
    """The level, or a usage error."""
    if level not in FAIL_ON:
        raise typer.BadParameter(f"{level!r} is none of {', '.join(FAIL_ON)}", param_hint="--fail-on")
    return level


def exit_code(result: Assessment, fail_on: str) -> int:
    """0, 1 (findings at or above the level) or 3 (a model was given, but nothing could be run on it)."""
    from tinymlsec.records import Severity
    from tinymlsec.threat.records import ThreatOutcome

    if result.run.model is not None and not result.ran:
        return EXIT_NOTHING_RAN
    if fail_on == "none":
        return 0
    found = (ThreatOutcome.DEMONSTRATED, ThreatOutcome.INDICATED)
    ranks = [t.severity.rank for t in result.threats if t.outcome in found]
    return EXIT_FINDINGS if ranks and max(ranks) >= Severity(fail_on).rank else 0
