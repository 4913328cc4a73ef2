"""A campaign as a user asks for it: a model, a device, a window, a probe and an oscilloscope in words and numbers."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.windows import layer_of
from tinymlsec.errors import UsageError
from tinymlsec.records import Basis
from tinymlsec.target.data import load_dataset
from tinymlsec.target.device import load_device
from tinymlsec.target.space import Codes, InputSpace, input_space
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model, read_model_file
from tinymlsec.traces.simulated import BLOCK, Inputs, SimulatedTraces, uniform_inputs
from tinymlsec.traces.traceset import Noise, TraceInfo

if TYPE_CHECKING:
    from tinymlsec.emulate.codegen.program import Program
    from tinymlsec.emulate.twin import StartedTwin, Twin

_CodesOf = Callable[[int, int], Codes]
WHOLE = "inference"
"""Name of the window that is a whole inference."""


@dataclass(frozen=True)
class CampaignOptions:
    """How traces are to be made."""

    window: str | None = None
    """op:<n>, op:<n>@<y>,<x>,<c0>:<c1> or `inference`; None: middle pixel, first channel of the first such layer."""
    count: int = 1000
    """Traces."""
    leakage: str = "hamming_weight"
    """One of `emulate.leakage.PARTS`."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Factor by class of instruction."""
    noise: Noise = field(default_factory=Noise)
    """Where `snr` is given without `snr_at`, it holds at the sample whose signal varies most."""
    data: Path | None = None
    """Inputs as .npz; None: random codes, all equally likely."""
    style: str = "plain"
    """Inner loops of the kernels."""
    seed: int = 0
    """Of inputs and noise."""


@contextmanager
def campaign(model: Path, device: str, options: CampaignOptions) -> Iterator[SimulatedTraces]:
    """Traces of a model's own firmware on a device's core; the emulator runs as long as the context is open.

    Args:
        model: a .tflite file.
        device: id, or a TOML file.
        options: see there.

    Raises:
        InputError: anything that cannot be used.
        CapabilityMissing: no engine for the device, or no firmware for the model.
    """
    from tinymlsec.emulate.twin import twin_for

    graph, data = read_model_file(model)
    Leakage(options.leakage)  # which refuses an unknown one before anything is built
    twin = twin_for(graph, load_device(device), options.style)
    with campaign_of(twin, data, options, model.name) as made:
        yield made


@contextmanager
def campaign_of(twin: Twin, data: bytes, options: CampaignOptions, name: str) -> Iterator[SimulatedTraces]:
    """Traces of firmware that is built already.

    Args:
        twin: of the model.
        data: the model's file.
        options: see there; the style is the twin's.
        name: of the model, for reports.

    Raises:
        InputError: as for `campaign`.
    """
    space, window = input_space(twin.model), options.window or default_window(twin.program)
    codes, layer = _codes(twin.model, space, options), layer_of(window)
    if layer is None and window != WHOLE:
        raise UsageError(
            "a campaign shows a layer, one of its pixels, or an inference", found=window[:200],
            expected=f"op:<n>, op:<n>@<y>,<x>,<c0>:<c1> or {WHOLE}",
        )  # fmt: skip

    def inputs(first: int, count: int) -> NDArray[np.uint8]:
        return _bytes(space.to_device(codes(first, count)))

    with ExitStack() as stack:
        started = stack.enter_context(twin.start())
        entered = started.inference if window == WHOLE else started.enter(window)
        size = twin.program.inputs[0].bytes
        places: tuple[tuple[int, int, int], ...] = ((twin.input_address(), 0, size),)
        fed: Inputs | None = None
        if layer is not None and layer > 0:
            places, fed = _later(twin.model, space, codes, started, layer, stack)
        base = TraceInfo(
            source=f"emulated firmware of {name}, {twin.program.style} kernels, {_words(options)}",
            basis=Basis.SIMULATED, model_digest=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        made = SimulatedTraces(
            started.machine, entered, options.count, inputs, places, Leakage(options.leakage, dict(options.weights)),
            seed=options.seed, base=base, fed=fed,
        )  # fmt: skip
        yield made.with_noise(_placed(made, options.noise))


def default_window(program: Program) -> str:
    """The middle output pixel and the first channel of the first layer that is computed pixel by pixel.

    Raises:
        UsageError: there is none.
    """
    for layer in program.layers:
        if layer.pixel_symbol:
            rows, columns, _ = layer.pixels
            return f"op:{layer.index}@{rows // 2},{columns // 2},0:1"
    raise UsageError("no layer of this model is computed pixel by pixel", next_step=f"--window op:0 or {WHOLE}")


def _words(options: CampaignOptions) -> str:
    return "random inputs" if options.data is None else f"inputs of {options.data.name}"


def _placed(made: SimulatedTraces, noise: Noise) -> Noise:
    """The noise with the sample at which its ratio holds."""
    if noise.snr is None or noise.snr_at is not None:
        return noise
    quiet = made.with_noise(Noise(low_pass=noise.low_pass))
    signal = next(iter(quiet.chunks(BLOCK))).samples
    return noise.model_copy(update={"snr_at": int(signal.var(axis=0, dtype=np.float64).argmax())})


def _codes(model: Model, space: InputSpace, options: CampaignOptions) -> _CodesOf:
    """(first, count) -> (count, *sample_shape) codes."""
    if options.data is not None:
        if model.state_tensors:
            raise UsageError(
                "a data file feeds models without state", found="a model that keeps state", next_step="leave it out"
            )
        rows = load_dataset(options.data, space, frames=False).x
        return lambda first, count: rows[np.arange(first, first + count) % len(rows)]
    kind = np.dtype(space.code_dtype if space.is_grid else np.uint8)
    drawn = uniform_inputs(math.prod(space.sample_shape) * kind.itemsize, options.seed)

    def random(first: int, count: int) -> Codes:
        codes = drawn(first, count).view(kind).reshape(count, *space.sample_shape)
        if space.is_grid:
            return codes
        return (space.low + (space.high - space.low) / 255 * codes).astype(np.float32)  # one of 256 steps

    return random


def _bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(n, ...) -> (n, k) as they lie in memory."""
    return np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)


def _later(
    graph: Model, space: InputSpace, codes: _CodesOf, started: StartedTwin, layer: int, stack: ExitStack
) -> tuple[tuple[tuple[int, int, int], ...], Inputs]:
    """Where the activations of a later layer are written, and what they are: the runtime computes them.

    Raises:
        UsageError: the model keeps state.
    """
    from tinymlsec.target.oracle import OraclePool
    from tinymlsec.target.task import task_from_graph
    from tinymlsec.target.tflite.cut import cut_model
    from tinymlsec.target.victim import Victim

    if graph.state_tensors:
        raise UsageError("later layers of models that keep state are not covered", next_step="--window op:0")
    pool = stack.enter_context(OraclePool(min(os.cpu_count() or 1, 8)))
    victims, places, end = [], [], 0
    for span in started.program.layers[layer].inputs:
        if span.offset is not None:
            cut = cut_model(graph, span.tensor)
            victims.append(Victim(cut, read_model(cut), space, task_from_graph(graph), pool))
            places.append((started.twin.tensor_address(span.tensor), end, end + span.bytes))
            end += span.bytes

    def fed(first: int, count: int) -> NDArray[np.uint8]:
        given = codes(first, count)
        return np.concatenate([_bytes(victim.raw(given)) for victim in victims], axis=1)

    return tuple(places), fed


def class_factors(text: str | None) -> dict[str, float]:
    """Factors by class of instruction from words such as load=1.2,store=0.8.

    Raises:
        UsageError: no such class, or no number.
    """
    from tinymlsec.emulate.cycles.table import KINDS

    made: dict[str, float] = {}
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, equals, value = part.partition("=")
        try:
            factor = float(value)
        except ValueError:
            factor = math.nan
        if name not in KINDS or not equals or not 0 <= factor <= 1e6:
            raise UsageError(
                "a factor of a class of instructions cannot be read", found=part[:100],
                expected=f"CLASS=FACTOR, 0 to 1e6, of {', '.join(KINDS)}",
            )  # fmt: skip
        made[name] = factor
    return made


def checked_style(name: str) -> str:
    """A style of inner loops, or a usage error."""
    from tinymlsec.emulate.codegen.style import Style

    if name not in list(Style):
        raise UsageError("unknown style of inner loops", found=name[:100], expected=", ".join(Style))
    return name
