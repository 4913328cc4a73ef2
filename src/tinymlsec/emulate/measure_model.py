"""What a model costs on a device: its firmware is generated, built, run in the emulator and priced.

    measured = measure("kws.tflite", "stm32l4r5zi", style="dsp")
    measured.total.cycles      # a range, never a point

Cycles belong to the ELF that was run, never to the model: another compiler, level or kernel has others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tinymlsec.context import Progress, silent
from tinymlsec.emulate.codegen import Program, Style, firmware_files, generate
from tinymlsec.emulate.codegen.layout import STACK_BYTES
from tinymlsec.emulate.contract import Core, FlashLines, MemoryMap
from tinymlsec.emulate.cores import CoreChoice, core_for
from tinymlsec.emulate.cycles.flash_timing import FlashTiming, flash_timing
from tinymlsec.emulate.measure_build import build_fitting
from tinymlsec.emulate.measure_fit import check_fits, main_flash
from tinymlsec.emulate.measure_inputs import Feed, make_feed
from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.emulate.measure_run import CountingMachine, Runner, SampleRun
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import Build, Toolchain, find_toolchain
from tinymlsec.errors import CapabilityMissing, DeviceError, UsageError
from tinymlsec.target.device import Device, load_device
from tinymlsec.target.firmware import FirmwareImage, load_image
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model_file

MOST_INPUTS = 10_000
PACKAGES = ("unicorn", "capstone", "elftools")
"""What the extra `firmware` brings beside a compiler."""

MachineMaker = Callable[[FirmwareImage, Core, MemoryMap], AbstractContextManager[CountingMachine]]


class CannotMeasure(CapabilityMissing):
    """Nothing can be run: no engine for the core, or an extra that is not installed."""

    exit_code = 3


@dataclass(frozen=True)
class MeasureOptions:
    """How to measure."""

    inputs: int = 5
    """Samples that are run."""
    data: Path | None = None
    """An .npz file they come from; None for random codes."""
    seed: int = 0
    """Of random codes."""
    optimize: str = "O2"
    """Level of the compiler."""
    toolchain: Toolchain | str | None = None
    """``zig``, ``gcc``, or one that was found; by default whatever is found first."""
    flash: FlashTiming | None = None
    """Wait states and caches; by default those of our file of the device, where there is one."""
    stack_bytes: int = STACK_BYTES
    """Set aside for the stack."""
    compare: bool = True
    """Compare outputs with the runtime, where it is installed."""


@dataclass(frozen=True)
class Subject:
    """Everything that is known before the first run."""

    name: str
    model: Model
    data: bytes = field(repr=False)
    device: Device
    core: Core
    choice: CoreChoice
    memory: MemoryMap
    program: Program
    timing: FlashTiming | None

    @property
    def digest(self) -> str:
        """SHA-256 of the model file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def flash_lines(self) -> FlashLines | None:
        """What the machine counts misses of; None where the flash is not modeled."""
        return None if self.timing is None else self.timing.lines_of(main_flash(self.memory))


@dataclass(frozen=True)
class Ran:
    """What was built and what came of running it."""

    build: Build
    image: FirmwareImage
    feed: Feed
    runs: Sequence[SampleRun]


def measure(
    model: str | Path,
    device: str | Device,
    *,
    style: str | Style = Style.PLAIN,
    options: MeasureOptions | None = None,
    machine: MachineMaker | None = None,
    progress: Progress = silent,
) -> Measurement:
    """Measures one model on one device.

    Args:
        model: path of the .tflite file.
        device: id, path of a device file, or the device.
        style: inner loops of the kernels: plain, unrolled or dsp.
        options: how.
        machine: makes what runs the firmware; by default the emulator in its worker process.
        progress: where to say how far we are.

    Returns:
        Cycles (a range over inputs and over what the cycle table leaves open), memory in bytes, and all that a reader
        must know to judge them.

    Raises:
        DoesNotFit: which memory is short, and by how many bytes; before anything is built wherever that is known then.
        CannotMeasure: no engine for the device's core, or the extra `firmware` is not installed.
        InputError: anything else that cannot be used: model, device, data, options, a build that fails.
    """
    from tinymlsec.emulate.measure_result import measurement

    options = options or MeasureOptions()
    if not 1 <= options.inputs <= MOST_INPUTS:
        raise UsageError("the number of inputs", found=str(options.inputs), expected=f"1 to {MOST_INPUTS:,}")
    progress(0, 3, "generating C")
    subject = subject_of(Path(model), device, style, options.flash)
    check_fits(subject.program, subject.device.id, subject.memory, options.stack_bytes)
    feed = make_feed(subject.program, subject.model, data=options.data, count=options.inputs, seed=options.seed)
    check_packages()
    progress(1, 3, "building")
    build = _build(subject, options)
    image = load_image(build.elf)
    runs = _runs(subject, image, feed, machine or _emulator, progress)
    progress(2, 3, "pricing and comparing")
    return measurement(subject, Ran(build, image, feed, runs), options)


def subject_of(
    path: Path, device: str | Device, style: str | Style = Style.PLAIN, flash: FlashTiming | None = None
) -> Subject:
    """Model, device, and the model as C for it.

    Raises:
        CannotMeasure: no engine for the device's core.
        InputError: a model for which no C is generated, an unknown device or style, timings of another device.
    """
    if style not in list(Style):
        raise UsageError("unknown style of inner loops", found=str(style), expected=", ".join(Style))
    found = load_device(device) if isinstance(device, str) else device
    choice = core_for(found)
    if choice.core is None:
        raise CannotMeasure(
            f"{found.id} cannot be emulated", found=choice.reason,
            next_step="tinymlsec list devices --class tinyml shows others",
        )  # fmt: skip
    if flash is not None and flash.device != found.id:
        raise DeviceError("the flash timing is another device's", found=flash.device, expected=found.id)
    graph, data = read_model_file(path)
    return Subject(
        path.name, graph, data, found, choice.core, choice, memory_map(found, choice.core),
        generate(graph, Style(style)), flash or flash_timing(found.id),
    )  # fmt: skip


def check_packages() -> None:
    """Raises CannotMeasure where a package of the extra `firmware` is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise CannotMeasure(
            "measure needs the extra firmware", found=f"without {', '.join(missing)}",
            next_step='pip install "tinymlsec[firmware]"',
        )  # fmt: skip


def _build(subject: Subject, options: MeasureOptions) -> Build:
    files = firmware_files(subject.program, subject.core, subject.memory, stack_bytes=options.stack_bytes)
    tools = options.toolchain
    tools = find_toolchain(tools) if tools is None or isinstance(tools, str) else tools
    return build_fitting(files, subject.core, subject.device.id, subject.memory, options.optimize, tools)


def _runs(
    subject: Subject, image: FirmwareImage, feed: Feed, make: MachineMaker, progress: Progress
) -> list[SampleRun]:
    calls = 1 + len(subject.program.layers)
    steps = feed.count * calls + 3
    found: list[SampleRun] = []
    progress(2, steps, "starting up")
    with make(image, subject.core, subject.memory) as machine:
        runner = Runner(machine, image, subject.program, subject.flash_lines)
        for number in range(feed.count):
            said = partial(_say, progress, 2 + number * calls, steps, f"input {number + 1} of {feed.count}")
            found.append(runner.run(feed.sample(number), said))
    return found


def _say(progress: Progress, done: int, steps: int, where: str, call: int, function: str) -> None:
    progress(done + call, steps, f"{where}, {function}")


def _emulator(image: FirmwareImage, core: Core, memory: MemoryMap) -> AbstractContextManager[CountingMachine]:
    from tinymlsec.emulate.machine import Machine

    return Machine(image, core, memory)
