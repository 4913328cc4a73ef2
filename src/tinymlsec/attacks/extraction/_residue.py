"""What of an inference is still in RAM afterwards: emulated firmware, with and without a wipe at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.emulate.twin import IDLE, Twin
from tinymlsec.errors import CapabilityMissing

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.emulate.codegen.program import Port
    from tinymlsec.emulate.twin import StartedTwin

WIPE, WIPE_FILE = "tms_wipe", "tms_wipe.c"
CHUNK = 8
"""Bytes of an input that must stand together to count: random ones occur by chance once in 2^64."""
MAX_CHUNKS = 512
"""Chunks of one input that are looked for."""
_WIPE_CODE = """/* Overwrites what an inference leaves: the arena, and the stack below this function. */
#include <stdint.h>
extern uint8_t tms_arena[], tms_stack_bottom[];
__attribute__((noinline, used)) void tms_wipe(void) {
    for (volatile uint8_t *at = tms_arena; at < tms_arena + %d; ++at) *at = 0;
    volatile uint8_t *end = (uint8_t *)__builtin_frame_address(0) - 64;
    for (volatile uint8_t *at = tms_stack_bottom; at < end; ++at) *at = 0;
}
"""


@dataclass(frozen=True)
class Residue:
    """Shares that were found, one number for each inference."""

    inputs: NDArray[np.float64]
    """Of the input's bytes, anywhere in RAM, right after the inference."""
    outputs: NDArray[np.float64]
    """Of the output's bytes, at their place."""
    restarted: NDArray[np.float64]
    """Of the input's bytes, after the firmware was started again without a loss of power."""
    activations: tuple[tuple[str, float], ...]
    """(operator, share of its output's bytes still at their place) of the first inference."""

    @property
    def anything(self) -> bool:
        """Whether something of an input or an output is left."""
        return bool(self.inputs.max(initial=0.0) > 0 or self.outputs.min(initial=1.0) >= 1.0)


def hardened(twin: Twin) -> Twin:
    """The same firmware with a function that wipes arena and stack."""
    from tinymlsec.emulate.codegen.layout import firmware_files
    from tinymlsec.emulate.toolchain import build_firmware
    from tinymlsec.target.firmware.load import load_image

    files = dict(firmware_files(twin.program, twin.core, twin.memory))
    files[WIPE_FILE] = _WIPE_CODE % twin.program.arena.bytes
    files["link.ld"] = files["link.ld"].replace("EXTERN(", f"EXTERN({WIPE} ", 1)
    build = build_firmware(files, twin.core)
    return Twin(twin.model, twin.program, twin.core, twin.memory, build, load_image(build.elf))


def residue_of(twin: Twin, samples: int, rng: Generator, *, wipe: bool) -> Residue:
    """Runs inferences on random inputs and looks through RAM after each.

    Args:
        twin: from `hardened` where it is to be wiped.
        samples: inferences.
        rng: inputs, uniform over all codes, so that nothing of them is in RAM by chance.
        wipe: call the wiping function after each inference, before RAM is read.

    Raises:
        CapabilityMissing: an input that is not of whole numbers.
        MachineError: the firmware did not end well.
    """
    with twin.start() as started:
        rows = [_one(started, _inputs(twin, rng), wipe=wipe) for _ in range(samples)]
        activations = () if wipe else _activations(started, _inputs(twin, rng))
    inputs, outputs, restarted = (np.array(column) for column in zip(*rows, strict=True))
    return Residue(inputs, outputs, restarted, activations)


def _inputs(twin: Twin, rng: Generator) -> list[bytes]:
    for port in twin.program.inputs:
        if np.dtype(port.dtype).kind not in "iu":
            raise CapabilityMissing(
                "an input of real numbers has no bytes that could be looked for", found=port.dtype, expected="integers"
            )
    return [rng.bytes(port.bytes) for port in twin.program.inputs]


def _one(started: StartedTwin, inputs: list[bytes], *, wipe: bool) -> tuple[float, float, float]:
    machine, twin = started.machine, started.twin
    machine.restore(started.ready)
    _infer(started, inputs)
    outputs = [machine.read(twin.output_address(k), port.bytes) for k, port in _outputs(twin)]
    if wipe:
        started._sound(machine.call(WIPE), "the wipe")
    ram = _ram(started)
    kept = [machine.read(twin.output_address(k), port.bytes) for k, port in _outputs(twin)]
    started._sound(machine.boot(twin.image.symbols[IDLE].address), "the restart")
    return _found(inputs, ram), _equal(outputs, kept), _found(inputs, _ram(started))


def _infer(started: StartedTwin, inputs: list[bytes]) -> None:
    places = {started.twin.input_address(k): data for k, data in enumerate(inputs)}
    started._sound(started.machine.run(started.inference, places), "an inference")


def _outputs(twin: Twin) -> list[tuple[int, Port]]:
    return [(k, port) for k, port in enumerate(twin.program.outputs) if port.offset is not None]


def _ram(started: StartedTwin) -> bytes:
    """Everything from the bottom of the stack to the end of variables."""
    symbols = started.twin.image.symbols
    start, end = symbols["tms_stack_bottom"].address, symbols["tms_bss_end"].address
    return started.machine.read(start, end - start)


def _found(inputs: list[bytes], ram: bytes) -> float:
    """Share of the inputs' chunks that stand somewhere in RAM; inputs below one chunk are not looked for."""
    chunks = [data[at : at + CHUNK] for data in inputs for at in range(0, len(data) - CHUNK + 1, CHUNK)]
    if not chunks:
        return 0.0
    asked = chunks[:: -(-len(chunks) // MAX_CHUNKS)]
    return sum(chunk in ram for chunk in asked) / len(asked)


def _equal(before: list[bytes], after: list[bytes]) -> float:
    """Share of the outputs' bytes that are still there; an output of zeros only tells nothing."""
    old, new = (np.frombuffer(b"".join(parts), np.uint8) for parts in (before, after))
    told = old != 0
    return float((old == new)[told].mean()) if told.any() else 0.0


def _activations(started: StartedTwin, inputs: list[bytes]) -> tuple[tuple[str, float], ...]:
    """What is left of each operator's output at the end of one inference."""
    machine, program, twin = started.machine, started.program, started.twin
    spans = [
        (layer, span) for layer in program.layers for span in layer.outputs if span.offset is not None and span.bytes
    ]
    values: list[tuple[str, int, bytes]] = []
    arrays = [
        np.frombuffer(data, port.dtype).reshape(port.shape) for data, port in zip(inputs, program.inputs, strict=True)
    ]
    for layer, span in spans:
        if layer.index + 1 < len(program.layers):
            started.enter(f"op:{layer.index + 1}", arrays)
            address = twin.tensor_address(span.tensor)
            values.append((f"{layer.index} {layer.op}", address, machine.read(address, span.bytes)))
    machine.restore(started.ready)
    _infer(started, inputs)
    return tuple((name, _equal([data], [machine.read(address, len(data))])) for name, address, data in values)
