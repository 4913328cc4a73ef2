"""Faults that are injected do what their model says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.test_machine_runs import started
from tinymlsec.emulate.contract import Fault, Probe, RunEnd, Window
from tinymlsec.emulate.machine import Machine
from tinymlsec.errors import MachineError

THUMB_NOP = 0xBF00


@pytest.fixture(scope="module", params=("cortex-m0plus", "cortex-m4", "rv32imc"))
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with started(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def m4() -> Iterator[Machine]:
    with started("cortex-m4") as made:
        yield made


def index_of(machine: Machine, function: str, register_changes: int, *arguments: int) -> int:
    """Number of the instruction that writes the n-th sum of `counted`."""
    records = machine.call(function, *arguments, probe=Probe(registers=True, values=True)).records
    sums = np.cumsum(np.arange(1, arguments[0] + 1))
    return int(np.flatnonzero(records["value"] == sums[register_changes])[0])


def test_a_skipped_addition_is_missing(machine: Machine) -> None:
    index = index_of(machine, "counted", 5, 10)
    assert machine.call("counted", 10, fault=Fault("skip", index)).value == 55 - 6
    assert machine.call("counted", 10).value == 55


def test_a_flipped_register_bit_stays(machine: Machine) -> None:
    register = 0 if machine.core.machine == "arm" else 10
    result = machine.call("add", 40, 2, fault=Fault("register", 0, mask=1 << 8, where=register))
    assert result.value == 42 + 256


def test_a_flipped_byte_of_memory(machine: Machine) -> None:
    data = machine.image.symbols["zoo_data"].address
    machine.write(data, bytes(64))
    machine.call("copy", fault=Fault("memory", 0, mask=0x10, where=data + 5))
    assert machine.read(data + 32, 8) == bytes([0, 0, 0, 0, 0, 0x10, 0, 0])


def test_a_corrupted_instruction_is_corrupted_once(machine: Machine) -> None:
    """The addition of the sum becomes a no-operation in one round of the loop only."""
    records = machine.call("counted", 10, probe=Probe(registers=True, values=True)).records
    index = index_of(machine, "counted", 5, 10)
    pc = int(records["pc"][index])
    code = int.from_bytes(machine.read(pc, 4), "little")
    nop = THUMB_NOP if machine.core.machine == "arm" else 0x0001
    wide = machine.core.machine == "arm" and code >> 11 & 0x1F >= 0x1D
    mask = (code ^ 0x8000F3AF) if wide else (code ^ nop) & 0xFFFF
    before = machine.read(pc, 4)
    result = machine.call("counted", 10, fault=Fault("fetch", index, mask=mask, address=pc))
    assert result.end is RunEnd.DONE
    assert result.value == 55 - 6
    assert machine.read(pc, 4) == before
    assert machine.call("counted", 10).value == 55


def test_every_single_bit_of_an_instruction_ends_somehow(machine: Machine) -> None:
    """Whatever a flipped bit makes of an instruction, the run ends and the machine goes on."""
    index, ends, values = index_of(machine, "counted", 5, 10), set(), set()
    start = machine.snapshot()
    for bit in range(16):
        result = machine.call("counted", 10, fault=Fault("fetch", index, mask=1 << bit), instructions=20_000, seconds=5)
        ends.add(result.end)
        values.add(result.value if result.end is RunEnd.DONE else None)
        machine.restore(start)
    assert len(values) > 2
    assert machine.call("counted", 10).value == 55


def test_a_skip_inside_of_an_it_block_keeps_the_conditions(m4: Machine) -> None:
    records = m4.call("conditional", 0, 10, probe=Probe(registers=True)).records
    assert m4.call("conditional", 0, 10).value == 11
    assert m4.call("conditional", 1, 10).value == 12
    first, second = 2, 3  # addeq, addne
    assert records["flags"][second] & 4
    assert m4.call("conditional", 0, 10, fault=Fault("skip", first)).value == 10
    assert m4.call("conditional", 1, 10, fault=Fault("skip", second)).value == 10


def test_a_corrupted_instruction_inside_of_an_it_block(m4: Machine) -> None:
    first, second = 2, 3  # addeq r1, #1; addne r1, #2: the immediate is the low byte
    assert m4.call("conditional", 0, 10, fault=Fault("fetch", first, mask=2)).value == 13
    assert m4.call("conditional", 1, 10, fault=Fault("fetch", first, mask=2)).value == 12
    assert m4.call("conditional", 1, 10, fault=Fault("fetch", second, mask=1)).value == 13
    assert m4.call("conditional", 1, 10).value == 12


def test_a_fault_at_another_instruction_is_refused(m4: Machine) -> None:
    with pytest.raises(MachineError, match="at another instruction"):
        m4.call("counted", 10, fault=Fault("skip", 3, address=0x08000000))


def test_faults_are_the_same_with_and_without_records(m4: Machine) -> None:
    index = index_of(m4, "counted", 3, 10)
    for fault in (Fault("skip", index), Fault("fetch", index, mask=4), Fault("register", index, mask=2, where=1)):
        plain = m4.call("counted", 10, fault=fault, instructions=50_000)
        seen = m4.call("counted", 10, fault=fault, probe=Probe(registers=True), instructions=50_000)
        assert (plain.end, plain.value) == (seen.end, seen.value)


def test_a_campaign_of_faults_equals_single_runs(m4: Machine) -> None:
    length = len(m4.call("counted", 10, probe=Probe(registers=True)).records)
    faults = [Fault("skip", i) for i in range(length)]
    window = Window("counted", m4.image.symbols["counted"].address, (10,))
    data = m4.image.symbols["zoo_data"].address
    before = m4.snapshot()
    campaign = m4.campaign(window, faults=faults, take=(), outputs=((data, 4),), instructions=20_000)
    order = list(RunEnd)
    for fault, end, instructions in zip(faults, campaign.ends, campaign.instructions, strict=True):
        m4.restore(before)
        single = m4.run(window, probe=Probe(), fault=fault, instructions=20_000)
        assert order[end] is single.end
        assert instructions == single.instructions
    m4.restore(before)
    m4.drop(before)
