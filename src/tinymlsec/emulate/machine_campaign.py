"""Campaigns: many runs of one window, in portions that fit the memory shared with the emulator process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import RECORD, Campaign, Fault, Probe, RunEnd, Window
from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.layout import WIDE, CampaignLayout
from tinymlsec.emulate.machine_request import ROOM, run_request
from tinymlsec.emulate.machine_result import ENDS
from tinymlsec.errors import MachineError, UsageError

if TYPE_CHECKING:
    from tinymlsec.emulate.machine import Machine

SLICE_SECONDS = 5.0
"""How long the worker runs before it answers, so that an interrupt is noticed."""
SLACK = 1024
"""Records that a later run may have more than four times as many as the first, or as are asked for."""
_ORDER = list(RunEnd)


def run_campaign(
    machine: Machine,
    window: Window,
    writes: Sequence[tuple[int, NDArray[np.uint8]]],
    *,
    take: Sequence[str],
    points: NDArray[np.integer[Any]] | None,
    ranges: Sequence[tuple[int, int]],
    outputs: Sequence[tuple[int, int]],
    arguments: NDArray[np.integer[Any]] | None,
    faults: Sequence[Fault] | None,
    runs: int | None,
    instructions: int,
) -> Campaign:
    """See `Machine.campaign`."""
    began = time.monotonic()
    if unknown := set(take) - set(lib.TAKES):
        raise UsageError(f"unknown columns: {sorted(unknown)}", expected=", ".join(lib.TAKES))
    rows = [(address, np.ascontiguousarray(array, np.uint8)) for address, array in writes]
    passed = None if arguments is None else np.ascontiguousarray(arguments, np.uint32)
    injected = None if faults is None else _fault_rows(faults)
    count = _count([array for _, array in rows], passed, injected, runs)
    snapshot = machine.snapshot()
    try:
        probe = _probe(take, ranges)
        made = 0
        if take:  # how many records a run has
            inputs = {address: array[0].tobytes() for address, array in rows}
            made = len(machine.run(window, inputs, probe, instructions=instructions).records)
            machine.restore(snapshot)
        request = run_request(window, {}, probe, None, instructions, 0, ())
        request |= {
            "snapshot": snapshot, "take": list(take), "outputs": list(outputs), "chosen": points is not None,
            "start": window.start if window.start is not None else machine.registers()[-1],
            "points": made if points is None else len(points), "faults": injected is not None,
            "record_limit": min(4 * max(made, _last(points)) + SLACK, ROOM // RECORD.itemsize // 4) if take else 0,
        }  # fmt: skip
        if passed is None:
            passed = np.tile(np.array(window.arguments, np.uint32), (count, 1))
        parts = _Parts(machine, request, rows, passed, injected, None if points is None else np.asarray(points, "<u4"))
        campaign = parts.run(count, began)
        machine.restore(snapshot)
        return campaign
    finally:
        if machine.link.worker.alive:
            machine.drop(snapshot)


def _count(
    arrays: Sequence[NDArray[np.uint8]],
    arguments: NDArray[np.uint32] | None,
    faults: NDArray[np.uint32] | None,
    runs: int | None,
) -> int:
    lengths = {len(array) for array in (*arrays, arguments, faults) if array is not None}
    lengths |= set() if runs is None else {runs}
    if len(lengths) != 1:
        raise UsageError(
            "a campaign needs one number of runs", found=str(sorted(lengths)), expected="rows for every run, or runs"
        )
    count = lengths.pop()
    if count < 1:
        raise UsageError("a campaign needs at least one run")
    return count


def _last(points: NDArray[np.integer[Any]] | None) -> int:
    """Records that are asked for."""
    return 0 if points is None or not len(points) else int(np.max(points)) + 1


def _probe(take: Sequence[str], ranges: Sequence[tuple[int, int]]) -> Probe:
    asked = set(take)
    return Probe(
        registers=bool(asked & {"hd", "hw"}) or asked == {"pc"}, bus=bool(asked & {"bus_hd", "bus_hw"}),
        values=bool(asked & {"value", "bus"}), addresses="address" in asked, ranges=tuple(ranges),
        limit=ROOM // RECORD.itemsize // 2,
    )  # fmt: skip


def _fault_rows(faults: Sequence[Fault]) -> NDArray[np.uint32]:
    if any(fault.kind == "fetch" for fault in faults) and len({fault.kind for fault in faults}) > 1:
        raise UsageError("faults of kind fetch make a campaign of their own")
    return np.array([(lib.FAULTS[f.kind], f.index, f.mask, f.where) for f in faults], np.uint32).reshape(-1, 4)


class _Parts:
    """A campaign, portion after portion."""

    def __init__(
        self,
        machine: Machine,
        request: dict[str, Any],
        writes: Sequence[tuple[int, NDArray[np.uint8]]],
        arguments: NDArray[np.uint32],
        faults: NDArray[np.uint32] | None,
        points: NDArray[np.uint32] | None,
    ) -> None:
        self.machine, self.request, self.writes = machine, request, writes
        self.arguments, self.faults, self.points = arguments, faults, points

    def run(self, count: int, began: float) -> Campaign:
        request, points = self.request, self.request["points"]
        samples = {n: np.zeros((count, points), np.uint32 if n in WIDE else np.uint16) for n in request["take"]}
        outputs = tuple(np.zeros((count, size), np.uint8) for _, size in request["outputs"])
        ends, lengths = np.zeros(count, np.uint8), np.zeros(count, np.uint32)
        instructions, pcs = np.zeros(count, np.uint64), np.zeros(points, np.uint32)
        done = 0
        while done < count:
            part, layout = self._part(done, count)
            told = self.machine.link.ask("campaign", part, self._payload(done, layout.runs), seconds=60.0)
            shared, n = self.machine.link.shared, min(int(told["done"]), layout.runs)
            if n <= 0:
                raise MachineError("the campaign does not go on", found=f"{done} of {count} runs")
            to = slice(done, done + n)
            for name, at in zip(layout.columns, layout.column_at, strict=True):
                samples[name][to] = shared.view(samples[name].dtype, n * points, at).reshape(n, points)
            for (_, size), array, at in zip(layout.outputs, outputs, layout.output_at, strict=True):
                array[to] = shared.view(np.uint8, n * size, at).reshape(n, size)
            ends[to] = _ends(shared.view(np.uint8, n, layout.ends_at))
            lengths[to] = shared.view(np.uint32, n, layout.lengths_at)
            instructions[to] = shared.view(np.uint64, n, layout.instructions_at)
            if not done:
                pcs[:] = shared.view(np.uint32, points, layout.pcs_at)
            done += n
        return Campaign(samples, outputs, ends, lengths, instructions, pcs, time.monotonic() - began)

    def _part(self, done: int, count: int) -> tuple[dict[str, Any], CampaignLayout]:
        """The next portion: as many runs as fit."""
        request = self.request
        each = 64 + sum(size for _, size in request["outputs"])
        each += sum(request["points"] * CampaignLayout.width(name) for name in request["take"])
        room = ROOM - RECORD.itemsize * request["record_limit"]
        runs = max(1, min(count - done, room // each))
        part = request | {
            "runs": runs, "seconds": SLICE_SECONDS, "arguments_each": self.arguments.shape[1],
            "writes": [(address, array.shape[1]) for address, array in self.writes],
        }  # fmt: skip
        layout = CampaignLayout.of(part)
        if layout.end > ROOM:
            raise UsageError("one run of the campaign is too large", found=f"{layout.end} bytes", expected=f"<= {ROOM}")
        return part, layout

    def _payload(self, done: int, runs: int) -> bytes:
        to = slice(done, done + runs)
        parts = [array[to].tobytes() for _, array in self.writes]
        parts.append(self.arguments[to].tobytes())
        parts += [] if self.faults is None else [self.faults[to].tobytes()]
        parts += [] if self.points is None else [self.points.tobytes()]
        return b"".join(parts)


def _ends(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers of the tracer as places in `RunEnd`."""
    table = np.full(256, _ORDER.index(RunEnd.FAULT), np.uint8)
    for number, end in ENDS.items():
        table[number] = _ORDER.index(end)
    ends: NDArray[np.uint8] = table[numbers]
    return ends
