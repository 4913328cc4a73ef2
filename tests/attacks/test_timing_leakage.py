"""Timing: weak firmware falls at its line, constant firmware stands with a proof, everything else says what is open."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from attacks.attack_targets import dataset
from attacks.timing_targets import M0, M3, M4, NO_BRANCH, RISCV, SIGN_BRANCH, dense, pooled, run, softmax, target_of
from tinymlsec.attacks.side_channel._timing_controls import controls
from tinymlsec.attacks.side_channel._timing_examine import Settings, examine
from tinymlsec.attacks.side_channel._timing_inputs import KINDS, choose, classes_of
from tinymlsec.attacks.side_channel._timing_twins import REQUANTIZE, rebuilt
from tinymlsec.attacks.side_channel.timing_leakage import timing_leakage
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.cycles.model import cycle_model
from tinymlsec.emulate.cycles.table import cycle_table
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.twin import build_twin
from tinymlsec.errors import CapabilityMissing, MachineError
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model
from tinymlsec.records import Basis, VerdictKind


def bits(seen: Observation, about: str) -> float:
    (metric,) = [m for m in seen.metrics if m.name == "bits_per_query" and m.label.startswith(f"about the {about}")]
    return metric.value


def branch_line(target: object) -> str:
    text = target.twin().program.files[REQUANTIZE].splitlines()  # type: ignore[attr-defined]
    return f"{REQUANTIZE}:{next(i for i, line in enumerate(text, 1) if 'if ((int32_t)sum < 0)' in line)}"


@pytest.mark.parametrize("device", [M4, M0, RISCV])
def test_a_sign_branch_in_requantization_leaks_at_its_line(device: str) -> None:
    target = target_of(dense(), device, changes=SIGN_BRANCH)
    seen = run(timing_leakage, target)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.SIMULATED
    assert bits(seen, "input") > 0.3
    parting = seen.facts["first_divergence"]
    assert (parting["line"], parting["operator"]) == (branch_line(target), 0)
    assert branch_line(target) in seen.summary
    assert any(branch_line(target) in finding.message and finding.id == "TIME-BRANCH" for finding in seen.findings)
    assert seen.positive_control
    assert seen.positive_control.succeeded
    assert seen.negative_control
    assert seen.negative_control.succeeded


def test_what_has_no_choice_is_proved_and_stands() -> None:
    seen = run(timing_leakage, target_of(dense()))
    assert seen.verdict.kind is VerdictKind.RESISTANT, seen.verdict.reason
    assert seen.facts["proof"]["gap"] == "none"
    assert {layer["time"] for layer in seen.facts["layers"]} == {"constant"}
    assert seen.facts["first_divergence"] is None
    assert bits(seen, "input") == bits(seen, "class") == 0
    assert all(m.low is None or m.value == m.high == 0 for m in seen.metrics if m.name == "bits_per_query")


def test_clamps_are_branches_on_a_core_without_conditional_instructions_and_masks_mend_it() -> None:
    weak = run(timing_leakage, target_of(dense(), M0), timer_us=0.05)
    hardened = run(timing_leakage, target_of(dense(), M0, changes=NO_BRANCH), timer_us=0.05)
    assert weak.verdict.kind is VerdictKind.VULNERABLE
    assert weak.facts["first_divergence"]["line"].startswith("kernels/fixed.h")
    assert hardened.verdict.kind is VerdictKind.RESISTANT, hardened.verdict.reason


def test_softmax_leaks_and_a_coarse_timer_does_not_see_it() -> None:
    target = target_of(softmax())
    fine, coarse = (run(timing_leakage, target, timer_us=us) for us in (0.1, 100_000.0))
    assert fine.verdict.kind is VerdictKind.VULNERABLE
    assert fine.facts["first_divergence"]["operator_name"] == "SOFTMAX"
    assert fine.facts["proof"]["layers_of_constant_path"] == 1
    assert coarse.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "depends on the inputs" in coarse.verdict.reason
    assert 0 < bits(coarse, "input") < 0.001 < bits(fine, "input")
    values = [point.y for point in fine.curves[0].points]
    assert values == sorted(values, reverse=True)


def test_a_division_on_one_path_proves_nothing() -> None:
    seen = run(timing_leakage, target_of(pooled()))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "operands" in seen.verdict.reason
    rows = seen.facts["varying_instructions"]
    assert {row["operator_name"] for row in rows} == {"AVERAGE_POOL_2D"}
    assert all("div" in row["instruction"] and row["cycles"] == [2, 12] for row in rows)
    assert sum(row["operands_depend_on_the_input"] for row in rows) >= 8
    assert any(finding.id == "TIME-OPERANDS" for finding in seen.findings)
    low = next(m for m in seen.metrics if m.name == "bits_per_query")
    assert (low.value, low.low) == (0, 0)
    assert 0 < (low.high or 0) < 0.5, "what no input showed is not excluded"


def test_long_multiplications_of_the_cortex_m3_are_named() -> None:
    seen = run(timing_leakage, target_of(dense(), M3))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert any(row["instruction"].startswith("smlal") for row in seen.facts["varying_instructions"])
    assert seen.negative_control
    assert seen.negative_control.succeeded, "time that is not simulated is no difference"


def test_classes_of_the_data_are_told_apart() -> None:
    rng = np.random.default_rng(8)
    labels = np.arange(80) % 2
    x = np.clip(rng.integers(-20, 20, (80, 16)) + np.where(labels, -60, 60)[:, None], -128, 127).astype(np.int8)
    signed = target_of(dense(), samples=dataset(x, labels.astype(np.int64), ("up", "down")), changes=SIGN_BRANCH)
    seen = run(timing_leakage, signed)
    assert seen.facts["inputs"]["classes"] == "labels of the data"
    assert {row["class"] for row in seen.facts["latency_by_class"]} == {"up", "down"}
    assert seen.facts["significance"]["lower"]["probability_of_chance"] < 0.01
    assert bits(seen, "class") > 0.05
    assert seen.facts["significance"]["lower"]["alarm"]


def test_same_seed_same_observation() -> None:
    target = target_of(softmax())
    assert run(timing_leakage, target, seed=4) == run(timing_leakage, target, seed=4)


@pytest.mark.parametrize("core", CORES)
def test_tables_mark_what_they_say_ends_early(core: str) -> None:
    rows = cycle_table(core).rows
    early = {kind for kind, row in rows.items() if "depends on the operands" in row.note}
    marked = {kind for kind, row in rows.items() if row.operands}
    assert early <= marked
    assert ("divide" in marked) == CORES[core].divides
    assert all(rows[kind].cycles.low < rows[kind].cycles.high for kind in marked)


def test_a_model_too_long_for_the_effort_is_not_judged() -> None:
    seen = run(timing_leakage, target_of(digits_model()), megainstructions=1)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert seen.verdict.reason.startswith("budget")


def test_what_cannot_be_followed_is_counted_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinymlsec.attacks.side_channel._timing_examine.FOLLOWING", 300.0)
    seen = run(timing_leakage, target_of(dense()), megainstructions=1)
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "too long to be followed" in seen.verdict.reason
    assert {layer["time"] for layer in seen.facts["layers"]} == {"counted"}


def test_a_board_without_a_clock_has_a_timer_of_one_cycle() -> None:
    board = target_of(dense()).device
    assert board is not None
    silent = board.model_copy(update={"cores": tuple(c.model_copy(update={"mhz": None}) for c in board.cores)})
    seen = run(timing_leakage, target_of(softmax(), silent))
    assert "one cycle" in seen.metrics[0].label
    assert seen.effort.attacker_seconds is None
    assert run(timing_leakage, target_of(softmax(), silent), clock_mhz=50.0).effort.attacker_seconds


def test_a_style_that_the_core_does_not_have_is_skipped() -> None:
    with pytest.raises(CapabilityMissing, match="DSP"):
        run(timing_leakage, target_of(dense(), M0), style="dsp")


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4f", "cortex-m7", "cortex-m33", "rv32imc"])
def test_controls_hold_on_every_core(core: str) -> None:
    like = build_twin(dense(), CORES[core], memory_map(None, CORES[core]))
    positive, negative = controls(like, 120.0, 200, 0.001, np.random.default_rng(1))
    assert positive.succeeded, positive.detail
    assert negative.succeeded, negative.detail


@pytest.mark.parametrize("device", [M4, M0])
def test_counts_and_cycles_are_those_of_whole_inferences(device: str) -> None:
    rng = np.random.default_rng(2)
    twin = target_of(softmax(), device).twin()
    inputs = choose(twin.program, None, None, 12, rng)
    model = cycle_model(twin.core)
    with twin.start() as started:
        found = examine(started, inputs, Settings(10**8, 120.0, 100), rng)
        constant = found.reference.instructions - found.reference.inside(found.watched)
        for i in range(4):
            started.machine.restore(started.ready)
            started.machine.write(twin.input_address(), inputs.sample(i)[0].tobytes())
            whole = started.count()
            assert whole.instructions == constant + sum(int(c.ran[i].sum()) for c in found.layers.values())
            price = model.cost(whole.counts, twin.image)
            assert (price.low, price.high) == (found.low.cycles[i], found.high.cycles[i])
    assert np.ptp(found.low.cycles) > 100


def test_a_proof_that_does_not_hold_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = (frozenset[int](),) * 3
    monkeypatch.setattr("tinymlsec.attacks.side_channel._timing_examine.watched_layers", lambda *_: nothing)
    twin, rng = target_of(softmax()).twin(), np.random.default_rng(2)
    with twin.start() as started, pytest.raises(MachineError, match="proved to take one path"):
        examine(started, choose(twin.program, None, None, 12, rng), Settings(10**8, 120.0, 100), rng)


def test_a_kernel_that_has_changed_is_no_control() -> None:
    twin = target_of(dense()).twin()
    with pytest.raises(MachineError, match="has changed"):
        rebuilt(twin, {REQUANTIZE: ("no such text", "")})


def test_inputs_of_the_data_are_balanced_and_go_to_the_device() -> None:
    rng = np.random.default_rng(5)
    labels = np.array([0] * 90 + [1] * 10, np.int64)
    target = target_of(dense(), samples=dataset(rng.integers(-128, 128, (100, 16)).astype(np.int8), labels))
    inputs = choose(target.twin().program, target.space, target.dataset, 20, rng)
    assert inputs.labels.tolist().count(1) == 10
    assert inputs.arrays[0].shape == (20, *target.twin().program.inputs[0].shape)
    assert classes_of(inputs, np.zeros((20, 4))).meaning == "labels of the data"


def test_generated_inputs_are_of_all_kinds_and_classes_fall_back() -> None:
    inputs = choose(target_of(dense()).twin().program, None, None, 40, np.random.default_rng(5))
    assert np.bincount(inputs.labels).tolist() == [10] * len(KINDS)
    level = inputs.arrays[0][inputs.labels == 1].reshape(10, -1)
    assert (level == level[:, :1]).all()
    decided = np.eye(4)[np.arange(40) % 4]
    assert classes_of(inputs, decided).meaning == "decisions of the model"
    assert classes_of(inputs, np.zeros((40, 4))).meaning == "kinds of inputs"
    alike = dataclasses.replace(inputs, labels=np.zeros(40, np.int64))
    assert classes_of(alike, np.zeros((40, 1))).meaning.startswith("no classes")
