"""The facts at the head of a page (what was assessed) and at its end (how to repeat it)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymlsec.report.facts import flatten
from tinymlsec.report.text import clean, number, quantity
from tinymlsec.report.words import number_of

if TYPE_CHECKING:
    from tinymlsec.report.evidence_view import Limits
    from tinymlsec.run_record import RunRecord

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Card:
    """A box of facts."""

    title: str
    rows: Rows = ()
    texts: tuple[str, ...] = ()
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Folded lists: heading and items."""


def _rows(*pairs: tuple[str, str]) -> Rows:
    return tuple((name, value) for name, value in pairs if value)


def _items(facts: Mapping[str, Any] | None, limit: int) -> tuple[str, ...]:
    rows = list(flatten(facts or {}, limit + 1))
    texts = [f"{clean(name, 80)}: {clean(value, 400)}" for name, value in rows[:limit]]
    return tuple(texts + (["Further facts are in report.json."] if len(rows) > limit else []))


def _model(run: RunRecord, limits: Limits) -> Card:
    model = run.model
    if model is None:
        return Card("Model", texts=("No model was given: threats are scored from device and deployment facts alone.",))
    rows = _rows(
        ("File", model.name),
        ("Kind", model.kind),
        ("Size", f"{number(model.size)} bytes"),
        ("Graph", f"{number_of(model.operators, 'operator')}, {model.parameters:,} parameters"),
        ("Input", "; ".join(model.inputs[:8])),
        ("Output", "; ".join(model.outputs[:8])),
        ("Custom operators", ", ".join(model.custom_operators[:16])),
        ("State tensors", str(model.state_tensors) if model.state_tensors else ""),
        ("Runtime", model.runtime or "none"),
        ("Runs there", "yes" if model.runs else "no: nothing could be executed"),
        ("Lifted graph", run.exactness.words if run.exactness else ""),
        ("SHA-256", model.sha256),
    )
    return Card("Model", rows)


def _device(run: RunRecord, limits: Limits) -> Card:
    facts = ("Device record as it was used", _items(run.device, limits.rows * 3))
    reasons = tuple(run.class_reasons)
    if run.device_id is None:
        text = "No device was named: nothing about its memories, speed and protections is known."
        return Card("Device", _rows(("Class", run.device_class)), (text, *reasons))
    name = str((run.device or {}).get("name", ""))
    rows = _rows(("Id", run.device_id), ("Name", name), ("Class", run.device_class))
    return Card("Device", rows, reasons, (facts,))


def _task_rows(run: RunRecord) -> Iterator[tuple[str, str]]:
    if run.task:
        yield "Task", run.task.kind.replace("_", " ") + (", frame by frame" if run.task.frames else "")
        yield "Known from", run.task.source
        if run.task.threshold is not None:
            source = f" ({run.task.threshold_source})" if run.task.threshold_source else ""
            yield "Threshold", f"{number(run.task.threshold)}{source}"
    if data := run.data:
        yield "Data file", data.path
        yield "Samples", f"{data.samples:,}, of which {data.used:,} measured the unattacked model"
        yield "Labels", "yes" if data.labels else "no"
        names = ", ".join(data.class_names[:12]) + (" …" if len(data.class_names) > 12 else "")
        yield "Classes", f"{len(data.class_names)}: {names}" if data.class_names else ""
        yield "Clipped", f"{quantity(data.clipped, 'share')} of the values lie outside of the quantized range"
        yield "SHA-256", data.sha256


def _task(run: RunRecord, limits: Limits) -> Card:
    texts = () if run.data else ("No data was given: nothing that needs inputs was measured.",)
    return Card("Task and data", _rows(*_task_rows(run)), texts)


def _deployment(run: RunRecord, limits: Limits) -> Card:
    assumed = run.assumed
    if run.deployment is None:
        text = (
            "No deployment profile was given. Every fact about the product is unknown, and unknown counts neither as "
            "protection nor as weakness."
        )
        return Card("Deployment", texts=(text,), lists=(("Facts nobody gave", assumed[: limits.rows * 3]),))
    given = dict(_given(run.deployment, set(assumed)))
    text = f"{number_of(len(given), 'fact')} given, {len(assumed)} unknown. Unknown counts neither way."
    lists = (("Facts given", _items(given, limits.rows * 3)), ("Facts nobody gave", assumed[: limits.rows * 3]))
    product = run.deployment.get("product")
    name = str(product.get("name", "")) if isinstance(product, Mapping) else ""
    return Card("Deployment", _rows(("Product", name)), (text,), lists)


def _given(deployment: Mapping[str, Any], assumed: set[str]) -> Iterator[tuple[str, str]]:
    for name, value in flatten(deployment, 2000):
        if name not in assumed and value not in ("unknown", "none") and not name.startswith("product.name"):
            yield name, value


def _traces(run: RunRecord, limits: Limits) -> Iterator[Card]:
    given = run.traces
    if given is None:
        return
    shape = f"{given.traces:,} of {given.samples:,} samples, {given.constant_samples:,} of them constant"
    rows = _rows(
        ("File", given.path),
        ("Source", given.source),
        ("Basis", given.basis.value),
        ("Traces", shape),
        ("Inputs", f"{given.input_bytes:,} bytes with each"),
        ("Show", f"{given.window} ({given.window_source})" if given.window else "nobody said what"),
        ("Core", given.core),
        ("Leakage model", given.leakage),
        ("Noise", given.noise),
        ("Clipped", "likely: many values stand at an end of the range" if given.clipped else ""),
        ("SHA-256", given.sha256),
    )
    yield Card("Traces", rows)


def _image(run: RunRecord, limits: Limits) -> Iterator[Card]:
    given = run.image
    if given is None:
        return
    rows = _rows(
        ("File", given.name),
        ("Kind", f"{given.kind.upper()}{f' for {given.machine}' if given.machine else ''}, {given.size:,} bytes"),
        ("Written to the device", f"{given.stored_bytes:,} bytes"),
        ("Symbols", f"{given.symbols:,}" if given.symbols else "none (stripped)"),
        ("Made by", given.producer),
        ("Build id", given.build_id),
        ("SHA-256", given.sha256),
    )
    yield Card("Firmware image", rows)


def cards_of(run: RunRecord, limits: Limits) -> tuple[Card, ...]:
    """What was assessed: model, device, task and data, deployment, and firmware and traces where there are any."""
    made = [make(run, limits) for make in (_model, _device, _task, _deployment)]
    return (*made, *_image(run, limits), *_traces(run, limits))


def _request(run: RunRecord) -> Rows:
    request = run.request
    return _rows(
        ("Effort", request.effort),
        ("Seed", str(request.seed)),
        ("Budget", f"{request.budget:,} inferences" if request.budget else "no limit"),
        ("Only", ", ".join(request.only)),
        ("Input encoding", request.input_encoding or ""),
        *flatten({"Changed": request.overrides}, 40),
    )


def reproduce_cards(run: RunRecord, limits: Limits) -> tuple[Card, ...]:
    """What it takes to repeat the run: what was asked, digests, versions, machine."""
    digests = _rows(
        ("Target", run.target_digest),
        ("Model", run.model.sha256 if run.model else ""),
        ("Data", run.data.sha256 if run.data else ""),
    )
    versions = _rows(("tinymlsec", run.tool_version), ("Record schema", run.schema_version), *_sorted(run.versions))
    return (
        Card("What was asked", _request(run)),
        Card("SHA-256 of the inputs", digests),
        Card("Versions", versions[: limits.rows]),
        Card("Machine (explains timings, nothing else)", _sorted(run.host)[: limits.rows]),
    )


def _sorted(facts: Mapping[str, str]) -> Rows:
    return tuple(sorted((name, value) for name, value in facts.items() if name != "tinymlsec"))
