"""The firmware twin of a model: generated, built, started, ready for inferences, windows and traces.

with build_twin(model_bytes, CORES["cortex-m4"]).start() as twin:
    twin.infer(codes)                      # (n, ...) codes -> (n, outputs) codes, as the device computes them
    window = twin.enter("op:0@12,2,0:1")   # the machine stands at this window, to be run again and again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.codegen.program import Port, Program
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.contract import Core, MemoryMap, Probe, RunEnd, RunResult, Window
from tinymlsec.errors import CapabilityMissing, InputError, MachineError
from tinymlsec.target.tflite.graph import Model

if TYPE_CHECKING:
    from tinymlsec.emulate.toolchain import Build, Toolchain
    from tinymlsec.target.device import Device
    from tinymlsec.target.firmware.image import FirmwareImage

IDLE, INFER, RESET, ARENA = "tms_idle", "tms_infer", "tms_reset", "tms_arena"


@dataclass(frozen=True)
class Twin:
    """A model as firmware for one core."""

    model: Model
    program: Program
    core: Core
    memory: MemoryMap
    build: Build = field(repr=False)
    image: FirmwareImage = field(repr=False)

    def start(self) -> StartedTwin:
        """Boots it in an emulator.

        Raises:
            MachineError: it does not come up.
        """
        return StartedTwin(self)

    def input_address(self, index: int = 0) -> int:
        """Where an input lies."""
        return self._address(self.program.inputs[index])

    def output_address(self, index: int = 0) -> int:
        """Where an output lies."""
        return self._address(self.program.outputs[index])

    def tensor_address(self, tensor: int) -> int:
        """Where a tensor of the main graph lies while layers that use it run."""
        return self.image.symbols[ARENA].address + self.program.arena.offsets[tensor]

    def _address(self, port: Port) -> int:
        if port.offset is None:
            raise MachineError("this output is a constant of the file and lies in no arena")
        return self.image.symbols[ARENA].address + port.offset


def build_twin(
    model: bytes | Model,
    core: Core,
    memory: MemoryMap | None = None,
    *,
    style: Style = Style.PLAIN,
    optimize: str = "O2",
    toolchain: Toolchain | None = None,
) -> Twin:
    """Generates and builds the firmware of a model.

    Args:
        model: the file, or the graph.
        core: that it is for.
        memory: of the device; by default a generic one.
        style: inner loops.
        optimize: level of the compiler.
        toolchain: zig or gcc.

    Raises:
        UnsupportedModelError: an operator for which no C is generated.
        InputError: it does not fit the memory, or the compiler refused it.
    """
    from tinymlsec.emulate.codegen.generator import generate
    from tinymlsec.emulate.codegen.layout import firmware_files
    from tinymlsec.emulate.memory_maps import memory_map
    from tinymlsec.emulate.toolchain import build_firmware
    from tinymlsec.target.firmware.load import load_image
    from tinymlsec.target.tflite.reader import read_model

    graph = read_model(model) if isinstance(model, bytes) else model
    place = memory or memory_map(None, core)
    program = generate(graph, style)
    build = build_firmware(firmware_files(program, core, place), core, optimize=optimize, toolchain=toolchain)
    return Twin(graph, program, core, place, build, load_image(build.elf))


def twin_for(model: Model | None, device: Device | None, style: str = "plain") -> Twin:
    """The twin of a target.

    Raises:
        CapabilityMissing: why there is none.
    """
    from tinymlsec.emulate.cores import core_for
    from tinymlsec.emulate.coverage import firmware_obstacle
    from tinymlsec.emulate.memory_maps import memory_map

    if model is None:
        raise CapabilityMissing("there is no firmware without a model", next_step="give a .tflite file")
    obstacle = firmware_obstacle(model, device)
    core = core_for(device).core if device is not None else None
    if obstacle is not None or core is None:
        raise CapabilityMissing(obstacle or "the device has no core that is emulated")
    try:
        return build_twin(model, core, memory_map(device, core), style=Style(style))
    except InputError as error:
        raise CapabilityMissing(f"no firmware can be made of this model: {error.message}", found=error.found) from error


class StartedTwin:
    """A twin that is up. A context manager.

    Args:
        twin: what to start.
    """

    def __init__(self, twin: Twin) -> None:
        from tinymlsec.emulate.machine import Machine

        self.twin, self.program = twin, twin.program
        self.machine = Machine(twin.image, twin.core, twin.memory)
        try:
            self._sound(self.machine.boot(twin.image.symbols[IDLE].address), "start-up")
            self.ready = self.machine.snapshot()
        except BaseException:
            self.machine.close()
            raise

    def __enter__(self) -> StartedTwin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.close()

    @property
    def inference(self) -> Window:
        """The whole inference, with inputs that are already written."""
        return Window("inference", self.twin.image.symbols[INFER].address, (0, 0))

    def infer(self, *inputs: NDArray[np.generic], stream: bool = False) -> tuple[NDArray[np.generic], ...]:
        """Runs inferences.

        Args:
            inputs: for each input (n, ...) in its type.
            stream: the state of the model goes on from one to the next; else each starts fresh.

        Returns:
            for each output (n, ...).

        Raises:
            MachineError: an inference did not end well.
        """
        self.machine.restore(self.ready)
        rows = [self._one([np.ascontiguousarray(array[i]) for array in inputs], stream) for i in range(len(inputs[0]))]
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def _one(self, inputs: Sequence[NDArray[np.generic]], stream: bool) -> list[NDArray[np.generic]]:
        if not stream:
            self.machine.restore(self.ready)
        places = {self.twin.input_address(k): array.tobytes() for k, array in enumerate(inputs)}
        self._sound(self.machine.run(self.inference, places), "an inference")
        return [self._output(k, port) for k, port in enumerate(self.program.outputs)]

    def _output(self, index: int, port: Port) -> NDArray[np.generic]:
        data = self.machine.read(self.twin.output_address(index), port.bytes)
        return np.frombuffer(data, port.dtype).reshape(port.shape)

    def enter(self, name: str, inputs: Sequence[NDArray[np.generic]] = ()) -> Window:
        """Brings an inference to the beginning of a window; what is returned is to be run from there.

        Args:
            name: of the window, as `windows` reads it.
            inputs: one array for each input; none leaves what lies there.

        Raises:
            UsageError: no such window.
            MachineError: the inference does not come to it.
        """
        from tinymlsec.emulate.windows import enter, named

        self.machine.restore(self.ready)
        for k, array in enumerate(inputs):
            self.machine.write(self.twin.input_address(k), np.ascontiguousarray(array).tobytes())
        return enter(self.machine, self.inference, named(name, self.machine, self.program))

    def count(self, window: Window | None = None) -> RunResult:
        """Instructions of a window (by default an inference), from where the machine is."""
        return self.machine.run(window or self.inference, probe=Probe(counts=True))

    @staticmethod
    def _sound(result: RunResult, what: str) -> None:
        if result.end is RunEnd.DONE:
            return
        where = f"{result.fault.kind} at 0x{result.fault.pc:08x} ({result.fault.symbol})" if result.fault else ""
        raise MachineError(f"{what} of the generated firmware did not end well", found=f"{result.end.value} {where}")
