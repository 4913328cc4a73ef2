"""Runs inferences on somebody's firmware as its description tells.

    with Session.open("gadget.elf", read_description("gadget.toml")) as session:
        scores = session.infer(x)  # (n, ...) of the declared type -> (n, outputs)

The firmware starts once; every inference begins from a snapshot of that moment, so that they do not influence each
other. All of it runs in the machine's worker process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import Behavior, Fault, Probe, RunResult, Window
from tinymlsec.emulate.foreign.bench import BenchReport
from tinymlsec.emulate.foreign.buffers import rows, settled, values, with_scratch
from tinymlsec.emulate.foreign.description import Description, DescriptionError
from tinymlsec.emulate.foreign.finder.layers import LayerWindow
from tinymlsec.emulate.foreign.layer_windows import entered, layer_named, layers_of
from tinymlsec.emulate.foreign.outcome import Ending, FirmwareRunError, ending_of
from tinymlsec.emulate.foreign.plan import Plan, plan
from tinymlsec.emulate.foreign.starting import starting_point, top_of_stack
from tinymlsec.emulate.foreign.stubs import with_stubs
from tinymlsec.emulate.windows import named as window_named
from tinymlsec.errors import DataError

if TYPE_CHECKING:
    from tinymlsec.emulate.machine import Machine
    from tinymlsec.target.firmware.image import FirmwareImage

BOOT_SECONDS = 60.0
INFERENCE_SECONDS = 120.0
NOTHING = {"arm": b"\x00\xbf" * 2, "riscv32": b"\x01\x00" * 2}
"""Two instructions that do nothing."""
NOWHERE = 0x100
"""Offset in the machine's idle memory at which they lie."""


@dataclass(frozen=True)
class Inference:
    """One inference and how it ended."""

    ending: Ending
    result: RunResult
    """Of the machine, with what the probe recorded."""
    output: NDArray[np.generic]
    """(outputs,) of the declared type; what lay there when the run ended."""
    text: dict[str, str]
    """What the firmware printed meanwhile, by sink."""


class Session:
    """A started firmware. A context manager; `close` ends its worker process.

    Args:
        image: the user's.
        description: how to run an inference on it.
        behavior: what the core does where firmware goes wrong.
        seconds: longest start-up and longest inference.

    Raises:
        DescriptionError: the description does not fit the image.
        FirmwareRunError: the firmware does not start; the error says where it ended.
        MachineError: the worker process died or hung.
    """

    def __init__(
        self,
        image: FirmwareImage,
        description: Description,
        *,
        behavior: Behavior | None = None,
        seconds: tuple[float, float] = (BOOT_SECONDS, INFERENCE_SECONDS),
    ) -> None:
        from tinymlsec.emulate.machine import Machine

        self.image, self.seconds = image, seconds
        self.memory, self.plan = with_scratch(plan(description, image))
        self.machine: Machine = Machine(
            stubbed(image, self.plan),
            self.plan.core,
            self.memory,
            hardware=self.plan.hardware,
            behavior=behavior or Behavior(),
        )
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path | str, description: Description, *, base: int | None = None, **options: Any) -> Session:
        """A session on a file.

        Args:
            path: ELF, Intel HEX, UF2 or raw image.
            description: how to run it.
            base: address of the first byte of a raw image.
            options: as for the class.

        Raises:
            FirmwareError: the file is no usable firmware.
            DescriptionError, FirmwareRunError, MachineError: as for the class.
        """
        from tinymlsec.target.firmware import load_image

        return cls(load_image(path, base=base), description, **options)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker process."""
        self.machine.close()

    # ---- start-up

    def _start(self) -> None:
        self.boot = self._check("does not start", self._boot())
        if self.plan.init is not None:
            most = self.plan.boot_instructions
            called = self.machine.call(self.plan.init, instructions=most, seconds=self.seconds[0])
            self.boot = self._check("`boot.init` fails", called)
        self.input_address = settled(self.plan.input, "input", self.memory, self.machine.read)
        self.output_address = settled(self.plan.output, "output", self.memory, self.machine.read)
        self.window = self._window()
        self._push(self.window.arguments[4:] if self.plan.core.machine == "arm" else ())
        self.boot_report = self.machine.bench()
        self.snapshot = self.machine.snapshot()

    def _boot(self) -> RunResult:
        if self.plan.start == "none":
            return self._move_stack(top_of_stack(self.plan, self.image))
        start, stack, until = starting_point(self.plan, self.image)
        if start == until and self.plan.function is not None:  # over before it begins
            return self._move_stack(stack)
        return self.machine.boot(
            until, start=start, stack=stack, instructions=self.plan.boot_instructions, seconds=self.seconds[0]
        )

    def _move_stack(self, top: int) -> RunResult:
        """Sets the stack pointer: the machine does so where it starts to run, so it runs an instruction of nothing."""
        at = self.machine.idle + NOWHERE
        self.machine.write(at, NOTHING[self.plan.core.machine])
        return self.machine.boot(at + 2, start=at, stack=top)

    def _check(self, what: str, result: RunResult) -> Ending:
        """The ending of start-up.

        Raises:
            FirmwareRunError: it is not the one that was wanted.
        """
        ending = self._ending(result, self.plan.boot_instructions)
        if not ending.ok:
            raise FirmwareRunError(
                f"the firmware {what}: {ending.title}", ending, found=ending.detail, next_step=ending.hint or None
            )
        return ending

    def _window(self) -> Window:
        plan = self.plan
        if plan.function is None:
            stop = plan.inference_until
            assert plan.until is not None
            assert stop is not None
            return Window(f"pc:0x{plan.until:08x}-0x{stop:08x}#{plan.hit}", None, (), stop, plan.hit)
        at = self.image.symbol_at(plan.function)
        name = at[0] if at is not None and at[1] == 0 else f"0x{plan.function:08x}"
        return Window(name, plan.function, tuple(self._argument(a) for a in plan.arguments))

    def _push(self, words: tuple[int, ...]) -> None:
        """Puts the arguments that have no register on the stack (AAPCS32, stage C)."""
        if not words or self.window.start is None:
            return
        top = self.machine.registers()[13] - 4 * len(words) & ~7
        self._move_stack(top)
        self.machine.write(top, b"".join(word.to_bytes(4, "little") for word in words))
        self.window = replace(self.window, arguments=self.window.arguments[:4])

    def _argument(self, value: int | str) -> int:
        known = {
            "input": self.input_address,
            "output": self.output_address,
            "input_bytes": self.plan.input.bytes,
            "output_bytes": self.plan.output.bytes,
        }
        return known[value] if isinstance(value, str) else value

    # ---- inferences

    def infer(self, x: NDArray[np.generic]) -> NDArray[np.generic]:
        """Outputs of many inputs.

        Args:
            x: (n, ...) of the declared type.

        Returns:
            (n, outputs) of the declared type.

        Raises:
            DataError: inputs of another type or size.
            FirmwareRunError: an inference failed; the error says which, where and why.
            MachineError: the worker process died or hung.
        """
        inputs = rows(x, self.plan.input)
        outputs = np.zeros((len(inputs), self.plan.output.bytes), np.uint8)
        for index, row in enumerate(inputs):
            made = self._run(row.tobytes(), None, None)
            if not made.ending.ok:
                ending = made.ending
                raise FirmwareRunError(
                    f"inference {index} of {len(inputs)} fails: {ending.title}",
                    ending,
                    found=ending.detail or None,
                    next_step=ending.hint or None,
                )
            outputs[index] = np.frombuffer(made.output.tobytes(), np.uint8)
        return outputs.view(np.dtype(self.plan.output.type).newbyteorder("<"))

    def run(self, x: NDArray[np.generic], probe: Probe | None = None, fault: Fault | None = None) -> Inference:
        """One inference, observed or disturbed. A failure is told by its ending, not raised.

        Args:
            x: (1, ...) of the declared type.
            probe: what to record.
            fault: what to inject.

        Raises:
            DataError: inputs of another type or size, or more than one.
            MachineError: the worker process died or hung.
        """
        return self._run(self._one(x), probe, fault)

    def _one(self, x: NDArray[np.generic]) -> bytes:
        inputs = rows(x, self.plan.input)
        if len(inputs) != 1:
            raise DataError("one input at a time", found=f"{len(inputs)}", expected="an array of shape (1, ...)")
        return bytes(inputs[0])

    # ---- parts of an inference

    def layers(self) -> tuple[LayerWindow, ...]:
        """One window for each layer of an interpreter's model, as its tables say once the firmware is ready.

        None where no model, table of kernels or table of tensors is found; nothing has confirmed them by running.
        """
        self.machine.restore(self.snapshot)
        return layers_of(self.image, self.plan.core, self.memory, self.machine.read)

    def enter(self, window: LayerWindow | str, x: NDArray[np.generic]) -> Window:
        """Runs an inference up to a window and stays there: what is returned runs the window, and can do so again and
        again from a snapshot of the machine.

        Args:
            window: a layer, or a name such as ``symbol#2`` or ``pc:0x8001000-0x8001080#3``.
            x: (1, ...) of the declared type.

        Raises:
            DataError: inputs of another type or size, or more than one.
            UsageError: no such window.
            MachineError: the inference does not come to it, or the worker process died or hung.
        """
        named = window_named(window, self.machine) if isinstance(window, str) else layer_named(window)
        self.machine.restore(self.snapshot)
        self.machine.write(self.input_address, self._one(x))
        return entered(self.machine, self.window, named, self.seconds[1])

    def _run(self, data: bytes, probe: Probe | None, fault: Fault | None) -> Inference:
        self.machine.restore(self.snapshot)
        result = self.machine.run(
            self.window,
            {self.input_address: data},
            probe,
            fault,
            instructions=self.plan.instructions,
            seconds=self.seconds[1],
        )
        output = values(self.machine.read(self.output_address, self.plan.output.bytes), self.plan.output)
        return Inference(self._judged(result), result, output, self._text())

    def _judged(self, result: RunResult) -> Ending:
        ending = self._ending(result, self.plan.instructions)
        expected = self.plan.returns
        if not ending.ok or expected is None or result.value == expected:
            return ending
        from tinymlsec.emulate.contract import RunEnd

        title = f"it returned 0x{result.value:x} instead of 0x{expected:x}"
        hint = "that is what it answers where it refuses the input or is not ready; or correct inference.returns"
        return replace(ending, end=RunEnd.FAULT, title=title, hint=hint)

    def _ending(self, result: RunResult, limit: int) -> Ending:
        return ending_of(result, self.machine.registers()[-1], self.image, self._seen(), limit)

    def _seen(self) -> BenchReport:
        return self.machine.bench()

    def _text(self) -> dict[str, str]:
        before = self.boot_report.text
        new = {name: data[len(before.get(name, b"")) :] for name, data in self._seen().text.items()}
        return {name: data.decode("utf-8", "replace") for name, data in new.items() if data}


def stubbed(image: FirmwareImage, plan: Plan) -> FirmwareImage:
    """The image with the functions replaced that a plan does not run: stubs and sinks of text."""
    places: dict[int, int] = {}
    stubs = [(stub.address, stub.value) for stub in plan.hardware.stubs]
    stubs += [(sink.address, sink.value) for sink in plan.hardware.sinks]
    for address, value in stubs:
        if places.setdefault(address, value) != value:
            raise DescriptionError(f"the function at 0x{address:08x} is stubbed twice, with different values")
    return with_stubs(image, places)
