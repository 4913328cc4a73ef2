"""`tinymlsec demo`: the main job on the bundled example, and on its hardened twin for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinymlsec.registry import EffortLevel

if TYPE_CHECKING:
    from tinymlsec.assessment import Assessment
    from tinymlsec.records import Metric

DEVICE = "stm32l4r5zi"
COMPARED = ("pgd", "square")
"""Attacks that are run on the hardened model as well."""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "pgd": {"eps_steps": 24, "eps_curve": (8, 16, 24), "l2_curve": (), "restarts": 1, "masking_inputs": 10},
    "square": {"eps_steps": 24},
    "progressive-bit-search": {"seeds": 1},
    "cpa-weights": {"traces": 500, "layers": 2, "channels": 1},
}
"""24 steps are 1.5 of the 16 gray levels of these images: visible, and nobody misreads the digit for it."""


def demo(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder.")] = None,
    effort: Annotated[EffortLevel, typer.Option(help="How much work may be spent.")] = EffortLevel.STANDARD,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Assess the bundled example, a small int8 network that reads handwritten digits, and its hardened twin.

    The twin has the same graph and was trained to be harder to attack; the evasion attacks run on both.
    """
    typer.echo(f"tinymlsec demo: assessing the bundled digits model as deployed on {DEVICE}")
    from tinymlsec.assessment import Options, Sources, default_run_folder
    from tinymlsec.assessment import assess as run
    from tinymlsec.cli.terminal import command_line, console, progress_bar, say_evidence, say_summary
    from tinymlsec.examples import digits_paths
    from tinymlsec.report import FORMATS, write_assessment

    folder, command = out or default_run_folder("demo", Path.cwd()), command_line()
    with digits_paths() as files, progress_bar(quiet=quiet) as progress:
        sources = Sources(files.model, DEVICE, files.data, files.deployment)
        options = Options(effort=effort, seed=seed, overrides=SETTINGS, command=command)
        plain = run(sources, folder, options, progress=progress, on_evidence=say_evidence)
        typer.echo("the same attacks on the hardened twin:")
        sources = Sources(files.hardened_model, DEVICE, files.data, files.deployment)
        chosen = {name: SETTINGS[name] for name in COMPARED}
        options = Options(effort=effort, seed=seed, only=COMPARED, overrides=chosen, command=command)
        hardened = run(sources, folder / "hardened", options, progress=progress, on_evidence=say_evidence)
    write_assessment(hardened, folder / "hardened", tuple(FORMATS))
    out_console = console()
    for line in comparison(plain, hardened):
        out_console.print(line)
    say_summary(plain, write_assessment(plain, folder, tuple(FORMATS)))
    out_console.print("next:    tinymlsec assess YOUR_MODEL.tflite --device ID --data SAMPLES.npz")
    return 0


def comparison(plain: Assessment, hardened: Assessment) -> Iterator[str]:
    """Two models side by side: clean accuracy, then what each attack left of it; only what was measured on both."""
    left, right = _accuracies(plain), _accuracies(hardened)
    yield ""
    yield f"{'accuracy':<44}{'plain':>22}{'hardened':>22}"
    for name, metric in left.items():
        if name in right:
            yield f"{name:<44}{_share(metric):>22}{_share(right[name]):>22}"


def _accuracies(result: Assessment) -> dict[str, Metric]:
    found = {
        f"{metric.name}, no attack": metric for metric in (result.run.baseline.metrics if result.run.baseline else ())
    }
    for evidence in result.evidence:
        for metric in evidence.metrics:
            if metric.name == "robust_accuracy":
                found[f"under {evidence.attack}{', ' if metric.label else ''}{metric.label}"] = metric
    return found


def _share(metric: Metric) -> str:
    interval = f" [{metric.low:.0%}, {metric.high:.0%}]" if metric.low is not None and metric.high is not None else ""
    return f"{metric.value:.1%}{interval}"
