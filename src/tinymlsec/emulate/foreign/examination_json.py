"""What was found in a firmware, as JSON-ready data. Addresses are numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tinymlsec.emulate.foreign.examination_text import kernels_of
from tinymlsec.emulate.foreign.examine import Examination
from tinymlsec.emulate.foreign.finder.blob import Blob
from tinymlsec.emulate.foreign.first_run import FirstRun
from tinymlsec.emulate.foreign.outcome import Ending
from tinymlsec.emulate.foreign.suggest import printed
from tinymlsec.emulate.foreign.trial import Trial


def data_of(found: Examination) -> dict[str, Any]:
    """All of it."""
    findings = found.findings
    return {
        "image": _image(found),
        "core": {"id": found.core.id, "reason": found.core_reason},
        "memory": {"source": found.memory.source, "regions": [asdict(r) for r in found.memory.regions]},
        "models": [_blob(blob) for blob in findings.blobs],
        "not_models": [asdict(other) for other in findings.not_blobs],
        "kernels": kernels_of(found),
        "names": [asdict(place) for place in findings.names],
        "texts": asdict(findings.texts),
        "registrations": None if findings.registrations is None else asdict(findings.registrations),
        "tensors": None if findings.tensors is None else asdict(findings.tensors),
        "interpreter": None if findings.interpreter is None else asdict(findings.interpreter),
        "arena": None if findings.arena is None else asdict(findings.arena) | {"bytes": findings.arena.bytes},
        "missing": list(findings.missing),
        "run": None if found.run is None else _run(found.run),
        "not_run": found.not_run,
        "inference": None if found.trial is None else _trial(found.trial),
        "description": found.suggestion,
        "seconds": round(found.seconds, 3),
    }


def _image(found: Examination) -> dict[str, Any]:
    image = found.image
    segments = [
        {"address": s.address, "virtual_address": s.virtual_address, "access": s.access}
        | {"stored_bytes": len(s.data), "memory_bytes": s.memory_size}
        for s in image.segments
    ]
    return {
        "kind": image.kind,
        "bytes": found.file_bytes,
        "sha256": image.digest,
        "machine": image.machine,
        "entry": image.entry,
        "vector_table": None if image.vectors is None else asdict(image.vectors),
        "segments": segments,
        "sections": [asdict(section) for section in image.sections],
        "stripped": image.stripped,
        "symbols": len(image.all_symbols),
        "build_id": image.build_id,
        "producer": image.producer,
        "family": image.family,
        "notes": list(image.notes),
    }


def _blob(blob: Blob) -> dict[str, Any]:
    operators = [op.label for op in blob.model.main.operators]
    return {"address": blob.address, "bytes": len(blob.data), "operators": operators}


def _ending(ending: Ending) -> dict[str, Any]:
    data = asdict(ending)
    data["end"] = ending.end.value
    return data


def _run(run: FirstRun) -> dict[str, Any]:
    windows = [asdict(window) | {"name": window.name} for window in run.windows]
    return {
        "instructions": run.instructions,
        "ending": _ending(run.ending),
        "windows": windows,
        "confirmed": run.confirmed,
        "differs": run.differs,
        "nodes": [] if run.calls is None else [call.node for call in run.calls.calls],
        "ticks": run.report.ticks,
        "exit_code": run.report.exit_code,
        "uart": {f"0x{register:08x}": text for register, text in printed(run).items()},
        "semihosting": run.report.text.get("semihosting", b"").decode("utf-8", "replace"),
        "touched": {f"0x{a:08x}": list(counts) for a, counts in sorted(run.report.touched.items())},
        "guessed_registers": list(run.extra),
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "started": trial.started,
        "ok": trial.ending.ok,
        "ending": _ending(trial.ending),
        "boot_instructions": trial.boot_instructions,
        "instructions": trial.instructions,
        "dsp_instructions": trial.dsp,
        "output": None if trial.output is None else trial.output.tolist(),
        "text": trial.text,
        "compared": trial.compared,
        "equal": trial.equal,
        "not_compared": trial.not_compared,
    }
