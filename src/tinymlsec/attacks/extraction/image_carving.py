"""Image carving: models taken out of a firmware image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from tinymlsec._lazy import np
from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Artifact,
    Basis,
    Control,
    Effort,
    Equipment,
    Expertise,
    Finding,
    Knowledge,
    Metric,
    Verdict,
    VerdictKind,
)
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from numpy.random import Generator

    from tinymlsec.context import Context
    from tinymlsec.rules.subjects import ImageFile
    from tinymlsec.target.firmware.carve.located import Located
    from tinymlsec.target.target import Target

KEY = 0x5A
"""Of the model that the positive control hides."""
PADDING = 3_001
"""Random bytes in front of it: no alignment."""
LEAST_SHARE = 0.1
MOST_KEPT = 16
"""Carved files that are kept in the run folder."""


class ImageCarvingConfig(AttackConfig):
    """Counted work."""

    seconds: int = Field(default=4, ge=1, le=600)
    """CPU seconds for everything but models that lie in plain, which are always looked for."""


@attack(
    id="image-carving",
    title="Image carving: models taken out of the firmware",
    family="extraction",
    threats=("M5",),
    needs=(Capability.IMAGE,),
    position=Position.NETWORK,
    controls=("model under a key in random bytes", "random bytes"),
    source="Wu et al.: DnD, USENIX Security 2022; Sun et al.: Mind Your Weight(s), USENIX Security 2021",
    config=ImageCarvingConfig,
    presets={
        EffortLevel.QUICK: {"seconds": 2},
        EffortLevel.STANDARD: {"seconds": 4},
        EffortLevel.THOROUGH: {"seconds": 30},
    },
)
def image_carving(target: Target, config: ImageCarvingConfig, context: Context) -> Observation:
    """Takes models out of a firmware image, plain or hidden without a secret, and looks for compiled-in weights.

    ## What it does

    It searches what the image writes to the device for model files (.tflite, .pte, ONNX) at any offset: in plain, under
    repeated XOR keys, and in compressed streams. Where a model is given beside the image, its weights are looked for as
    arrays, too. What is carved is kept in the run folder.

    ## Why it works on a microcontroller

    Images hold the model in the format of the converter or as constant arrays: there is no memory to unpack it
    into, and no loader that would decrypt it. Vendors offer the image for download, or one readout of the flash
    gives it (H9).

    ## Method

    A hit counts only if our reader parses the graph. Searches run within a budget of CPU time that the report
    prints; models in plain are looked for in any case. The verdict is *vulnerable* (basis *static*) where a model
    was carved, or at least a tenth of the weights of the given model lie in the image. `weights_recovered` is that
    share. An image in which nothing is found is *inconclusive*: encryption and an encoding that is not tried look
    alike.

    ## Controls

    Positive: a small model under a one-byte key at an odd offset in random bytes, which must come out byte for byte.
    Negative: random bytes, which stand for an encrypted image; nothing may be found.

    ## Limits

    Keys longer than the search tries, own formats, and weights that are packed or permuted in a way that is not known
    are not found. On a slow machine the same budget searches less.

    Source: Wu et al., "DnD: A Cross-Architecture Deep Neural Network Decompiler", USENIX Security 2022; Sun et al.,
    "Mind Your Weight(s)", USENIX Security 2021.
    """
    from tinymlsec.rules.subjects import ImageFile

    given = target.require_image()
    models = (target.data,) if target.data else ()
    file = ImageFile(given.name, given.data, given.image, target.device, models, float(config.seconds))
    located = _located(file)
    context.progress(1, 2, "image searched")
    positive, negative = _controls(context.rng)
    context.progress(2, 2, "controls done")
    return Observation(
        verdict=_verdict(file, located, positive, negative),
        basis=Basis.STATIC,
        summary=_words(file, located) + ".",
        metrics=_metrics(located),
        positive_control=positive,
        negative_control=negative,
        findings=_findings(file),
        artifacts=_artifacts(file, context),
        effort=Effort(knowledge=Knowledge.PUBLIC, expertise=Expertise.PROFICIENT, equipment=Equipment.NONE),
        limits=("Whether an attacker gets hold of the image depends on device and deployment.", *file.carved.skipped),
        facts=_facts(file, located),
    )


def _located(file: ImageFile) -> tuple[Located, ...]:
    """The given model's weights, found as arrays."""
    from tinymlsec.target.firmware.carve.compiled import locate_models

    return tuple(locate_models(file.carved, file.models))


def _findings(file: ImageFile) -> tuple[Finding, ...]:
    from tinymlsec.rules.discovery import rule_book
    from tinymlsec.rules.rule import Subject

    rules = [rule for rule in rule_book().about(Subject.IMAGE) if rule.family == "CARVE"]
    return tuple(finding for rule in rules for finding in rule.findings(file))[:100]


def _compiled(located: tuple[Located, ...]) -> float:
    return max((each.share for each in located), default=0.0)


def _words(file: ImageFile, located: tuple[Located, ...]) -> str:
    found = file.carved.found
    hidden = sum(bool(each.hit.encodings) for each in found)
    text = f"{len(found)} {'model' if len(found) == 1 else 'models'} carved out of the image, {hidden} of them hidden"
    return text + (f"; {_compiled(located):.1%} of the given model's weights lie in it as arrays" if located else "")


def _verdict(file: ImageFile, located: tuple[Located, ...], positive: Control, negative: Control) -> Verdict:
    if not negative.succeeded:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"random bytes held a model: {negative.detail}")
    if file.carved.found or _compiled(located) >= LEAST_SHARE:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=_words(file, located))
    if not positive.succeeded:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"the hidden model was not found: {positive.detail}")
    spent = f"{file.carved.seconds:.1f} of {file.carved.budget:.0f} s"
    reason = f"nothing was carved in {spent}; encryption and an encoding that is not tried look alike"
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason)


def _metrics(located: tuple[Located, ...]) -> tuple[Metric, ...]:
    return tuple(
        Metric.of("weights_recovered", min(each.share, 1.0), n=each.size, label="weight bytes in the image as arrays")
        for each in located[:1]
        if each.size
    )


def _artifacts(file: ImageFile, context: Context) -> tuple[Artifact, ...]:
    return tuple(
        context.save(f"carved-{each.address:08x}.{each.hit.kind}", each.hit.data, "application/octet-stream",
                     f"carved from 0x{each.address:08x}, {each.encoding or 'plain'}")
        for each in file.carved.found[:MOST_KEPT]
    )  # fmt: skip


def _facts(file: ImageFile, located: tuple[Located, ...]) -> dict[str, Any]:
    carved = file.carved
    return {
        "models": [
            {"kind": each.hit.kind, "address": each.address, "bytes": len(each.hit.data), "encoding": each.encoding}
            for each in carved.found[:64]
        ],
        "budget_seconds": carved.budget, "compiled_in": [round(each.share, 4) for each in located],
    }  # fmt: skip


def _controls(rng: Generator) -> tuple[Control, Control]:
    from tinymlsec.attacks._twins import linear_twin

    model = linear_twin(8)
    hidden = (np.frombuffer(model, np.uint8) ^ np.uint8(KEY)).tobytes()
    noise = rng.bytes(PADDING)
    found = _carved(noise + hidden + rng.bytes(PADDING))
    silent = _carved(rng.bytes(2 * PADDING + len(model)))
    return (
        Control(
            kind="positive", twin=f"model of {len(model):,} bytes under the key 0x{KEY:02x} at offset {PADDING}",
            succeeded=[data for _, data in found] == [model], detail=_listed(found),
        ),
        Control(
            kind="negative", twin="random bytes of the same size", succeeded=not silent, detail=_listed(silent)
        ),
    )  # fmt: skip


def _carved(data: bytes) -> list[tuple[str, bytes]]:
    """(encoding, file) of what is carved out of raw bytes."""
    from tinymlsec.target.firmware.carve.carve import carve_image
    from tinymlsec.target.firmware.raw import read_raw

    return [(each.encoding, each.hit.data) for each in carve_image(read_raw(data, 0), data, 4.0).found]


def _listed(found: list[tuple[str, bytes]]) -> str:
    return ", ".join(f"{len(data):,} bytes, {encoding or 'plain'}" for encoding, data in found) or "nothing found"
