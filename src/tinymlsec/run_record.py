"""The record of a run: what was asked, of what, with which versions, and how far it came."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from tinymlsec.exactness import Exactness
from tinymlsec.records import SCHEMA_VERSION, Basis, Digest, Metric, Record
from tinymlsec.target.device_facts import DeviceClass


class RunStatus(StrEnum):
    """How far a run came. An interrupted run never looks complete."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"


class ModelSummary(Record):
    """The model in a few facts, for the head of a report."""

    name: str
    sha256: Digest
    size: int
    """Bytes of the file."""
    kind: str
    """int8, uint8, float32, hybrid, float_wrapped, ..."""
    operators: int
    parameters: int
    """Weights and biases, number of values."""
    inputs: tuple[str, ...]
    """Each as "name int8 [1, 49, 10, 1] scale 0.58 zero point 83"."""
    outputs: tuple[str, ...]
    custom_operators: tuple[str, ...] = ()
    state_tensors: int = 0
    runtime: str = ""
    """The runtime that answers for it, with version; why not, where none does."""
    runs: bool = False
    """The runtime runs it."""


class TaskSummary(Record):
    """What the model is for, and how we know."""

    kind: str
    source: str
    frames: bool = False
    threshold: float | None = None
    threshold_source: str = ""


class DataSummary(Record):
    """The user's data in a few facts."""

    path: str
    sha256: Digest
    samples: int
    used: int
    """Samples that clean accuracy was measured on."""
    labels: bool
    class_names: tuple[str, ...] = ()
    clipped: float = 0.0
    """Share of real values outside of the quantized range."""


class TraceSummary(Record):
    """The traces that were given, in a few facts."""

    path: str
    sha256: Digest
    """Of all that the set holds and says of itself."""
    basis: Basis
    source: str
    traces: int
    samples: int
    """Of each trace."""
    input_bytes: int
    """Of each trace."""
    constant_samples: int
    """Samples that had one value only."""
    clipped: bool
    """Many values stand at an end of the range."""
    window: str = ""
    """What part of the model they show; empty where nobody said."""
    window_source: str = ""
    core: str = ""
    leakage: str = ""
    """Leakage model, of simulated ones."""
    noise: str = ""


class ImageSummary(Record):
    """The firmware image that was given, in a few facts."""

    name: str
    sha256: Digest
    size: int
    """bytes of the file"""
    kind: str
    """elf, hex, uf2 or raw"""
    machine: str = ""
    """arm or riscv32; empty where the file does not tell."""
    stored_bytes: int
    """Written to the device's memory."""
    symbols: int
    producer: str = ""
    build_id: str = ""


class Baseline(Record):
    """The unattacked model on the user's data."""

    metrics: tuple[Metric, ...]
    chance: float | None = None
    """What a guesser reaches on the first metric."""
    chance_source: str = ""


class Request(Record):
    """What was asked for. Together with the files of the same digests it repeats the run."""

    effort: str
    seed: int = Field(ge=0)
    budget: int | None = Field(default=None, ge=1)
    """Inferences in all; None for no limit."""
    only: tuple[str, ...] = ()
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Attack id -> configuration values that replaced those of the effort level."""
    input_encoding: str | None = None
    has_model: bool | None = None
    """A model runs on the device: told by the model being given, or by the deployment profile."""


class RunRecord(Record):
    """run.json: everything about a run but its evidence."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    status: RunStatus
    created: datetime
    updated: datetime
    request: Request
    target_digest: Digest
    model: ModelSummary | None = None
    task: TaskSummary | None = None
    data: DataSummary | None = None
    traces: TraceSummary | None = None
    image: ImageSummary | None = None
    baseline: Baseline | None = None
    exactness: Exactness | None = None
    """How the lifted graph compares with the runtime; absent where no attack asked for the graph."""
    device_id: str | None = None
    device: dict[str, Any] | None = None
    """The device record as it was used."""
    device_class: DeviceClass
    """IoT, EdgeML or TinyML, as classified."""
    class_reasons: tuple[str, ...] = ()
    deployment: dict[str, Any] | None = None
    """The deployment profile as it was used."""
    assumed: tuple[str, ...] = ()
    """Deployment facts that nobody gave and that are therefore unknown."""
    obstacles: dict[str, str] = Field(default_factory=dict)
    """Capabilities that are missing although the user gave what they are made from, with the reason."""
    planned: tuple[str, ...] = ()
    """Attack ids in the plan; those without evidence have not run yet."""
    plugin_problems: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    host: dict[str, str] = Field(default_factory=dict)
    """Machine facts that explain timings; not part of any comparison."""
    command: str
    """The command line, for the reproduction section."""
