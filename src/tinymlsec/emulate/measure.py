"""What a model costs on a device: its firmware is generated, built, run in the emulator and priced.

    measured = measure(Path("kws.tflite"), "stm32l4r5zi", style=Style.DSP)
    measured.total.cycles      # a range, never a point

Cycles belong to the ELF that was run, never to the model: another compiler, level or kernel has others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tinymlsec.context import Progress, silent
from tinymlsec.emulate.codegen import Program, Style, firmware_files, generate
from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.cores import CoreChoice, core_for
from tinymlsec.emulate.cycles import CycleModel, cycle_model
from tinymlsec.emulate.cycles.flash_timing import FlashTiming, flash_timing
from tinymlsec.emulate.measure_build import build_fitting
from tinymlsec.emulate.measure_costs import cost_of, function_costs, price
from tinymlsec.emulate.measure_facts import clock_of, energy_of, flash_model, notes_for
from tinymlsec.emulate.measure_fit import check_fits, main_flash
from tinymlsec.emulate.measure_inputs import Feed, make_feed
from tinymlsec.emulate.measure_memory import check_built, memory_use
from tinymlsec.emulate.measure_records import Binary, Inputs, LayerCost, Measurement, Range
from tinymlsec.emulate.measure_reference import equal_outputs
from tinymlsec.emulate.measure_run import SampleRun, run_samples, stack_size
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import Build, Toolchain
from tinymlsec.errors import CapabilityMissing
from tinymlsec.target.device import Device, load_device
from tinymlsec.target.firmware import FirmwareImage, load_image
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model_file

STACK_BYTES = 8192


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
    toolchain: Toolchain | None = None
    """By default whatever is found first."""
    stack_bytes: int = STACK_BYTES
    """Set aside for the stack."""
    reference: bool = True
    """Compare outputs with the runtime, where it is installed."""


@dataclass(frozen=True)
class _Subject:
    """Everything that is known before the first run."""

    name: str
    model: Model
    data: bytes = field(repr=False)
    device: Device
    core: Core
    choice: CoreChoice
    memory: MemoryMap
    program: Program


def measure(
    model: Path,
    device: str | Device,
    style: Style = Style.PLAIN,
    options: MeasureOptions | None = None,
    progress: Progress = silent,
) -> Measurement:
    """Measures one model on one device.

    Args:
        model: the .tflite file.
        device: id, path of a device file, or the device.
        style: inner loops of the kernels.
        options: how.
        progress: where to say how far we are.

    Raises:
        InputError: a model that cannot be generated, or does not fit (which memory is short, and by how much).
        CapabilityMissing: no engine for the device's core, or the extra `firmware` is not installed.
    """
    options = options or MeasureOptions()
    steps = options.inputs + 3
    progress(0, steps, "generating C")
    subject = _subject(model, load_device(device) if isinstance(device, str) else device, style)
    check_fits(subject.program, subject.device.id, subject.memory, options.stack_bytes)
    feed = make_feed(subject.program, subject.model, data=options.data, count=options.inputs, seed=options.seed)
    progress(1, steps, "building")
    files = firmware_files(subject.program, subject.core, subject.memory, stack_bytes=options.stack_bytes)
    build = build_fitting(files, subject.core, subject.device.id, subject.memory, options.optimize, options.toolchain)
    image = load_image(build.elf)
    timing = flash_timing(subject.device.id)
    runs = _runs(subject, image, feed, timing, progress)
    progress(steps - 1, steps, "pricing")
    return _measurement(subject, build, image, feed, runs, timing, options)


def _subject(path: Path, device: Device, style: Style) -> _Subject:
    graph, data = read_model_file(path)
    choice = core_for(device)
    if choice.core is None:
        raise CapabilityMissing(
            f"{device.id} cannot be emulated", found=choice.reason,
            next_step="tinymlsec list devices --class tinyml shows others",
        )  # fmt: skip
    memory = memory_map(device, choice.core)
    return _Subject(path.name, graph, data, device, choice.core, choice, memory, generate(graph, style))


def _runs(
    subject: _Subject, image: FirmwareImage, feed: Feed, timing: FlashTiming | None, progress: Progress
) -> list[SampleRun]:
    from tinymlsec.emulate.machine import Machine

    samples = [feed.sample(i) for i in range(feed.count)]
    flash = timing.lines_of(main_flash(subject.memory)) if timing is not None else None
    found: list[SampleRun] = []
    with Machine(image, subject.core, subject.memory) as machine:
        for run in run_samples(machine, image, subject.program, samples, flash):
            found.append(run)
            progress(1 + len(found), len(samples) + 3, f"input {len(found)} of {len(samples)}")
    return found


def _layers(
    subject: _Subject, runs: list[SampleRun], prices: CycleModel, image: FirmwareImage, timing: FlashTiming | None
) -> tuple[LayerCost, ...]:
    return tuple(
        LayerCost(
            index=layer.index,
            op=layer.op,
            symbol=layer.symbol,
            cost=cost_of([price(*run.layers[i], prices, image) for run in runs], timing),
        )
        for i, layer in enumerate(subject.program.layers)
    )


def _measurement(
    subject: _Subject,
    build: Build,
    image: FirmwareImage,
    feed: Feed,
    runs: list[SampleRun],
    timing: FlashTiming | None,
    options: MeasureOptions,
) -> Measurement:
    prices = cycle_model(subject.core)
    total = cost_of([price(*run.whole, prices, image) for run in runs], timing)
    mhz, clock_note = clock_of(subject.device, timing)
    milliseconds = None if mhz is None else Range(low=total.cycles.low / mhz / 1e3, high=total.cycles.high / mhz / 1e3)
    microjoules, energy_note = energy_of(subject.device, mhz, milliseconds)
    use = memory_use(
        image, subject.program, subject.memory,
        stack=max(run.stack for run in runs), stack_reserved=stack_size(image),
    )  # fmt: skip
    check_built(subject.device.id, use)
    exact, reference_note = equal_outputs(subject.model, subject.data, feed, runs) if options.reference else (None, "")
    return Measurement(
        model=subject.name,
        model_digest=hashlib.sha256(subject.data).hexdigest(),
        device=subject.device.id,
        device_name=subject.device.name,
        core=subject.core.id,
        fidelity=subject.choice.fidelity,
        fidelity_reason=subject.choice.reason,
        binary=Binary(
            style=subject.program.style.value,
            compiler=build.compiler,
            flags=build.flags,
            digest=hashlib.sha256(build.elf.read_bytes()).hexdigest(),
        ),
        inputs=Inputs(count=feed.count, source=feed.source, exact=exact),
        total=total,
        layers=_layers(subject, runs, prices, image, timing),
        functions=function_costs([run.whole.counts for run in runs], prices, image),
        memory=use,
        mhz=mhz,
        milliseconds=milliseconds,
        microjoules=microjoules,
        energy_note=energy_note,
        flash_model=flash_model(timing),
        cycle_table="approximate" if prices.table.approximate else "vendor",
        validation=prices.table.validation,
        notes=notes_for(
            prices.table,
            prices.kinds(runs[0].whole.counts, image),
            subject.choice,
            subject.model,
            (clock_note, reference_note),
        ),
    )
