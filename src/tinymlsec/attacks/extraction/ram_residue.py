"""Remnants in RAM: what an inference leaves for whoever reads memory afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import (
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
    from numpy.random import Generator

    from tinymlsec.attacks.extraction._residue import Residue
    from tinymlsec.context import Context
    from tinymlsec.emulate.twin import Twin
    from tinymlsec.target.target import Target

CONTROL_SAMPLES = 2


class RamResidueConfig(AttackConfig):
    """Counted work, and the firmware's kernels."""

    samples: int = Field(default=4, ge=1, le=1000)
    """Inferences after which RAM is looked through."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels."""


@attack(
    id="ram-residue",
    title="Remnants in RAM: what an inference leaves behind",
    family="extraction",
    threats=("H11",),
    needs=(Capability.MODEL, Capability.DEVICE, Capability.FIRMWARE),
    position=Position.PHYSICAL,
    controls=("dense layer without a wipe", "the same with a wipe of arena and stack"),
    source="Won et al.: DeepFreeze, ICCAD 2021, arXiv 2108.01281; CWE-226, CWE-1272",
    config=RamResidueConfig,
    presets={
        EffortLevel.QUICK: {"samples": 2},
        EffortLevel.STANDARD: {"samples": 4},
        EffortLevel.THOROUGH: {"samples": 16},
    },
    extras=("firmware",),
)
def ram_residue(target: Target, config: RamResidueConfig, context: Context) -> Observation:
    """Looks through RAM after an emulated inference for its input, its activations and its output.

    ## What it does

    It runs the model as firmware on the device's core, in an emulator, and reads RAM after each inference: at once, as
    a debugger or a boot loader would after a reset, and once more after the firmware has started again without a loss
    of power.

    ## Why it works on a microcontroller

    SRAM keeps its content over a reset. The arena of an inference is one array in which tensors overwrite each other
    as the plan says; what nothing overwrites stays until the next inference. No runtime for microcontrollers clears it
    by itself.

    ## Method

    Inputs are uniform random codes, so that eight bytes of one are in RAM by chance once in 2^64. `inputs_recovered` is
    the share of an input's eight-byte pieces that stand anywhere between the bottom of the stack and the end of
    variables, right after the inference and after a restart. Outputs are compared at their place, and for one
    inference the output of every operator, which says what of the activations is left.

    Where the deployment profile says that memory is wiped (`inference.memory_wiped = yes`), firmware with a wipe of
    arena and stack at the end is examined in place of the plain one. The verdict is *vulnerable* (basis *simulated*)
    where anything of an input, or a whole output, is left; *resistant* where nothing is after the declared wipe and the
    firmware without it was found; *inconclusive* where nothing was left without any wipe.

    ## Controls

    Positive: a small dense layer without a wipe, whose input and output must be found. Negative: the same firmware
    with a wipe that the compiler cannot drop, after which nothing may be found.

    ## Limits

    The firmware is generated from the model, not the product's: whether the product wipes is what its profile says.
    Code outside of the model, such as preprocessing and drivers, keeps copies of its own. How long SRAM keeps its
    content without power takes the chip. Weights are in flash here; where they are decrypted into RAM they are left as
    well.

    Source: Won et al., "DeepFreeze: Cold Boot Attacks and High Fidelity Model Recovery on Commercial EdgeML Device",
    ICCAD 2021, arXiv 2108.01281; CWE-226, CWE-1272.
    """
    from tinymlsec.attacks.extraction._residue import hardened, residue_of

    twin = target.twin(config.style)
    wiped = target.deployment is not None and target.deployment.inference.memory_wiped == "yes"
    own, control = context.rng.spawn(2)
    residue = residue_of(hardened(twin) if wiped else twin, config.samples, own, wipe=wiped)
    context.progress(1, 2, "RAM looked through")
    positive, negative = _controls(twin, control)
    context.progress(2, 2, "controls done")
    return Observation(
        verdict=_verdict(residue, wiped, positive, negative),
        basis=Basis.SIMULATED,
        summary=_summary(residue, wiped),
        metrics=_metrics(residue, config.samples),
        positive_control=positive,
        negative_control=negative,
        effort=Effort(
            queries=1, knowledge=Knowledge.RESTRICTED, expertise=Expertise.PROFICIENT, equipment=Equipment.STANDARD
        ),
        limits=_limits(wiped),
        facts=_facts(residue, wiped),
    )


def _controls(like: Twin, rng: Generator) -> tuple[Control, Control]:
    from dataclasses import replace

    from tinymlsec.attacks._twins import linear_twin
    from tinymlsec.attacks.extraction._residue import hardened, residue_of
    from tinymlsec.emulate.codegen.generator import generate
    from tinymlsec.emulate.codegen.style import Style
    from tinymlsec.target.tflite.reader import read_model

    model = read_model(linear_twin(8))
    small = hardened(replace(like, model=model, program=generate(model, Style.PLAIN)))
    left = residue_of(small, CONTROL_SAMPLES, rng, wipe=False)
    gone = residue_of(small, CONTROL_SAMPLES, rng, wipe=True)
    return (
        Control(
            kind="positive",
            twin="dense layer of 64 inputs, not wiped",
            succeeded=bool(left.inputs.min() > 0.5 and left.outputs.min() >= 1.0),
            detail=_words(left),
        ),
        Control(
            kind="negative",
            twin="the same, arena and stack wiped",
            succeeded=not gone.anything,
            detail=_words(gone),
        ),
    )


def _words(residue: Residue) -> str:
    return (
        f"{residue.inputs.mean():.0%} of the inputs and {residue.outputs.mean():.0%} of the outputs are in RAM after "
        f"an inference, {residue.restarted.mean():.0%} of the inputs after a restart"
    )


def _verdict(residue: Residue, wiped: bool, positive: Control, negative: Control) -> Verdict:
    if not negative.succeeded:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"the wiped firmware was not clean: {negative.detail}")
    if residue.anything:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=_words(residue))
    if not positive.succeeded:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"the known remnants were not found: {positive.detail}")
    if wiped:
        return Verdict(kind=VerdictKind.RESISTANT, reason=f"after the declared wipe, {_words(residue)}")
    return Verdict(
        kind=VerdictKind.INCONCLUSIVE, reason="nothing was left of these inferences, though nothing was wiped"
    )


def _summary(residue: Residue, wiped: bool) -> str:
    return f"{'With the declared wipe, ' if wiped else ''}{_words(residue)}."


def _metrics(residue: Residue, samples: int) -> tuple[Metric, ...]:
    return (
        Metric.of("inputs_recovered", float(residue.inputs.mean()), n=samples, label="in RAM after an inference"),
        Metric.of("inputs_recovered", float(residue.restarted.mean()), n=samples, label="in RAM after a restart"),
    )


def _limits(wiped: bool) -> tuple[str, ...]:
    told = "The wipe is ours; whether the product's own leaves nothing was not looked at." if wiped else (
        "The firmware does not wipe; whether the product does is not known from its profile."
    )  # fmt: skip
    return (
        told,
        "Inputs of fewer than eight bytes are not looked for; activations that are equal by chance count as left.",
        "How an attacker reads RAM (debug port, loader) is judged by rules-debug-port.",
    )


def _facts(residue: Residue, wiped: bool) -> dict[str, Any]:
    return {
        "wiped": wiped,
        "inputs_found": [round(float(v), 4) for v in residue.inputs],
        "outputs_kept": [round(float(v), 4) for v in residue.outputs],
        "activations_kept": [{"operator": name, "share": round(share, 4)} for name, share in residue.activations],
    }
