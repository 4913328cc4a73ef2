"""Runs one unit of work and makes evidence of it, whatever happens."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec import __version__
from tinymlsec.context import Context, Progress, silent
from tinymlsec.errors import (
    BudgetExceeded,
    CapabilityMissing,
    OracleCrash,
    OracleTimeout,
    TinymlsecError,
)
from tinymlsec.evidence import Evidence, Observation
from tinymlsec.planning import Unit, unit_seed
from tinymlsec.records import Basis, Verdict, VerdictKind
from tinymlsec.store import canonical, check_depth
from tinymlsec.target.space import input_space
from tinymlsec.target.task import task_from_graph
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.victim import Victim

if TYPE_CHECKING:
    from tinymlsec.target.oracle import OraclePool
    from tinymlsec.target.target import Target


@dataclass(frozen=True)
class Bench:
    """What all units of a run share."""

    target: Target
    pool: OraclePool
    seed: int
    command: str
    versions: dict[str, str]
    artifacts: Path | None = None
    progress: Progress = silent

    def victim_of(self, data: bytes) -> Victim:
        """A model file of our own making (a twin) as a victim on the same runtime."""
        model = read_model(data)
        return Victim(data, model, input_space(model), task_from_graph(model), self.pool)


def run_unit(unit: Unit, bench: Bench) -> Evidence:
    """Run a unit, or record why it was not run. Never raises for anything the attack or the runtime does.

    Raises:
        KeyboardInterrupt: passed on, so that the run can be marked as interrupted.
    """
    started, clock, before = datetime.now(UTC), time.monotonic(), bench.pool.inferences
    observation = _skipped(unit.skip) if unit.skip else _observe(unit, bench)
    seconds = time.monotonic() - clock
    try:
        evidence = _evidence(unit, bench, observation, started, seconds, before)
        body = evidence.model_dump(mode="json")
        check_depth(body)
        canonical(body)
    except Exception as error:  # facts that JSON cannot hold, such as arrays and NaN
        reason = f"the attack's observation is no record: {type(error).__name__}: {error}"
        observation = _without_result(VerdictKind.ERROR, reason, Basis.DECLARED)
        evidence = _evidence(unit, bench, observation, started, seconds, before)
    return evidence


def _evidence(
    unit: Unit, bench: Bench, observation: Observation, started: datetime, seconds: float, before: int
) -> Evidence:
    return Evidence(
        **{name: getattr(observation, name) for name in Observation.model_fields},
        key=unit.key,
        attack=unit.attack.id,
        threats=unit.attack.threats,
        target_digest=bench.target.digest,
        device=bench.target.device.id if bench.target.device else None,
        config=unit.config.model_dump(mode="json"),
        seed=bench.seed,
        tool_version=__version__,
        versions=bench.versions,
        started=started,
        seconds=seconds,
        inferences=bench.pool.inferences - before,
        reproduce=bench.command,
    )


def _observe(unit: Unit, bench: Bench) -> Observation:
    rng = np.random.default_rng(np.random.SeedSequence(unit_seed(bench.seed, unit.attack.id)))
    context = Context(rng, bench.victim_of, bench.artifacts, bench.progress)
    before = bench.pool.inferences
    try:
        return unit.attack(bench.target, unit.config, context)
    except BudgetExceeded as error:
        if bench.pool.inferences == before:  # it never ran, so it must not count as an attack that did
            return _skipped(f"budget: {error.message}; nothing was left for this attack's first inference")
        return _without_result(VerdictKind.INCONCLUSIVE, f"budget: {error.message}", Basis.EXECUTED)
    except CapabilityMissing as error:
        return _without_result(VerdictKind.SKIPPED, str(error), Basis.DECLARED)
    except (OracleCrash, OracleTimeout) as error:
        return _without_result(VerdictKind.ERROR, f"the runtime died of this: {error}", Basis.EXECUTED)
    except TinymlsecError as error:
        return _without_result(VerdictKind.ERROR, str(error), Basis.DECLARED)
    except (Exception, SystemExit) as error:  # an attack that calls sys.exit(0) must not end the assessment as a pass
        return _without_result(VerdictKind.ERROR, f"{type(error).__name__}: {error}", Basis.DECLARED)


def _skipped(reason: str) -> Observation:
    return _without_result(VerdictKind.SKIPPED, reason, Basis.DECLARED)


def _without_result(kind: VerdictKind, reason: str, basis: Basis) -> Observation:
    text = " ".join(reason.split())[:1900]
    return Observation(verdict=Verdict(kind=kind, reason=text), basis=basis, summary=f"{kind.value}: {text}")
