"""Real models as firmware in the emulator: built for a core, fed sample by sample, read back."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulate.codegen_models import RealModel
from tinymlsec.emulate.codegen import Layer, Style, firmware_files, generate
from tinymlsec.emulate.compilers import Toolchain
from tinymlsec.emulate.contract import Behavior, Core, RunEnd
from tinymlsec.emulate.machine import Machine
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import build_firmware
from tinymlsec.target.firmware.load import load_image

Array = NDArray[Any]


class Firmware:
    """A model, built and booted. A context manager."""

    def __init__(
        self,
        real: RealModel,
        core: Core,
        style: Style,
        toolchain: Toolchain,
        *,
        optimize: str = "O2",
        unaligned_traps: bool | None = None,
    ) -> None:
        """None: as the core does; False is faster where it does."""
        self.real, self.core = real, core
        self.program = generate(real.model, style)
        memory = memory_map(None, core)
        files = firmware_files(self.program, core, memory)
        self.build = build_firmware(files, core, toolchain=toolchain, optimize=optimize)
        self.image = load_image(self.build.elf)
        self.machine = Machine(self.image, core, memory, behavior=Behavior(unaligned_traps=unaligned_traps))
        self.arena = self.image.symbols["tms_arena"].address
        started = self.machine.boot(self.image.symbols["tms_idle"].address)
        assert started.end is RunEnd.DONE, started.fault
        self.instructions: list[int] = []
        """Of every inference so far."""

    def __enter__(self) -> Firmware:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.close()

    def outputs(self) -> Array:
        """The first output for every input of the model, (n, bytes) uint8."""
        return np.stack([self._inference(number) for number in range(len(self.real.inputs))])

    def _inference(self, number: int) -> NDArray[np.uint8]:
        if self.real.steps > 1 and number % self.real.steps == 0:
            self._call("tms_reset")
        self.instructions.append(self._call("tms_infer", 0, 0, inputs=self.feed(number)))
        (port,) = self.program.outputs
        assert port.offset is not None
        return np.frombuffer(self.machine.read(self.arena + port.offset, port.bytes), np.uint8)

    def feed(self, number: int) -> dict[int, bytes]:
        """One input as it is written to the arena."""
        (port,) = self.program.inputs
        assert port.offset is not None
        return {self.arena + port.offset: np.ascontiguousarray(self.real.inputs[number]).tobytes()}

    def layers(self, number: int) -> dict[int, NDArray[np.uint8]]:
        """By tensor: what each layer left in the arena, when the layers are called one by one."""
        found: dict[int, NDArray[np.uint8]] = {}
        inputs = self.feed(number)
        for layer in self.program.layers:
            self._call(layer.symbol, inputs=inputs)
            inputs = {}
            for span in layer.outputs:
                if span.offset is not None:
                    data = self.machine.read(self.arena + span.offset, span.bytes)
                    found[span.tensor] = np.frombuffer(data, np.uint8)
        return found

    def write_inputs(self, layer: Layer, values: Mapping[int, NDArray[np.uint8]]) -> None:
        """What a layer reads, as `layers` found it; the model's input where it reads that."""
        for span in layer.inputs:
            if span.offset is not None:
                fed = values.get(span.tensor)
                data = np.ascontiguousarray(self.real.inputs[0]).tobytes() if fed is None else fed.tobytes()
                self.machine.write(self.arena + span.offset, data)

    def _call(self, name: str, *arguments: int, inputs: dict[int, bytes] | None = None) -> int:
        result = self.machine.call(name, *arguments, inputs=inputs)
        assert result.end is RunEnd.DONE, result.fault
        return result.instructions


def differing(found: Array, expected: Array) -> int:
    """Bytes that differ."""
    return int(np.count_nonzero(found != np.ascontiguousarray(expected).view(np.uint8).reshape(found.shape)))
