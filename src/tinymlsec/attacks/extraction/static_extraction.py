"""Static extraction: what the holder of this file learns, and a working clone to prove it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from tinymlsec.attacks.extraction._clone import Clone, clone
from tinymlsec.attacks.extraction._contents import Contents, contents_of
from tinymlsec.capabilities import Capability
from tinymlsec.errors import ModelFileError, TinymlsecError
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
from tinymlsec.target.tflite.strings import search_text

if TYPE_CHECKING:
    from numpy.random import Generator

    from tinymlsec.context import Context
    from tinymlsec.target.target import Target
    from tinymlsec.target.tflite.graph import Model

PLANTED = {
    "EXTR-PATHS": b"/home/planted/secret-project/train.py",
    "EXTR-SECRET": b"api_key=planted0planted0",
    "EXTR-LABELS": b"planted one\nplanted two\nplanted three\n",
}
"""What the positive control hides in a copy of the file, by the finding that must report it."""

LARGEST_SCRAMBLED = 16 << 20
"""Bytes of the negative control's file at most."""


class StaticExtractionConfig(AttackConfig):
    """Counted work of the comparison between clone and original."""

    samples: int = Field(default=200, ge=1, le=100_000)
    """Inputs on which clone and original are compared."""
    steps: int = Field(default=20, ge=1, le=10_000)
    """Steps of a random sequence, for a model with state and without data."""


@attack(
    id="static-extraction",
    title="Static extraction: the model read out of its file",
    family="extraction",
    threats=("M5",),
    needs=(Capability.MODEL,),
    position=Position.NETWORK,
    controls=("copy with planted strings", "random bytes of the same size"),
    source="Wu et al.: DnD, USENIX Security 2022; Sun et al.: Mind Your Weight(s), USENIX Security 2021",
    config=StaticExtractionConfig,
    presets={
        EffortLevel.QUICK: {"samples": 50},
        EffortLevel.STANDARD: {"samples": 200},
        EffortLevel.THOROUGH: {"samples": 1000},
    },
)
def static_extraction(target: Target, config: StaticExtractionConfig, context: Context) -> Observation:
    """Reads everything that the model file gives to whoever holds it, and rebuilds a working model from it.

    ## What it does

    It decodes every constant of the file, lists what names, labels, metadata, descriptions and stray text tell about
    the model and the people who made it, and writes a new file from nothing but the parsed graph. Where the runtime
    and inputs are at hand, the clone's outputs are compared with the original's bit by bit.

    ## Why it works on a microcontroller

    A model is usually stored as a constant array in flash, in the very format that the converter wrote. An update
    package, a firmware download or one readout of the flash (threat H9) contains all of it. No runtime for
    microcontrollers decrypts a model by itself.

    ## Method

    `parameters` counts weights and biases by the shapes that the file declares, and `weights_recovered` is the share
    whose values were actually read. Findings carry stable ids and the file offset: EXTR-GRAPH, EXTR-WEIGHTS,
    EXTR-NAMES, EXTR-LABELS, EXTR-TOOL (converter, versions), EXTR-DESCRIPTION (author, license), EXTR-THRESHOLD,
    EXTR-PATHS, EXTR-CONTACT and EXTR-SECRET. Credentials are shortened in the report.

    The verdict is *vulnerable* when weights can be read. The basis is *executed* when the clone ran on the runtime and
    *static* otherwise. A file that the reader can parse is never *resistant*; one without weights is *inconclusive*.

    ## Controls

    Positive: a copy of the file with a planted path, label list and credential, all of which must be found. Negative:
    random bytes of the same size, which stand for a file encrypted with a key the attacker lacks. The reader must
    refuse them and the text search must find nothing.

    ## Limits

    Whether an attacker gets hold of the file is a question of device and deployment, not of the file. Weights that the
    firmware decodes before use (scrambled inside a valid file) would be counted as readable; the comparison then runs
    both models on scrambled weights. Only the .tflite file is searched, not the firmware around it.

    Source: Wu et al., "DnD: A Cross-Architecture Deep Neural Network Decompiler", USENIX Security 2022; Sun et al.,
    "Mind Your Weight(s): A Large-scale Study on Insufficient Machine Learning Model Protection in Mobile Apps", USENIX
    Security 2021. The consequences of a readout of the flash are those of threat H9.
    """
    assert target.model is not None
    clone_rng, control_rng = context.rng.spawn(2)
    contents = contents_of(target.model, target.data)
    context.progress(1, 3, "file read")
    copy = clone(target, config.samples, config.steps, clone_rng)
    context.progress(2, 3, "clone compared")
    positive, negative = _positive_control(target.model), _negative_control(len(target.data), control_rng)
    context.progress(3, 3, "controls done")
    return Observation(
        verdict=_verdict(contents, copy),
        basis=Basis.EXECUTED if copy.ran else Basis.STATIC,
        summary=f"{_read(contents)}, and {copy.summary}.",
        metrics=(*_metrics(contents, len(target.data)), *copy.metrics),
        positive_control=positive,
        negative_control=negative,
        findings=contents.findings,
        effort=Effort(knowledge=Knowledge.PUBLIC, expertise=Expertise.LAYMAN, equipment=Equipment.NONE),
        limits=_limits(target, copy),
        facts=contents.facts,
    )


def _read(contents: Contents) -> str:
    if not contents.parameters:
        return "The file holds no weights"
    return f"{contents.recovered:,} of {contents.parameters:,} weights and biases can be read from the file"


def _verdict(contents: Contents, copy: Clone) -> Verdict:
    if contents.recovered:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=f"{_read(contents)}; {copy.summary}")
    if not contents.parameters:
        return Verdict(kind=VerdictKind.INCONCLUSIVE, reason="the file holds no weights that could be taken")
    return Verdict(
        kind=VerdictKind.INCONCLUSIVE,
        reason=f"none of {contents.parameters:,} weights could be decoded (sparse or damaged tensors); the graph can",
    )


def _metrics(contents: Contents, size: int) -> tuple[Metric, ...]:
    found = [Metric.of("parameters", contents.parameters), Metric.of("file_bytes", size)]
    if contents.parameters:
        share = contents.recovered / contents.parameters
        found.append(Metric.of("weights_recovered", share, n=contents.parameters))
    return tuple(found)


def _limits(target: Target, copy: Clone) -> tuple[str, ...]:
    found = ["Whether an attacker gets hold of the file depends on device and deployment."]
    if copy.ran and target.dataset is None:
        found.append("Clone and original were compared on random inputs, for want of data.")
    if not copy.ran:
        found.append("The clone was not run: that it works is read off the file, not shown.")
    return tuple(found)


def _positive_control(model: Model) -> Control:
    twin, planted = _planted(model)
    found = _found(planted)
    missing = [name for name in PLANTED if name not in found]
    return Control(
        kind="positive",
        twin=twin,
        succeeded=not missing,
        detail=f"missed: {', '.join(missing)}" if missing else f"found all {len(PLANTED)} planted strings",
    )


def _planted(model: Model) -> tuple[str, bytes]:
    """A copy of the file with the planted strings, or a small model with them where the file cannot be rebuilt."""
    from tinymlsec.attacks._twins import linear_twin
    from tinymlsec.target.tflite.reader import read_model
    from tinymlsec.target.tflite.writer import write_model

    try:
        return "copy of the file with a planted path, credential and label list", write_model(_plant(model))
    except TinymlsecError:
        twin = _plant(read_model(linear_twin(1)))
        return "small model with a planted path, credential and label list", write_model(twin)


def _plant(model: Model) -> Model:
    from tinymlsec.target.tflite.graph import Buffer, Metadata

    start = len(model.buffers)
    buffers = tuple(Buffer(start + place, text) for place, text in enumerate(PLANTED.values()))
    # First, so that a label list which the file already has does not hide the planted one.
    entries = tuple(Metadata(f"planted {place}", start + place) for place in range(len(PLANTED)))
    return replace(model, buffers=model.buffers + buffers, metadata=entries + model.metadata)


def _found(data: bytes) -> set[str]:
    """Ids of the findings that point at the planted text."""
    from tinymlsec.target.tflite.reader import read_model

    places = {name: data.find(text) for name, text in PLANTED.items()}
    findings = contents_of(read_model(data), data).findings
    return {f.id for f in findings if f.location.file_offset == places.get(f.id)}


def _negative_control(size: int, rng: Generator) -> Control:
    """Random bytes stand for a file that was encrypted as a whole."""
    from tinymlsec.target.tflite.reader import read_model

    scrambled = rng.bytes(min(max(size, 64), LARGEST_SCRAMBLED))
    try:
        read_model(scrambled)
        refused = False
    except ModelFileError:
        refused = True
    hits = len(search_text(scrambled))
    return Control(
        kind="negative",
        twin="random bytes of the same size",
        succeeded=refused and hits == 0,
        detail=f"the reader {'refused' if refused else 'accepted'} them; {hits} telling strings",
    )
