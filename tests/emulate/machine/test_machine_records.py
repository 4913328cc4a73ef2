"""Records of the machine against a tracer that is written the plain way."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("capstone", reason="needs tinymlsec[firmware]")

from emulate.machine.slow_tracer import Seen, SlowTracer
from emulate.machine.small_firmware import MEMORY, zoo
from tinymlsec.emulate.contract import FAILED, READS, TAKEN, WRITES, Probe, RunEnd, RunResult
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.machine import Machine

EVERYTHING = Probe(registers=True, bus=True, values=True, addresses=True, counts=True)
Traced = tuple[list[Seen], RunResult, SlowTracer]
CORE_IDS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33", "rv32imc")


def weight(value: int) -> int:
    return value.bit_count()


@pytest.fixture(scope="module", params=CORE_IDS)
def traced(request: pytest.FixtureRequest) -> Traced:
    core, image = CORES[request.param], zoo(request.param)
    with Machine(image, core, MEMORY) as machine:
        assert machine.boot(image.symbols["idle"].address).end is RunEnd.DONE
        result = machine.call("zoo", probe=EVERYTHING)
        tracer = SlowTracer(image, core, MEMORY)
        slow = tracer.trace("idle", "zoo", machine.idle)
    assert result.end is RunEnd.DONE, result.fault
    return slow, result, tracer


def test_every_instruction_is_recorded(traced: Traced) -> None:
    slow, result, _ = traced
    assert result.records["pc"].tolist() == [s.pc for s in slow]
    assert result.instructions == len(slow) > 100
    failed = [bool(s.failed) for s in slow]
    assert ((result.records["flags"] & FAILED) != 0).tolist() == failed


def test_distances_of_all_registers(traced: Traced) -> None:
    slow, result, _ = traced
    expected = [sum(weight(a ^ b) for a, b in zip(s.before, s.after, strict=True)) for s in slow]
    assert result.records["hd"].tolist() == expected


def test_weights_count_writes_of_the_same_value(traced: Traced) -> None:
    slow, result, _ = traced
    changed = [sum(weight(a) for a, b in zip(s.after, s.before, strict=True) if a != b) for s in slow]
    hw = result.records["hw"].astype(int)
    assert (hw >= changed).all()
    same = [i for i, s in enumerate(slow) if s.before == s.after and not s.failed and hw[i]]
    assert same, "movs r2, r2 writes what was there"


def test_accesses_are_where_memory_says(traced: Traced) -> None:
    """A load brings what lies at the recorded address, a store leaves it there, and nothing else changes memory."""
    slow, result, tracer = traced
    loads = stores = 0
    for seen, record in zip(slow, result.records, strict=True):
        at, flags = int(record["address"]), int(record["flags"])
        changed = [i for i, (a, b) in enumerate(zip(seen.memory, seen.memory_after, strict=True)) if a != b]
        if flags & WRITES:
            stores += 1
            assert _fits(tracer.bytes_at(seen.memory_after, at, 4), record), hex(seen.pc)
            assert all(at <= tracer.ram.address + i < at + 64 for i in changed), hex(seen.pc)
        else:
            assert not changed, hex(seen.pc)
        if flags & READS:
            loads += 1
            assert _fits(tracer.bytes_at(seen.memory, at, 4), record), hex(seen.pc)
    assert loads > 20
    assert stores > 10


def _fits(data: bytes, record: np.void) -> bool:
    """The word on the bus is what lies there, as a byte, a halfword or a word."""
    return any(int.from_bytes(data[:size], "little") == record["bus"] for size in (1, 2, 4))


def test_loads_arrive_in_registers(traced: Traced) -> None:
    slow, result, _ = traced
    for seen, record in zip(slow, result.records, strict=True):
        moved = [a for a, b in zip(seen.after, seen.before, strict=True) if a != b]
        if record["flags"] & READS and len(moved) == 1 and not record["flags"] & TAKEN:
            value = int(record["bus"])
            extended = {value, value | 0xFFFFFF00, value | 0xFFFF0000}
            several = record["bus_hw"] != weight(value)
            assert moved[0] in extended or several or record["value"] in extended, hex(seen.pc)


def test_distance_on_the_bus_is_to_the_word_before(traced: Traced) -> None:
    _, result, _ = traced
    last = 0
    for record in result.records:
        if record["flags"] & (READS | WRITES) and not record["flags"] & FAILED:
            if record["bus_hw"] == weight(int(record["bus"])):
                assert record["bus_hd"] == weight(int(record["bus"]) ^ last)
                last = int(record["bus"])
            else:
                last = None  # several words: the last one is not recorded
        if last is None:
            break


def test_values_are_what_was_written(traced: Traced) -> None:
    slow, result, _ = traced
    for seen, record in zip(slow, result.records, strict=True):
        new = [a for a, b in zip(seen.after, seen.before, strict=True) if a != b]
        if len(new) == 1 and not seen.failed and not record["flags"] & READS:
            assert record["value"] == new[0], hex(seen.pc)


def test_counts_agree_with_records(traced: Traced) -> None:
    _, result, _ = traced
    pcs, ran = np.unique(result.records["pc"], return_counts=True)
    assert {int(p): int(n) for p, n in zip(pcs, ran, strict=True)} == {p: n for p, (n, _) in result.counts.items()}
    marked = result.records["flags"] & (FAILED | TAKEN) != 0
    for pc, (_, count) in result.counts.items():
        assert count == int(marked[result.records["pc"] == pc].sum())
