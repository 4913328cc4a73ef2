"""Malformed models: what the real runtime does with files that differ in one word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Artifact,
    Basis,
    Control,
    Effort,
    Equipment,
    Expertise,
    Knowledge,
    Metric,
    Verdict,
    VerdictKind,
)
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.attacks.rules._malformed import Outcomes
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class MalformedModelConfig(AttackConfig):
    """Counted work."""

    samples: int = Field(default=60, ge=1, le=100_000)
    """Changed copies of the file that are run."""


@attack(
    id="malformed-model-run",
    title="Malformed models on the real runtime",
    family="rules",
    threats=("S3",),
    needs=(Capability.MODEL, Capability.LABELS),
    position=Position.SUPPLY_CHAIN,
    controls=("small model that divides by zero", "the file as it is"),
    source="tflite-micro issues 3389, 3504, 3071 to 3077; Miller et al., An Empirical Study of the Reliability of UNIX "
    "Utilities, CACM 33(12), 1990",
    config=MalformedModelConfig,
    presets={
        EffortLevel.QUICK: {"samples": 20},
        EffortLevel.STANDARD: {"samples": 60},
        EffortLevel.THOROUGH: {"samples": 600},
    },
)
def malformed_model_run(target: Target, config: MalformedModelConfig, context: Context) -> Observation:
    """Runs copies of the file with one changed word on the runtime; counts those that it does not survive.

    ## What it does

    It changes one word near the table of an operator or tensor (fields, shapes, options, references) and loads and
    runs each copy once, in a worker process. A crash or a hang is evidence that whoever supplies the model ends the
    interpreter.

    ## Why it works on a microcontroller

    An interpreter for microcontrollers trusts the file: its maintainers say that it is no validator. On the device
    there is no process around it, so what ends a process here corrupts memory, resets or stops the product there.

    ## Method

    Words are replaced by small and large constants or random bits; weights stay as they are. Each file is loaded
    and run on an input of zeros by TensorFlow Lite Micro on this machine, with limits on memory and time. Reported
    are the share of files that ended the runtime (`attack_success_rate`), the signals, and how many of them the
    scanner's rules object to at medium severity or above (`detection_rate`). The verdict is *vulnerable* (basis
    *executed*) where at least one file ended it, else *inconclusive*: a few changed words say nothing about the
    others. Where the profile says that the model is compiled (`model.runtime = compiled`) no file is interpreted,
    and the attack is skipped. The first such file is kept in the run folder.

    ## Controls

    Positive: a small model with a block of zero, which a kernel divides by, must end the worker. Negative: the file
    as it is must run.

    ## Limits

    The runtime is the build for this machine: on a Cortex-M4 a division by zero gives zero and ends nothing, and a
    read outside of an array may go unnoticed on both. Files that ran may have read or written where they should
    not. The product's own build and its checks are not run; `tinymlsec scan --confirm --firmware` does that.

    Source: tflite-micro issues 3389, 3504, 3071 to 3077; Miller, Fredriksen, So, "An Empirical Study of the
    Reliability of UNIX Utilities", Communications of the ACM 33(12), 1990.
    """
    from tinymlsec.attacks.rules._malformed import changed_copies, deadly_model, run_files

    assert target.model is not None
    if target.deployment is not None and target.deployment.model.runtime == "compiled":
        raise CapabilityMissing(
            "not applicable: the profile says that the model is compiled, so no file is interpreted",
            next_step="where an interpreter runs on the device, mend model.runtime in the profile",
        )
    seen = run_files(changed_copies(target.model, target.data, config.samples, context.rng))
    context.progress(1, 2, "changed copies run")
    deadly, own = run_files([deadly_model()]), run_files([target.data])
    context.progress(2, 2, "controls done")
    positive = Control(
        kind="positive", twin="model with a block of zero", succeeded=deadly.ended == 1, detail=_listed(deadly)
    )  # fmt: skip
    negative = Control(kind="negative", twin="the file as it is", succeeded=own.counts["ran"] == 1, detail=_listed(own))
    return Observation(
        verdict=_verdict(seen, config.samples, positive, negative),
        basis=Basis.EXECUTED,
        summary=f"Of {config.samples} copies with one changed word: {_listed(seen)}.",
        metrics=_metrics(seen, config.samples),
        positive_control=positive,
        negative_control=negative,
        artifacts=_artifacts(seen, context),
        effort=Effort(
            queries=max(seen.ended and 1, 1), knowledge=Knowledge.PUBLIC, expertise=Expertise.PROFICIENT,
            equipment=Equipment.STANDARD,
        ),
        limits=("The runtime is the build for this machine; a device's core and build may do otherwise.",),
        facts=_facts(seen),
    )  # fmt: skip


def _listed(seen: Outcomes) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(seen.counts.items())) or "nothing run"


def _verdict(seen: Outcomes, samples: int, positive: Control, negative: Control) -> Verdict:
    if not negative.succeeded:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"the file as it is did not run: {negative.detail}")
    if seen.ended:
        signals = ", ".join(f"{name} {count} times" for name, count in seen.signals.most_common())
        reason = f"{seen.ended} of {samples} copies with one changed word ended the runtime ({signals})"
        return Verdict(kind=VerdictKind.VULNERABLE, reason=reason)
    known = "" if positive.succeeded else f"; nor did the known-bad model: {positive.detail}"
    reason = f"none of {samples} copies with one changed word ended the runtime{known}"
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)


def _metrics(seen: Outcomes, samples: int) -> tuple[Metric, ...]:
    from tinymlsec.analysis.intervals import wilson

    low, high = wilson(seen.ended, samples)
    metrics = [Metric.of("attack_success_rate", seen.ended / samples, low=low, high=high, n=samples)]
    if seen.ended:
        low, high = wilson(seen.warned, seen.ended)
        label = "files that ended the runtime, found by rules at medium or above"
        metrics.append(
            Metric.of("detection_rate", seen.warned / seen.ended, low=low, high=high, n=seen.ended, label=label)
        )
    return tuple(metrics)


def _artifacts(seen: Outcomes, context: Context) -> tuple[Artifact, ...]:
    if not seen.first:
        return ()
    what = "the first copy that ended the runtime; run it only where that is harmless"
    return (context.save("malformed.tflite", seen.first, "application/octet-stream", what),)


def _facts(seen: Outcomes) -> dict[str, Any]:
    return {"outcomes": dict(sorted(seen.counts.items())), "signals": dict(sorted(seen.signals.items()))}
