"""malformed-model-run: the known-bad model ends a worker, the file as it is runs, and copies differ in one word."""

from __future__ import annotations

import numpy as np
import pytest

from attacks.attack_targets import Workbench
from tinymlsec.attacks._twins import linear_twin
from tinymlsec.attacks.rules._malformed import CRASH, REFUSED, changed_copies, deadly_model, run_files
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.registry import discover
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.oracle import runtime_available
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.reader import read_model

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason="needs the runtime of this platform")
MODEL = linear_twin(8)


def test_copies_differ_in_one_aligned_word_of_the_structure() -> None:
    model = read_model(MODEL)
    original = np.frombuffer(MODEL, np.uint8)
    for copy in changed_copies(model, MODEL, 100, np.random.default_rng(1)):
        places = np.flatnonzero(np.frombuffer(copy, np.uint8) != original)
        assert len(copy) == len(MODEL)
        assert places.size == 0 or places.max() // 4 == places.min() // 4
        assert places.size == 0 or places.min() >= 4


def test_copies_are_repeatable() -> None:
    model = read_model(MODEL)
    first, second = (changed_copies(model, MODEL, 20, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_the_known_bad_model_ends_a_worker_and_rules_object_to_it() -> None:
    seen = run_files([deadly_model(), MODEL[:40], MODEL])
    assert seen.counts == {CRASH: 1, REFUSED: 1, "ran": 1}
    assert seen.signals == {"SIGFPE": 1}
    assert seen.warned == 1
    assert seen.first == deadly_model()


@pytest.fixture(scope="module")
def observed() -> Observation:
    from tinymlsec.target.oracle import OraclePool

    with OraclePool(1) as pool:
        bench = Workbench(pool)
        return bench.run(discover().attacks["malformed-model-run"], bench.target(MODEL), samples=40)


def test_the_verdict_counts_what_ended_the_runtime(observed: Observation) -> None:
    ended = observed.facts["outcomes"].get("crash", 0) + observed.facts["outcomes"].get("hang", 0)
    assert sum(observed.facts["outcomes"].values()) == 40
    assert observed.basis is Basis.EXECUTED
    assert observed.verdict.kind is (VerdictKind.VULNERABLE if ended else VerdictKind.INCONCLUSIVE)
    assert observed.metrics[0].value == ended / 40
    assert len(observed.artifacts) == bool(ended)


def test_both_controls_hold(observed: Observation) -> None:
    assert observed.positive_control is not None
    assert observed.positive_control.succeeded
    assert observed.negative_control is not None
    assert observed.negative_control.succeeded


def test_a_compiled_model_interprets_no_file() -> None:
    spec = discover().attacks["malformed-model-run"]
    compiled = Deployment.model_validate({"model": {"runtime": "compiled"}})
    target = Target("t", MODEL, read_model(MODEL), deployment=compiled)
    from tinymlsec.context import Context
    from tinymlsec.registry import EffortLevel

    with pytest.raises(CapabilityMissing, match="compiled"):
        spec(target, spec.configure(EffortLevel.QUICK), Context(np.random.default_rng(0), lambda _: None))  # type: ignore[arg-type, return-value]
