"""Campaigns: many runs in one go equal the same runs one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.test_machine_runs import started
from tinymlsec.emulate import machine_campaign
from tinymlsec.emulate.contract import Probe, RunEnd, Window
from tinymlsec.emulate.machine import Machine
from tinymlsec.errors import UsageError

COLUMNS = ("hd", "hw", "bus_hd", "bus_hw", "value", "bus", "address", "pc")


@pytest.fixture(scope="module", params=("cortex-m4", "rv32imc"))
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with started(request.param) as made:
        yield made


def window_of(machine: Machine, name: str, *arguments: int) -> Window:
    return Window(name, machine.image.symbols[name].address, arguments)


def test_rows_equal_single_runs(machine: Machine) -> None:
    data = machine.image.symbols["zoo_data"].address
    rows = np.random.default_rng(3).integers(0, 256, (20, 32), np.uint8)
    window = window_of(machine, "copy")
    before = machine.snapshot()
    campaign = machine.campaign(window, [(data, rows)], take=COLUMNS, outputs=[(data + 32, 32)])
    assert (campaign.outputs[0] == rows).all()
    assert {RunEnd.DONE} == {list(RunEnd)[end] for end in campaign.ends}
    for i, row in enumerate(rows):
        machine.restore(before)
        probe = Probe(registers=True, bus=True, values=True, addresses=True)
        records = machine.run(window, {data: row.tobytes()}, probe).records
        assert campaign.lengths[i] == len(records)
        for name in COLUMNS:
            assert (campaign.samples[name][i] == records[name]).all(), name
        if i == 0:
            assert (campaign.pcs == records["pc"]).all()
    machine.drop(before)


def test_the_machine_is_as_before(machine: Machine) -> None:
    data = machine.image.symbols["zoo_data"].address
    before = (machine.registers(), machine.memory_digest())
    machine.campaign(window_of(machine, "copy"), [(data, np.zeros((3, 8), np.uint8))])
    assert (machine.registers(), machine.memory_digest()) == before


def test_points_are_a_choice_of_the_columns(machine: Machine) -> None:
    data = machine.image.symbols["zoo_data"].address
    rows = np.random.default_rng(4).integers(0, 256, (5, 32), np.uint8)
    window = window_of(machine, "copy")
    whole = machine.campaign(window, [(data, rows)], take=("hw", "bus"))
    points = np.array([1, 5, 6, 12])
    some = machine.campaign(window, [(data, rows)], take=("hw", "bus"), points=points)
    for name in ("hw", "bus"):
        assert (some.samples[name] == whole.samples[name][:, points]).all()
    assert (some.pcs == whole.pcs[points]).all()


def test_arguments_of_every_run(machine: Machine) -> None:
    arguments = np.array([[1], [4], [9]], np.uint32)
    campaign = machine.campaign(window_of(machine, "counted", 4), arguments=arguments, take=("hw",))
    longest = len(machine.call("counted", 9, probe=Probe(registers=True)).records)
    assert campaign.lengths[2] == longest
    assert campaign.lengths[0] < campaign.lengths[1] < longest


def test_short_runs_leave_zeros_and_long_ones_are_cut(machine: Machine) -> None:
    campaign = machine.campaign(window_of(machine, "counted", 4), arguments=np.array([[4], [1], [9]]), take=("hw",))
    width = campaign.samples["hw"].shape[1]
    assert campaign.lengths[0] == width
    assert not campaign.samples["hw"][1, campaign.lengths[1] :].any()
    assert campaign.lengths[2] > width
    assert (campaign.samples["hw"][2, : width // 2] > 0).any()


def test_endless_runs_end(machine: Machine) -> None:
    campaign = machine.campaign(window_of(machine, "forever"), runs=3, take=(), instructions=1000)
    assert [list(RunEnd)[end] for end in campaign.ends] == [RunEnd.TIMEOUT] * 3


def test_portions_make_no_difference(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    data = machine.image.symbols["zoo_data"].address
    rows = np.random.default_rng(5).integers(0, 256, (40, 32), np.uint8)
    window = window_of(machine, "copy")
    whole = machine.campaign(window, [(data, rows)], outputs=[(data, 64)])
    records = 2 * whole.samples["hw"].shape[1] + machine_campaign.SLACK
    monkeypatch.setattr(machine_campaign, "ROOM", 28 * records * 4 + 8000)
    parts = machine.campaign(window, [(data, rows)], outputs=[(data, 64)])
    assert (parts.samples["hw"] == whole.samples["hw"]).all()
    assert (parts.outputs[0] == whole.outputs[0]).all()


def test_what_does_not_belong_together(machine: Machine) -> None:
    data = machine.image.symbols["zoo_data"].address
    window = window_of(machine, "copy")
    with pytest.raises(UsageError, match="one number of runs"):
        machine.campaign(window, [(data, np.zeros((3, 4), np.uint8)), (data + 8, np.zeros((4, 4), np.uint8))])
    with pytest.raises(UsageError, match="unknown columns"):
        machine.campaign(window, [(data, np.zeros((3, 4), np.uint8))], take=("color",))


def test_addresses_alone_can_be_taken(machine: Machine) -> None:
    rows = np.zeros((3, 8), np.uint8)
    campaign = machine.campaign(
        window_of(machine, "copy"), [(machine.image.symbols["zoo_data"].address, rows)], take=("pc",)
    )
    assert len(campaign.pcs) == campaign.lengths[0] > 0
    assert (campaign.samples["pc"] == campaign.pcs).all()
