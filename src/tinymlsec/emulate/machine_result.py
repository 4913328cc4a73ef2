"""From the emulator process's answer to a `RunResult`; nothing in the answer is believed before it was bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import RECORD, RunEnd, RunResult
from tinymlsec.emulate.engine import library as lib
from tinymlsec.emulate.engine.running import counts_at
from tinymlsec.emulate.machine_faults import fault_of
from tinymlsec.errors import MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.machine import Machine

ENDS = {lib.END_DONE: RunEnd.DONE, lib.END_LIMIT: RunEnd.TIMEOUT, lib.END_DETECTED: RunEnd.DETECTED}
"""Every other end is a fault."""


def result_of(told: Mapping[str, Any], request: Mapping[str, Any], machine: Machine) -> RunResult:
    """What came of one run.

    Raises:
        MachineError: the records were full, or a fault was to be injected elsewhere than the run came by.
    """
    end = told["end"]
    arm = machine.core.machine == "arm"
    if end == lib.END_FULL:
        raise MachineError(
            "more records than the probe allows", found=f"{told['made']} records, {told['visited']} visits",
            next_step="raise the probe's limit, or name ranges",
        )  # fmt: skip
    if told["fault_seen"] == 2:
        raise MachineError(
            "the fault was to be injected at another instruction", found=f"0x{told['pc']:08x}",
            expected=f"0x{request['fault']['address']:08x}", next_step="number the instructions of this window anew",
        )  # fmt: skip
    shared, registers = machine.link.shared, told["registers"]
    records: NDArray[Any] = shared.take(RECORD, min(told["made"], request["record_limit"]))
    result = ENDS.get(end, RunEnd.FAULT)
    return RunResult(
        end=result,
        instructions=told["instructions"],
        records=records,
        counts=_counts(told, request, machine) if told["counted"] else {},
        flash_reads=tuple(told["flash"]) if "flash" in told else None,
        visits=_visits(told, request, machine),
        zero_divisions=told["zero_divisions"],
        fault=fault_of(told, machine.image, machine.memory, arm) if result is RunEnd.FAULT else None,
        detected=registers[0 if arm else 10] if result is RunEnd.DETECTED else None,
        value=registers[0 if arm else 10],
        seconds=told["seconds"],
    )


def _width(machine: Machine) -> int:
    return 15 if machine.core.machine == "arm" else 32


def _visits(told: Mapping[str, Any], request: Mapping[str, Any], machine: Machine) -> NDArray[np.uint32]:
    registers = _width(machine)
    count = min(told["visited"], request["visit_limit"])
    rows: NDArray[Any] = machine.link.shared.take(
        np.uint32, count * (registers + 3), RECORD.itemsize * request["record_limit"]
    ).reshape(count, registers + 3)
    return rows if registers == 15 else rows[:, :-1]  # the program counter stands for r15


def _counts(told: Mapping[str, Any], request: Mapping[str, Any], machine: Machine) -> dict[int, tuple[int, int]]:
    at = counts_at(request["record_limit"], request["visit_limit"], _width(machine))
    count = told["counted"]
    addresses = machine.link.shared.take(np.uint32, count, at)
    pairs = machine.link.shared.take(np.uint32, 2 * count, at + 4 * count).reshape(count, 2)
    return {address: (ran, marked) for address, (ran, marked) in zip(addresses.tolist(), pairs.tolist(), strict=True)}
