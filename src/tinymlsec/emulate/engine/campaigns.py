"""Many runs of one window from one snapshot, in C; the parent sends as many as fit the shared memory."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.layout import CampaignLayout

if TYPE_CHECKING:
    from tinymlsec.emulate.engine.running import Running


def run_campaign(running: Running, request: Mapping[str, Any], payload: bytearray) -> dict[str, Any]:
    """Runs a campaign whose results lie in the shared memory as `CampaignLayout` says.

    The payload holds the rows of the writes, then of the arguments, of the faults and the points.
    """
    layout = CampaignLayout.of(request)
    running.prepare(request, watched=True)
    emulator, cpu = running.emulator, running.emulator.cpu
    rows = _Rows(payload)
    kept: list[Any] = []
    spec = lib.CCampaign()
    spec.snapshot = emulator.snapshots[request["snapshot"]]
    spec.start, spec.until = request["start"], emulator.idle
    spec.runs, spec.seconds, spec.point_count = layout.runs, request["seconds"], layout.points
    spec.link_id, spec.link = cpu.registers[cpu.link], 0 if request["stop"] is not None else emulator.idle
    spec.write_count, spec.output_count, spec.columns = len(request["writes"]), len(layout.outputs), len(layout.columns)
    writes = [rows.take(np.uint8, layout.runs * size) for _, size in request["writes"]]
    spec.write_at, spec.write_bytes = _words(kept, [w[0] for w in request["writes"]], [w[1] for w in request["writes"]])
    spec.write_rows = _pointers(kept, [array.ctypes.data for array in writes])
    arguments = rows.take(np.uint32, layout.runs * request["arguments_each"])
    spec.arguments, spec.argument_rows = request["arguments_each"], arguments.ctypes.data
    for i, number in enumerate(cpu.arguments[: request["arguments_each"]]):
        spec.argument_ids[i] = cpu.registers[number]
    faults = rows.take(np.uint32, 4 * layout.runs) if request["faults"] else None
    spec.fault_rows = None if faults is None else faults.ctypes.data
    points = rows.take(np.uint32, layout.points) if request["chosen"] else None
    spec.points = None if points is None else points.ctypes.data
    base = running.shared.address
    spec.output_at, spec.output_bytes = _words(kept, [o[0] for o in layout.outputs], [o[1] for o in layout.outputs])
    spec.output_rows = _pointers(kept, [base + at for at in layout.output_at])
    (spec.column_kind,) = _words(kept, [lib.TAKES[name] for name in layout.columns])
    spec.column_rows = _pointers(kept, [base + at for at in layout.column_at])
    spec.ends, spec.lengths = base + layout.ends_at, base + layout.lengths_at
    spec.instructions, spec.first_pcs = base + layout.instructions_at, base + layout.pcs_at
    ctypes.memset(base + layout.start, 0, layout.end - layout.start)
    emulator.state.limit, emulator.state.deadline = request["limit"], float("inf")
    emulator.state.fault_expected = 0
    unfinished = emulator.library.tms_campaign_run(emulator.reference, ctypes.byref(spec))
    running.bench.load(running.saved(request["snapshot"]))
    return {"done": int(spec.done), "unfinished": bool(unfinished)}


class _Rows:
    """Arrays that follow each other in a payload."""

    def __init__(self, payload: bytearray) -> None:
        self.payload, self.at = payload, 0

    def take(self, kind: Any, count: int) -> NDArray[Any]:
        array = np.frombuffer(self.payload, kind, count, self.at).copy()  # aligned, and alive as long as its user
        self.at += array.nbytes
        return array


def _words(kept: list[Any], *columns: list[int]) -> tuple[int, ...]:
    arrays = [np.array(column or [0], np.uint32) for column in columns]
    kept += arrays
    return tuple(int(array.ctypes.data) for array in arrays)


def _pointers(kept: list[Any], addresses: list[int]) -> int:
    array = (ctypes.c_void_p * max(1, len(addresses)))(*addresses)
    kept.append(array)
    return ctypes.addressof(array)
