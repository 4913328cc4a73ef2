"""Runs that end well and badly: every end is a result with its place, and the machine goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.small_firmware import FLASH, HERE, MEMORY, RAM, build
from tinymlsec.emulate.contract import Behavior, Probe, RunEnd, RunResult, Window
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.machine import Machine
from tinymlsec.errors import MachineError, UsageError

FILES = {"wrong.c": (HERE / "wrong.c").read_text()}


def started(core_id: str, behavior: Behavior | None = None) -> Machine:
    core = CORES[core_id]
    image = build(core, FILES)
    machine = Machine(image, core, MEMORY, behavior=behavior)
    assert machine.boot(image.symbols["idle"].address).end is RunEnd.DONE
    return machine


@pytest.fixture(scope="module", params=("cortex-m0plus", "cortex-m4", "cortex-m33", "rv32imc"))
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with started(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def m4() -> Iterator[Machine]:
    with started("cortex-m4") as made:
        yield made


def both(machine: Machine, function: str, *arguments: int) -> RunResult:
    """Without and with a probe; both must end alike."""
    before = machine.snapshot()
    plain = machine.call(function, *arguments, seconds=5, instructions=3_000_000)
    machine.restore(before)
    probed = machine.call(function, *arguments, probe=Probe(), seconds=5, instructions=3_000_000)
    machine.restore(before)
    machine.drop(before)
    assert plain.end is probed.end
    if plain.fault and probed.fault:
        assert (plain.fault.kind, plain.fault.pc) == (probed.fault.kind, probed.fault.pc)
    assert machine.call("add", 2, 3).value == 5, "the machine goes on"
    return probed


def died(machine: Machine, function: str, *arguments: int) -> str:
    result = both(machine, function, *arguments)
    assert result.end is RunEnd.FAULT
    assert result.fault is not None
    assert 1 <= len(result.fault.last) <= 16
    assert result.fault.last[-1] == result.fault.pc
    return result.fault.kind


def test_a_function_returns_its_value(machine: Machine) -> None:
    assert both(machine, "add", 40, 2).value == 42
    assert both(machine, "counted", 100).value == 5050


def test_no_return_is_a_timeout(machine: Machine) -> None:
    assert both(machine, "forever").end is RunEnd.TIMEOUT


def test_a_limit_of_time(m4: Machine) -> None:
    assert m4.call("forever", instructions=1 << 50, seconds=0.3).end is RunEnd.TIMEOUT
    assert m4.call("forever", instructions=1 << 50, seconds=0.3, probe=Probe()).end is RunEnd.TIMEOUT


def test_jump_into_the_void(machine: Machine) -> None:
    result = both(machine, "into_the_void")
    assert result.fault is not None
    assert result.fault.kind == "jump to where there is no memory"
    assert result.fault.region == "none"
    assert "0x40000000" in result.fault.access
    assert result.fault.symbol.startswith("into_the_void+")
    assert result.fault.line.startswith("wrong.c:")


def test_write_to_flash(machine: Machine) -> None:
    result = both(machine, "write_flash")
    assert result.fault is not None
    assert result.fault.kind == "write to read-only memory"
    assert (result.fault.region, result.fault.access) == ("flash", "write at 0x08000100")


def test_read_of_nothing(machine: Machine) -> None:
    result = both(machine, "read_void")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.access) == ("read where there is no memory", "read at 0x60000000")


def test_undefined_instruction(machine: Machine) -> None:
    assert died(machine, "undefined") == "undefined instruction"


def test_supervisor_call(machine: Machine) -> None:
    assert "which nobody answers" in died(machine, "call_supervisor")


def test_a_stack_without_end(machine: Machine) -> None:
    result = both(machine, "deep", 0)
    assert result.fault is not None
    assert result.fault.kind == "write where there is no memory"
    assert result.fault.symbol.startswith("deep+")


def test_waiting_for_nothing_ends(machine: Machine) -> None:
    result = machine.call("wait_for_nothing", probe=Probe(), seconds=5)
    assert result.end in (RunEnd.FAULT, RunEnd.TIMEOUT)


def test_detected_carries_its_code(machine: Machine) -> None:
    for probe in (None, Probe()):
        result = machine.call("notice", 77, probe=probe)
        assert (result.end, result.detected) == (RunEnd.DETECTED, 77)


def test_unaligned_access_follows_the_core() -> None:
    for core_id, traps in (("cortex-m0plus", True), ("cortex-m4", False), ("rv32imc", True)):
        with started(core_id) as machine:
            result = both(machine, "unaligned")
            assert (result.end is RunEnd.FAULT) is traps, core_id
    with started("cortex-m4", Behavior(unaligned_traps=True)) as machine:
        assert died(machine, "unaligned") == "unaligned access"


def test_pairs_must_be_aligned(m4: Machine) -> None:
    result = m4.call("unaligned_pair", probe=Probe())
    assert result.fault is not None
    assert result.fault.kind == "unaligned access"


def test_division_by_zero_follows_the_control_register(m4: Machine) -> None:
    quiet = m4.call("divide", 9, probe=Probe())
    assert (quiet.end, quiet.value, quiet.zero_divisions) == (RunEnd.DONE, 0, 1)
    before = m4.snapshot()
    trapped = m4.call("divide_trapped", 9, probe=Probe())
    assert trapped.fault is not None
    assert trapped.fault.kind == "division by zero"
    assert m4.call("divide", 9).fault is not None, "what firmware switched on stays on"
    m4.restore(before)
    m4.drop(before)
    assert m4.call("divide", 9).end is RunEnd.DONE


@pytest.mark.parametrize("core_id", ["cortex-m0plus", "cortex-m4", "cortex-m33"])
def test_memory_protection(core_id: str) -> None:
    with started(core_id) as machine:
        data = machine.image.symbols["zoo_data"].address
        outside = machine.image.symbols["wrong_zero"].address
        assert machine.call("protect_and_write", outside, probe=Probe()).value == 7
        result = machine.call("protect_and_write", data, probe=Probe())
        assert result.fault is not None
        assert result.fault.kind == "access that the memory protection unit forbids"
        assert result.fault.access == f"write at 0x{data:08x}"
    with started(core_id, Behavior(mpu=False)) as machine:
        assert machine.call("protect_and_write", data, probe=Probe()).value == 7


def test_windows_by_stop_and_hit(m4: Machine) -> None:
    twice, counted = (m4.image.symbols[name].address for name in ("twice", "counted"))
    for hit, argument in ((1, 5), (2, 6)):
        reached = m4.run(Window("counted", twice, (5,), counted, hit), probe=Probe())
        assert reached.end is RunEnd.DONE
        assert m4.registers()[-1] == counted
        assert m4.registers()[0] == argument
    rest = m4.run(Window("rest", None, (), m4.registers()[14] & ~1), probe=Probe(registers=True))
    assert rest.end is RunEnd.DONE
    assert rest.value == 21


def test_visits_note_registers(m4: Machine) -> None:
    counted = m4.image.symbols["counted"].address
    result = m4.call("twice", 5, probe=Probe(visits=(counted,)))
    assert result.visits.shape == (2, 18)
    assert result.visits[:, 1].tolist() == [counted] * 2
    assert result.visits[:, 2].tolist() == [5, 6]
    assert result.visits[:, 17].tolist() == [counted] * 2


def test_ranges_restrict_records(m4: Machine) -> None:
    counted = m4.image.symbols["counted"]
    whole = m4.call("twice", 5, probe=Probe(registers=True)).records
    only = ((counted.address, counted.address + counted.size),)
    inner = m4.call("twice", 5, probe=Probe(registers=True, ranges=only))
    inside = (whole["pc"] >= counted.address) & (whole["pc"] < counted.address + counted.size)
    assert 0 < inside.sum() < len(whole)
    assert (inner.records == whole[inside]).all()


def test_nothing_is_recorded_that_was_not_asked_for(m4: Machine) -> None:
    only = m4.call("copy", probe=Probe(bus=True)).records
    assert only["bus_hw"].any()
    assert not any(only[name].any() for name in ("hd", "hw", "value", "bus", "address"))


def test_too_many_records_are_an_error(m4: Machine) -> None:
    with pytest.raises(MachineError, match="more records than the probe allows"):
        m4.call("counted", 1000, probe=Probe(registers=True, limit=100))
    with pytest.raises(UsageError, match="too many records"):
        m4.call("add", 1, 2, probe=Probe(registers=True, limit=1 << 40))


def test_snapshots_bring_back_registers_and_memory(m4: Machine) -> None:
    data = m4.image.symbols["zoo_data"].address
    m4.write(data, bytes(range(64)))
    first = m4.snapshot()
    before, registers = m4.memory_digest(), m4.registers()
    m4.call("copy")
    second, copied = m4.snapshot(), m4.memory_digest()
    assert copied != before
    for number, digest in ((first, before), (second, copied), (first, before)):
        m4.restore(number)
        assert m4.memory_digest() == digest
        m4.write(data, b"changed!")
        m4.call("copy", probe=Probe(registers=True))
    m4.restore(first)
    assert m4.registers() == registers
    m4.drop(first)
    m4.drop(second)
    with pytest.raises(MachineError):
        m4.restore(first)


def test_hooks_change_nothing(machine: Machine) -> None:
    for name, arguments in (("twice", (30,)), ("copy", ())):
        machine.verify(Window(name, machine.image.symbols[name].address, arguments))


def test_memory_that_does_not_exist(m4: Machine) -> None:
    with pytest.raises(MachineError, match="no memory"):
        m4.read(0x50000000, 4)
    with pytest.raises(MachineError, match="no memory"):
        m4.write(RAM + 0x8000 - 2, b"1234")
    assert m4.read(FLASH, 4) == m4.image.read(FLASH, 4)


def test_errors_of_use(m4: Machine) -> None:
    with pytest.raises(UsageError, match="no symbol"):
        m4.call("nowhere")
    with pytest.raises(UsageError, match="neither start nor stop"):
        m4.run(Window("empty", None))


def test_a_dead_worker_is_an_error_and_not_the_end() -> None:
    machine = started("cortex-m4")
    machine.link.worker.process.kill()
    with pytest.raises(MachineError, match=r"died|ended"):
        machine.call("add", 1, 2)
    with pytest.raises(MachineError, match="has ended"):
        machine.read(RAM, 4)
    machine.close()


def test_image_and_memory_must_fit() -> None:
    image = build(CORES["cortex-m4"], FILES)
    with pytest.raises(MachineError, match="not for RV32IMC"):
        Machine(image, CORES["rv32imc"], MEMORY)
    from tinymlsec.emulate.contract import MemoryMap, Region

    with pytest.raises(MachineError, match="does not fit the memories"):
        Machine(image, CORES["cortex-m4"], MemoryMap((Region("ram", RAM, 0x8000, "rwx"),), "test"))
    with pytest.raises(MachineError, match="multiple of 4096"):
        Machine(image, CORES["cortex-m4"], MemoryMap((Region("flash", FLASH + 64, 0x8000, "rx"),), "test"))


def test_code_that_is_rewritten_runs_as_it_is_now(machine: Machine) -> None:
    """With and without hooks: no old translation of the code may be left."""
    add = machine.image.symbols["add"]
    old = machine.read(add.address, add.size)
    returns = bytes.fromhex("0d207047" if machine.core.machine == "arm" else "35458280")  # 13
    for probe in (None, Probe(registers=True, ranges=((0, 2),)), None):
        assert machine.call("add", 2, 3, probe=probe).value == 5
        machine.write(add.address, returns)
        assert machine.call("add", 2, 3, probe=probe).value == 13
        machine.write(add.address, old)
        assert machine.call("add", 2, 3, probe=probe).value == 5
