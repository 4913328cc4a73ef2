"""From what the user gave to a target: model, data, device and deployment, each checked before anything runs."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.capabilities import Capability
from tinymlsec.context import Progress, silent
from tinymlsec.errors import DataError, OracleError, UnsupportedModelError, UsageError
from tinymlsec.target.data import Dataset, check_labels, load_dataset
from tinymlsec.target.deployment import Deployment, load_deployment
from tinymlsec.target.device import Device, load_device
from tinymlsec.target.space import InputSpace, input_space
from tinymlsec.target.target import Target
from tinymlsec.target.task import Task, TaskKind, task_from_graph
from tinymlsec.target.tflite.facts import numeric_kind
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model, read_model_file
from tinymlsec.target.victim import Victim

if TYPE_CHECKING:
    from tinymlsec.target.given_image import GivenImage
    from tinymlsec.target.given_traces import GivenTraces
    from tinymlsec.target.oracle import OraclePool


@dataclass(frozen=True)
class Sources:
    """What the user gave. Any subset will do, but something to assess there must be."""

    model: Path | bytes | None = None
    device: str | None = None
    data: Path | None = None
    deployment: Path | Deployment | None = None
    input_encoding: str | None = None
    name: str | None = None
    """What to call the model where it was given as bytes."""
    traces: Path | None = None
    """Traces of the device: .npy, .npz, .trs, .cwp or a Zarr folder."""
    trace_inputs: Path | None = None
    """.npy with the inputs of the traces, where they are not in the set."""
    trace_window: str | None = None
    """What part of the model the traces show, where the set does not say."""
    firmware: Path | None = None
    """The image that is flashed: ELF, Intel HEX, UF2 or raw."""
    firmware_base: int | None = None
    """Address of the first byte, for raw images."""


def load_target(sources: Sources, pool: OraclePool, progress: Progress = silent) -> Target:
    """Read everything and open the model in the runtime.

    Args:
        sources: what the user gave.
        pool: workers of the runtime; the caller closes it.
        progress: told how far the reading of traces is.

    Raises:
        InputError: anything that cannot be used, with what was found, what was expected and the next step.
    """
    if sources.model is None and sources.device is None and sources.firmware is None:
        raise UsageError(
            "there is nothing to assess", found="neither a model nor a device nor firmware",
            next_step="tinymlsec assess MODEL.tflite, or tinymlsec assess --device ID",
        )  # fmt: skip
    _check_traces(sources)
    device = load_device(sources.device) if sources.device else None
    deployment = _deployment(sources.deployment)
    image = _image(sources)
    if sources.model is None:
        if sources.data is not None:
            raise UsageError("data without a model has no use", next_step="give the model file as well")
        return Target(name=_name(device, image), device=device, deployment=deployment, image=image)
    model, data = _model(sources.model)
    name = sources.name or (sources.model.name if isinstance(sources.model, Path) else "model")
    traces = _traces(sources, model, data, progress)
    base = Target(
        name=name, data=data, model=model, device=device, deployment=deployment, traces=traces, image=image
    )  # fmt: skip
    return _runnable(base, model, sources, pool)


def _check_traces(sources: Sources) -> None:
    if sources.traces is None:
        for name, given in (("--trace-inputs", sources.trace_inputs), ("--trace-window", sources.trace_window)):
            if given is not None:
                raise UsageError(f"{name} speaks of traces", found="no --traces", next_step="give --traces as well")
    elif sources.model is None:
        raise UsageError("traces without a model have no use", next_step="give the model file as well")


def _traces(sources: Sources, model: Model, data: bytes, progress: Progress) -> GivenTraces | None:
    if sources.traces is None:
        return None
    from tinymlsec.target.given_traces import load_given_traces

    digest = hashlib.sha256(data).hexdigest()
    return load_given_traces(sources.traces, sources.trace_inputs, sources.trace_window, model, digest, progress)


def _deployment(source: Path | Deployment | None) -> Deployment | None:
    return load_deployment(source) if isinstance(source, Path) else source


def _image(sources: Sources) -> GivenImage | None:
    if sources.firmware is None:
        if sources.firmware_base is not None:
            raise UsageError("--firmware-base speaks of an image", next_step="give --firmware as well, or leave it out")
        return None
    from tinymlsec.target.given_image import load_given_image

    return load_given_image(sources.firmware, sources.firmware_base)


def _name(device: Device | None, image: GivenImage | None) -> str:
    return device.name if device else image.name if image else "device"


def _model(source: Path | bytes) -> tuple[Model, bytes]:
    if isinstance(source, Path):
        return read_model_file(source)
    return read_model(source), source


def _runnable(base: Target, model: Model, sources: Sources, pool: OraclePool) -> Target:
    """Add input space, task, data and victim as far as the model allows; say why where it does not."""
    obstacles: dict[Capability, str] = {}
    try:
        space = _space(model, base.deployment)
    except UnsupportedModelError as error:
        if sources.data is not None:
            raise
        why = f"{error.message} (found: {error.found})"
        return replace(base, obstacles=dict.fromkeys((Capability.LABELS, Capability.SCORES, Capability.DATA), why))
    task = _task(model, base.deployment, None)
    dataset: Dataset | None = None
    if sources.data is not None:
        dataset = load_dataset(sources.data, space, frames=task.frames, encoding=sources.input_encoding)
        task = _task(model, base.deployment, dataset)
        if not space.is_grid and "declared" in space.bounds_source:
            space = space.with_bounds(float(dataset.x.min()), float(dataset.x.max()), "range of the given data")
    elif sources.input_encoding:
        raise UsageError("--input-encoding speaks of the data", next_step="give --data as well, or leave it out")
    victim = Victim(base.data, model, space, task, pool)
    _check_task(task, space, model)
    _check_labels(dataset, task, victim)
    refused = _refused(victim)
    if refused is None:
        return replace(base, space=space, task=task, dataset=dataset, victim=victim)
    asked = (Capability.LABELS, Capability.SCORES, Capability.DATA)
    obstacles.update(dict.fromkeys(asked, refused))
    return replace(base, space=space, task=task, dataset=dataset, obstacles=obstacles)


def _check_task(task: Task, space: InputSpace, model: Model) -> None:
    """A task that the user names must fit the output: it would otherwise be read off values that mean something else.

    Raises:
        UsageError: the output has too many or too few values for it.
    """
    values = math.prod(model.main.tensors[model.main.outputs[0]].shape)
    wanted = {TaskKind.ANOMALY: math.prod(space.shape), TaskKind.DETECTION: 1}.get(task.kind, values)
    if values != wanted:
        raise UsageError(
            f"the task {task.kind.value} does not fit this model ({task.source})",
            found=f"an output of {values} values", expected=f"{wanted}: {task.meaning.decision}",
            next_step="mend task in the data file or sensor.task in the deployment profile, or leave it out",
        )  # fmt: skip


def _check_labels(dataset: Dataset | None, task: Task, victim: Victim) -> None:
    if dataset is None or dataset.y is None or task.kind not in (TaskKind.CLASSIFICATION, TaskKind.DETECTION):
        return
    if dataset.y.dtype.kind != "i":
        raise DataError("labels are not whole numbers", expected="one integer label a sample")
    check_labels(dataset.y.astype(np.int64), victim.classes if task.kind is TaskKind.CLASSIFICATION else 2)


def _refused(victim: Victim) -> str | None:
    """Why the runtime does not run this model, or None where it does."""
    try:
        victim.handle  # noqa: B018 - opening it is the question
    except OracleError as error:
        kind = numeric_kind(victim.model)
        hint = (
            " (int8 weights with float activations: a hybrid model, which microcontroller runtimes do not run)"
            if kind == "hybrid"
            else ""
        )
        why = f"{error.message} ({error.found})" if error.found else error.message
        return f"the runtime does not run this model: {why}{hint}"
    return None


def _space(model: Model, deployment: Deployment | None) -> InputSpace:
    space = input_space(model)
    if deployment is not None and deployment.sensor.low is not None and deployment.sensor.high is not None:
        return space.with_sensor(deployment.sensor.low, deployment.sensor.high)
    return space


def _task(model: Model, deployment: Deployment | None, dataset: Dataset | None) -> Task:
    """The task: data file before deployment profile before graph."""
    told = task_from_graph(model)
    sensor = deployment.sensor if deployment else None
    kind, source = told.kind, told.source
    if dataset is not None and dataset.task:
        kind, source = TaskKind(dataset.task), "the data file says so"
    elif sensor is not None and sensor.task:
        kind, source = TaskKind(sensor.task), "the deployment profile says so"
    threshold, threshold_source = told.threshold, told.threshold_source
    if kind is not told.kind:
        threshold, threshold_source = (0.5, "default") if kind is TaskKind.DETECTION else (None, "")
    if sensor is not None and sensor.threshold is not None:
        threshold, threshold_source = sensor.threshold, "deployment profile"
    if dataset is not None and dataset.threshold is not None:
        threshold, threshold_source = dataset.threshold, "data file"
    return Task(kind, source, told.frames, threshold, threshold_source)
