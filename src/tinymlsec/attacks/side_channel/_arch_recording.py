"""Recording one whole inference in portions: what a probe sees, and for own boards which instruction each sample is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Probe, RunEnd, Window
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import StartedTwin, Twin
from tinymlsec.errors import BudgetExceeded, MachineError

PORTION = 1 << 21
"""Instructions that are recorded at a time."""


@dataclass(frozen=True)
class Recording:
    """One inference, one sample for each instruction."""

    samples: NDArray[np.float32]
    pcs: NDArray[np.uint32]
    """Empty where they were not asked for."""


def record(
    twin: Twin, inputs: Sequence[NDArray[np.generic]], leakage: Leakage, *, pcs: bool = False, most: int = 1 << 27
) -> Recording:
    """Runs one inference and records it from its first instruction to its last.

    Args:
        twin: the firmware.
        inputs: one array for each input.
        leakage: what the probe sees; models with weights by class of instruction are not for whole inferences.
        pcs: keep the address of each instruction.
        most: instructions.

    Raises:
        BudgetExceeded: more instructions than `most`.
        MachineError: the inference does not end well.
    """
    samples, places = [], []
    with twin.start() as started:
        for records in portions(started, inputs, Probe(registers=True, bus=True, limit=PORTION + 8), most):
            columns = {name: records[name][None, :] for name in leakage.columns}
            samples.append(leakage.signal(columns)[0])
            if pcs:
                places.append(records["pc"].copy())
    found = np.concatenate(places) if pcs else np.zeros(0, np.uint32)
    return Recording(np.concatenate(samples), found)


def portions(
    started: StartedTwin, inputs: Sequence[NDArray[np.generic]], probe: Probe, most: int
) -> Iterator[NDArray[np.void]]:
    """Records of one inference, some at a time.

    Raises:
        BudgetExceeded: it has more instructions than `most`.
        MachineError: it does not end well.
    """
    machine, window, made = started.machine, started.inference, 0
    machine.restore(started.ready)
    for k, array in enumerate(inputs):
        machine.write(started.twin.input_address(k), np.ascontiguousarray(array).tobytes())
    # the first instruction on its own: from then on the core knows where to return to
    result = machine.run(window, probe=probe, instructions=1)
    while True:
        made += len(result.records)
        yield result.records
        if result.end is RunEnd.DONE:
            return
        if result.end is RunEnd.TIMEOUT and made > most:
            raise BudgetExceeded("an inference is too long for this effort", found=f"more than {most:,} samples")
        if result.end is not RunEnd.TIMEOUT:
            raise MachineError("the inference cannot be recorded", found=f"{result.end.value} after {made} samples")
        result = machine.run(Window("inference", None, (), machine.idle), probe=probe, instructions=PORTION)


def random_inputs(twin: Twin, rng: np.random.Generator) -> list[NDArray[np.generic]]:
    """Uniformly random bytes for every input; whoever feeds a device may choose them."""
    return [rng.integers(0, 256, port.bytes, dtype=np.uint8) for port in twin.program.inputs]
