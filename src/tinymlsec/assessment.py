"""Plans and runs an assessment: what was asked goes in, a run folder with evidence and a report comes out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tinymlsec import __version__
from tinymlsec.baseline import measure_baseline
from tinymlsec.capabilities import Capability
from tinymlsec.context import Progress, silent
from tinymlsec.errors import BudgetExceeded, CapabilityMissing, OracleError, RunFolderError
from tinymlsec.evidence import Evidence
from tinymlsec.loading import Sources, load_target
from tinymlsec.planning import Unit, plan
from tinymlsec.records import VerdictKind
from tinymlsec.registry import EffortLevel, Registry, discover
from tinymlsec.run_record import Baseline, Request, RunRecord, RunStatus
from tinymlsec.running import Bench, run_unit
from tinymlsec.store import RunStore
from tinymlsec.summaries import (
    host_facts,
    library_versions,
    summarize_data,
    summarize_image,
    summarize_model,
    summarize_task,
    summarize_traces,
)
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.oracle import Budget, OraclePool
from tinymlsec.target.target import Target
from tinymlsec.threat.assess import assess_threats
from tinymlsec.threat.records import ThreatAssessment
from tinymlsec.threat.taxonomy import Classification, classify

OnEvidence = Callable[[Evidence], None]


@dataclass(frozen=True)
class Options:
    """How an assessment is to be run."""

    effort: EffortLevel = EffortLevel.STANDARD
    seed: int = 0
    only: tuple[str, ...] = ()
    overrides: Mapping[str, Mapping[str, Any]] | None = None
    """Attack id -> configuration values that replace those of the effort level."""
    budget: int | None = None
    """Inferences of the runtime in all."""
    oracle_seconds: float | None = None
    """Wall-clock seconds of the runtime in all; what does not fit is inconclusive."""
    workers: int | None = None
    """Processes of the runtime; None for one per processor, at most 8."""
    resume: bool = False
    command: str = ""
    """The command line that repeats this, for the report."""


@dataclass(frozen=True)
class Assessment:
    """What came of an assessment."""

    run: RunRecord
    evidence: tuple[Evidence, ...]
    threats: tuple[ThreatAssessment, ...]
    folder: Path | None

    @property
    def ran(self) -> int:
        """Attacks that ran to a verdict of their own."""
        return sum(e.verdict.kind not in (VerdictKind.SKIPPED, VerdictKind.ERROR) for e in self.evidence)


def assess(
    sources: Sources,
    out: Path | None = None,
    options: Options | None = None,
    *,
    registry: Registry | None = None,
    progress: Progress = silent,
    on_evidence: OnEvidence | None = None,
) -> Assessment:
    """Assess a model, a device, or both.

    Args:
        sources: what the user gave.
        out: run folder; None keeps everything in memory.
        options: how to run it.
        registry: attacks to choose from; found by `discover` without.
        progress: told how far the attack in flight is.
        on_evidence: told of each piece of evidence as it comes.

    Raises:
        InputError: something that was given cannot be used; nothing is left behind.
        KeyboardInterrupt: after the run has been marked as interrupted; it can be resumed.
    """
    options = options or Options()
    store = RunStore(out) if out is not None else None
    made = store.prepare(resume=options.resume) if store else False
    workers = options.workers or min(os.cpu_count() or 1, 8)
    budget = Budget(total=options.budget, seconds=options.oracle_seconds)
    try:
        with store.locked() if store else contextlib.nullcontext(), OraclePool(workers, budget=budget) as pool:
            target = load_target(sources, pool, progress)
            run = _Run(target, pool, budget, options, registry or discover(), store, sources)
            return run.execute(progress, on_evidence)
    finally:
        if made and store and not store.exists():
            store.discard_if_empty()


class _Run:
    """One run in flight."""

    def __init__(
        self,
        target: Target,
        pool: OraclePool,
        budget: Budget,
        options: Options,
        registry: Registry,
        store: RunStore | None,
        sources: Sources,
    ) -> None:
        self.target, self.pool, self.budget, self.options = target, pool, budget, options
        self.registry, self.store, self.sources = registry, store, sources
        self.units = plan(
            registry, target, effort=options.effort, seed=options.seed, only=options.only, overrides=options.overrides
        )
        self.evidence: list[Evidence] = []
        self.record: RunRecord

    def execute(self, progress: Progress, on_evidence: OnEvidence | None) -> Assessment:
        """Run what has not run yet."""
        previous = self._previous()
        self.record = self._begin(previous)
        self._save()
        bench = Bench(
            self.target, self.pool, self.options.seed, self.options.command, library_versions(),
            self.store.artifacts if self.store else None, progress,
        )  # fmt: skip
        done = {e.key for e in self.evidence}
        open_units = [unit for unit in self.units if unit.key not in done]
        try:
            self._prepare(open_units)
            for unit in open_units:
                self._keep(run_unit(unit, bench), on_evidence)
        except KeyboardInterrupt:
            self._save(RunStatus.INTERRUPTED)
            raise
        self._save(RunStatus.COMPLETE)
        return conclude(self.record, self.evidence, self.store.folder if self.store else None)

    def _prepare(self, units: Sequence[Unit]) -> None:
        """What several units share is made before any of them runs, so that a resumed unit counts the same inferences.

        An attack that needs what could not be made meets the same obstacle and says so.
        """
        needed = {need for unit in units if unit.skip is None for need in unit.attack.needs}
        with contextlib.suppress(BudgetExceeded, OracleError):
            if needed and Capability.DATA in self.target.capabilities:
                self.target.clean  # noqa: B018 - asked once and kept
        with contextlib.suppress(BudgetExceeded, OracleError, CapabilityMissing):
            if needed & {Capability.GRADIENTS, Capability.LOGITS}:
                self.target.lifted  # noqa: B018 - built and checked once
        if self.target.exactness is not None:
            self.record = self.record.model_copy(update={"exactness": self.target.exactness})
            self._save()

    def _keep(self, evidence: Evidence, on_evidence: OnEvidence | None) -> None:
        self.evidence.append(evidence)
        if self.store:
            self.store.append(evidence)
        if on_evidence:
            on_evidence(evidence)

    def _previous(self) -> RunRecord | None:
        """The record of the run that is resumed, with its evidence loaded."""
        if not (self.options.resume and self.store and self.store.exists()):
            return None
        record = self.store.read_record()
        if record.target_digest != self.target.digest or record.request != self._request():
            raise RunFolderError(
                "this folder holds a run of something else", found=f"target {record.target_digest[:12]}",
                expected=f"target {self.target.digest[:12]} with the same seed, effort and options",
                next_step="repeat the command of that run, or choose another -o RUN_DIR",
            )  # fmt: skip
        if record.tool_version != __version__:
            raise RunFolderError(
                "another version of tinymlsec began this run", found=record.tool_version, expected=__version__,
                next_step="go on with that version, or choose another -o RUN_DIR",
            )  # fmt: skip
        self.store.repair_tail()
        keys = {unit.key for unit in self.units}
        kept = [e for e in self.store.read_evidence(record.target_digest) if e.key in keys]
        # What was skipped costs nothing to try again, and its cause (a missing extra, say) may be gone.
        self.evidence = [e for e in kept if e.verdict.kind is not VerdictKind.SKIPPED]
        self.budget.charge(sum(e.inferences for e in self.evidence))
        return record

    def _begin(self, previous: RunRecord | None) -> RunRecord:
        now = datetime.now(UTC)
        if previous is not None:
            return previous.model_copy(update={"status": RunStatus.RUNNING, "updated": now})
        target, classified = self.target, classify_target(self.target)
        return RunRecord(
            tool_version=__version__,
            status=RunStatus.RUNNING,
            created=now,
            updated=now,
            request=self._request(),
            target_digest=target.digest,
            model=summarize_model(target),
            task=summarize_task(target),
            data=summarize_data(target),
            traces=summarize_traces(target),
            image=summarize_image(target),
            baseline=self._baseline(),
            device_id=target.device.id if target.device else None,
            device=target.device.model_dump(mode="json") if target.device else None,
            device_class=classified.class_,
            class_reasons=(*classified.reasons, *classified.warnings),
            deployment=target.deployment.model_dump(mode="json") if target.deployment else None,
            assumed=(target.deployment or Deployment()).assumed,
            obstacles={capability.value: why for capability, why in sorted(target.obstacles.items())},
            planned=tuple(unit.attack.id for unit in self.units),
            plugin_problems=self.registry.problems,
            versions=library_versions(),
            host=host_facts(),
            command=self.options.command,
        )

    def _baseline(self) -> Baseline | None:
        try:
            return measure_baseline(self.target)
        except (BudgetExceeded, OracleError):
            return None  # the attacks meet the same obstacle and say so

    def _request(self) -> Request:
        o = self.options
        return Request(
            effort=o.effort.value,
            seed=o.seed,
            budget=o.budget,
            only=o.only,
            overrides=_as_json(o.overrides or {}),
            input_encoding=self.sources.input_encoding,
            has_model=self.target.model is not None,
        )

    def _save(self, status: RunStatus | None = None) -> None:
        if status is not None:
            self.record = self.record.model_copy(update={"status": status, "updated": datetime.now(UTC)})
        if self.store:
            self.store.write_record(self.record)


def _as_json(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Overrides as they come back from run.json, so that a resumed run compares equal."""
    return {
        attack: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        for attack, values in overrides.items()
    }


def classify_target(target: Target) -> Classification:
    """The device class of a target, with reasons."""
    if target.device is None:
        reason = "No device was given; a model for microcontrollers is taken to run on one of the class TinyML."
        return Classification(class_="TinyML", reasons=(reason,), rules=())
    if target.model is not None:
        return classify(target.device, has_model=True)
    # Without a model file, a part that is known as a plain sensor node is one; of the others we know too little.
    return classify(target.device, has_model=False if target.device.class_ == "IoT" else None)


def conclude(run: RunRecord, evidence: Sequence[Evidence], folder: Path | None = None) -> Assessment:
    """Score all threats on what a run found; needs the records only, so a report can be rebuilt from a run folder.

    Raises:
        RunFolderError: device or deployment of the record do not follow this version's schema.
    """
    from tinymlsec.target.device import Device

    try:
        device = Device.model_validate(run.device) if run.device else None
        deployment = Deployment.model_validate(run.deployment) if run.deployment else None
    except ValidationError as error:
        raise RunFolderError(
            "the device or the deployment in run.json does not follow the schema",
            found=f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"[:200],
            next_step="run again with this version",
        ) from error  # fmt: skip
    threats = assess_threats(
        run.device_class, device, deployment or Deployment(), evidence, has_model=bool(run.request.has_model)
    )
    return Assessment(run, tuple(evidence), tuple(threats), folder)


def read_run(folder: Path) -> Assessment:
    """A finished or interrupted run, from its folder alone.

    Raises:
        RunFolderError: not a run folder, damaged, or changed by hand.
    """
    store = RunStore(folder)
    record = store.read_record()
    return conclude(record, store.read_evidence(record.target_digest), folder)


def default_run_folder(name: str, base: Path, *, resume: bool = False) -> Path:
    """The first of tinymlsec-run-NAME, tinymlsec-run-NAME-2, ... that is not taken; the last that is, to resume it."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"
    plain = base / f"tinymlsec-run-{stem}"
    candidates = (plain if k == 1 else base / f"{plain.name}-{k}" for k in range(1, 10_000))
    last = plain
    for candidate in candidates:
        if not candidate.exists():
            return last if resume else candidate
        last = candidate
    return plain


__all__ = ["Assessment", "Options", "Sources", "Unit", "assess", "conclude", "default_run_folder", "read_run"]
