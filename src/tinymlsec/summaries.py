"""The head of a report: model, task, data, versions and machine in a few facts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tinymlsec.run_record import DataSummary, ImageSummary, ModelSummary, TaskSummary, TraceSummary
from tinymlsec.target.target import MAX_CLEAN_SAMPLES, Target
from tinymlsec.target.tflite.facts import numeric_kind, parameter_count
from tinymlsec.target.tflite.graph import Tensor

LIBRARIES = ("numpy", "pydantic", "cvss", "tflite-micro")


def library_versions() -> dict[str, str]:
    """Versions of the libraries whose results enter the evidence."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "python": platform.python_version()}


def host_facts() -> dict[str, str]:
    """Machine facts that explain timings."""
    return {"system": platform.system(), "machine": platform.machine(), "cpus": str(os.cpu_count() or 1)}


def printable(name: str) -> str:
    """A file name for records: bounded, and bytes that are no UTF-8 (lone surrogates) become question marks."""
    return name[:200].encode("utf-8", "replace").decode()


def summarize_model(target: Target) -> ModelSummary | None:
    """The model in a few facts."""
    model = target.model
    if model is None:
        return None
    main = model.main
    runtime = f"tflite-micro {library_versions()['tflite-micro']}"
    reasons = [text for text in target.obstacles.values() if text]
    return ModelSummary(
        name=printable(target.name),
        sha256=target.model_digest,
        size=len(target.data),
        kind=numeric_kind(model),
        operators=sum(len(g.operators) for g in model.subgraphs),
        parameters=parameter_count(model),
        inputs=tuple(_describe(main.tensors[t]) for t in main.inputs[:16]),
        outputs=tuple(_describe(main.tensors[t]) for t in main.outputs[:16]),
        custom_operators=tuple(sorted({op.label[:80] for op in main.operators if op.name == "CUSTOM"})),
        state_tensors=len(model.state_tensors),
        runtime=runtime if target.victim is not None or not reasons else f"{runtime}; {reasons[0]}",
        runs=target.victim is not None,
    )


def _describe(tensor: Tensor) -> str:
    text = f"{tensor.name[:80]} {tensor.dtype} {list(tensor.shape)}"
    q = tensor.quantization
    if q is not None and q.scale.size == 1:
        text += f" scale {q.scale[0]:.6g}" + (f" zero point {q.zero_point[0]}" if q.zero_point.size else "")
    return text


def summarize_task(target: Target) -> TaskSummary | None:
    """What the model is for, and how we know."""
    task = target.task
    if task is None:
        return None
    return TaskSummary(
        kind=task.kind.value,
        source=task.source,
        frames=task.frames,
        threshold=task.threshold,
        threshold_source=task.threshold_source,
    )


def summarize_data(target: Target) -> DataSummary | None:
    """The user's data in a few facts."""
    data = target.dataset
    if data is None:
        return None
    return DataSummary(
        path=printable(Path(data.path).name),  # the folder is nobody's business but the user's
        sha256=data.digest,
        samples=data.n,
        used=min(data.n, MAX_CLEAN_SAMPLES),
        labels=data.y is not None,
        class_names=data.class_names,
        clipped=data.clipped,
    )


def summarize_image(target: Target) -> ImageSummary | None:
    """The firmware image in a few facts."""
    given = target.image
    if given is None:
        return None
    image = given.image
    return ImageSummary(
        name=printable(given.name),
        sha256=given.digest,
        size=len(given.data),
        kind=image.kind,
        machine=image.machine,
        stored_bytes=sum(len(segment.data) for segment in image.segments),
        symbols=len(image.all_symbols),
        producer=printable(image.producer),
        build_id=printable(image.build_id),
    )


def summarize_traces(target: Target) -> TraceSummary | None:
    """The traces in a few facts."""
    given = target.traces
    if given is None:
        return None
    from tinymlsec.traces.words import noise_words

    info, seen = given.set.info, given.survey
    return TraceSummary(
        path=printable(Path(given.path).name),
        sha256=given.digest,
        basis=info.basis,
        source=printable(info.source),
        traces=seen.traces,
        samples=seen.samples,
        input_bytes=seen.input_bytes,
        constant_samples=seen.constant_samples,
        clipped=seen.clipped and not info.leakage,  # simulated whole numbers stand at their ends without being clipped
        window=printable(given.window),
        window_source=given.window_source,
        core=printable(info.core),
        leakage=printable(info.leakage),
        noise=noise_words(info.noise) if info.leakage else "",
    )
