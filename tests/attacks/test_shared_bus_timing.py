"""Shared bus: what device files say of masters, which accesses depend on the input, and the rule that joins them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from attacks.timing_targets import M0, M4, NO_BRANCH, dense, run, softmax, target_of
from tinymlsec.attacks.side_channel._shared_bus_accesses import Accesses, accesses_of, unknown
from tinymlsec.attacks.side_channel._shared_bus_controls import TWO_CORES
from tinymlsec.attacks.side_channel._shared_bus_masters import bus_of
from tinymlsec.attacks.side_channel._timing_flow import Kind, Place
from tinymlsec.attacks.side_channel._timing_inputs import choose
from tinymlsec.attacks.side_channel.shared_bus_timing import judge, shared_bus_timing
from tinymlsec.errors import CapabilityMissing
from tinymlsec.records import Basis, Control, VerdictKind
from tinymlsec.target.device import list_devices, load_device
from tinymlsec.target.target import Target

TRUSTZONE, TWO_RAMS, XTENSA, UNSURE = "stm32u585ai", "nrf5340", "esp32", "psoc6"
BRANCH = Place(0x08000100, 0, Kind.BRANCH, 3, 17)


def test_two_processors_on_one_ram_and_a_branch_fall() -> None:
    seen = run(shared_bus_timing, target_of(dense(), M0))
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.STATIC
    assert seen.facts["masters"] == [
        {"name": "Cortex-M0+", "kind": "cpu", "count": 2, "runs_code": True, "sure": True}
    ]  # fmt: skip
    assert {m["name"]: m["shared"] for m in seen.facts["memories"]} == {"SRAM": "yes", "External flash": "yes"}
    assert seen.facts["accesses"]["branches"] > 0
    assert seen.facts["dma"] == "not in device files"
    assert {finding.id for finding in seen.findings} == {"BUS-BRANCH"}
    assert all("kernels/fixed.h" in finding.message for finding in seen.findings)
    assert seen.positive_control
    assert seen.positive_control.succeeded
    assert seen.negative_control
    assert seen.negative_control.succeeded


def test_the_same_without_a_branch_stands_but_is_not_called_resistant() -> None:
    seen = run(shared_bus_timing, target_of(dense(), M0, changes=NO_BRANCH))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "Static facts make nothing resistant" in seen.verdict.reason
    assert not seen.findings
    assert seen.facts["accesses"]["branches"] == seen.facts["accesses"]["addresses"] == 0


def test_one_master_without_another_world_is_not_applicable() -> None:
    with pytest.raises(CapabilityMissing, match=r"not applicable.*one master.*DMA"):
        run(shared_bus_timing, target_of(softmax(), M4))


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (TRUSTZONE, "TrustZone-M is yes"),
        (TWO_RAMS, "does not say which memories its processors share"),
        (UNSURE, "to be checked"),
        (XTENSA, "unknown"),
    ],
)
def test_what_the_file_does_not_say_stays_open(device: str, words: str) -> None:
    seen = run(shared_bus_timing, target_of(softmax(), device))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert words in seen.verdict.reason


def test_without_a_model_the_device_is_described_all_the_same() -> None:
    seen = run(shared_bus_timing, Target("board", device=load_device(M0)))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "no model was given" in seen.verdict.reason
    assert seen.facts["accesses"] == {"known": False, "why": "no model was given"}
    assert seen.positive_control is None


def test_accesses_of_an_inference_too_long_are_unknown() -> None:
    twin = target_of(softmax(), M0).twin()
    inputs = choose(twin.program, None, None, 2, np.random.default_rng(0))
    short = accesses_of(twin, inputs, 100)
    assert not short.known
    assert "100 instructions" in short.why
    assert accesses_of(twin, inputs, 100_000).known


def test_two_accelerators_alternatives_and_tightly_coupled_memory() -> None:
    pico = bus_of(load_device("rp2350"))
    assert pico.processors == 2, "either pair of cores runs, not both"
    portenta = {m.name: m.shared for m in bus_of(load_device("stm32h747xi")).memories}
    assert portenta == {"SRAM": "not said", "Flash": "yes"}, "the figure for its RAM stands for several memories"
    ra8 = bus_of(load_device("ra8p1"))
    assert any(master.kind == "npu" and not master.runs_code for master in ra8.masters)


def test_every_device_file_can_be_read_so() -> None:
    kinds = {"single": 0, "shared": 0, "other": 0}
    for device in list_devices():
        bus = bus_of(device)
        kinds["single" if bus.single else "shared" if bus.surely_shared() else "other"] += 1
        assert all(memory.reason for memory in bus.memories)
        assert not (bus.single and bus.surely_shared())
    assert min(kinds.values()) > 5


def test_nothing_is_ever_resistant() -> None:
    good = Control(kind="positive", twin="t", succeeded=True)
    bad = replace_control(good)
    accesses = (
        unknown("no engine"),
        Accesses(True, ""),
        Accesses(True, "a gap"),
        Accesses(True, "", choices=(BRANCH,)),
        Accesses(True, "", shifted=(BRANCH,)),
    )
    buses = (TWO_CORES, replace(TWO_CORES, memories=()), replace(TWO_CORES, masters=TWO_CORES.masters[:0]))
    kinds = {
        judge(bus, found, positive, None).kind for bus, found, positive in product(buses, accesses, (None, good, bad))
    }
    assert kinds == {VerdictKind.VULNERABLE, VerdictKind.INCONCLUSIVE}
    assert judge(TWO_CORES, accesses[3], good, None).kind is VerdictKind.VULNERABLE
    assert judge(TWO_CORES, accesses[3], bad, None).kind is VerdictKind.INCONCLUSIVE
    assert judge(TWO_CORES, accesses[4], good, None).kind is VerdictKind.INCONCLUSIVE


def replace_control(control: Control) -> Control:
    return control.model_copy(update={"succeeded": False})
