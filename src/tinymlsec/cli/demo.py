"""`tinymlsec demo`: the main job on the bundled example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinymlsec.registry import EffortLevel

DEVICE = "stm32l4r5zi"


def demo(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder.")] = None,
    effort: Annotated[EffortLevel, typer.Option(help="How much work may be spent.")] = EffortLevel.STANDARD,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Assess the bundled example: a small int8 network that reads handwritten digits."""
    typer.echo(f"tinymlsec demo: assessing the bundled digits model as deployed on {DEVICE}")
    from tinymlsec.assessment import Options, Sources, default_run_folder
    from tinymlsec.assessment import assess as run
    from tinymlsec.cli.terminal import command_line, console, progress_bar, say_evidence, say_summary
    from tinymlsec.examples import digits_paths
    from tinymlsec.report import FORMATS, write_assessment

    folder = out or default_run_folder("demo", Path.cwd())
    with digits_paths() as files, progress_bar(quiet=quiet) as progress:
        sources = Sources(files.model, DEVICE, files.data, files.deployment)
        options = Options(effort=effort, seed=seed, command=command_line())
        result = run(sources, folder, options, progress=progress, on_evidence=say_evidence)
    say_summary(result, write_assessment(result, folder, tuple(FORMATS)))
    console().print("next:    tinymlsec assess YOUR_MODEL.tflite --device ID --data SAMPLES.npz")
    return 0
