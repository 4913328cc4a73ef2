"""Traces that the user gave of the device: looked at once, held against the model, then read by attacks in chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinymlsec.context import Progress, silent
from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.graph import Model, Tensor

if TYPE_CHECKING:
    from tinymlsec.traces.survey import TraceSurvey
    from tinymlsec.traces.traceset import TraceSet

FORMS = "op:<n> or op:<n>@<y>,<x>,<c0>:<c1>"


@dataclass(frozen=True, eq=False)
class GivenTraces:
    """Traces with what is known of them."""

    set: TraceSet
    """Read in chunks; nothing of it is in memory."""
    survey: TraceSurvey
    digest: str
    """SHA-256 of all that the set holds and says of itself."""
    path: str
    window: str
    """What part of the model they show; empty where nobody said."""
    window_source: str


def load_given_traces(
    path: Path, inputs: Path | None, window: str | None, model: Model, model_digest: str, progress: Progress = silent
) -> GivenTraces:
    """Opens traces and goes through them once.

    Args:
        path: .npy, .npz, .trs, .cwp or a Zarr folder.
        inputs: .npy with the inputs, where the set has none.
        window: what part of the model they show, where the set does not say.
        model: that they are said to be of.
        model_digest: SHA-256 of its file.
        progress: told how many were read.

    Raises:
        TraceFileError: a file that cannot be used.
        TraceError: traces of another model, without inputs, with inputs that do not fit, or that never vary.
        UsageError: a window that the model does not have, or another than the set states.
    """
    from tinymlsec.traces.files import BASES
    from tinymlsec.traces.imports import load_traces
    from tinymlsec.traces.look import look
    from tinymlsec.traces.traceset import TraceError

    traces = load_traces(path, inputs=inputs, model_digest=model_digest)
    if traces.info.basis not in BASES:
        raise TraceError(
            f"{path.name} cannot say what its traces are", found=f"basis {traces.info.basis.value}",
            expected="measured or simulated", next_step="tinymlsec traces show tells what it says",
        )  # fmt: skip
    shown, source = _window(traces.info.window, window, model)
    _check_inputs(traces, model, path.name)
    looked = look(traces, progress=progress)
    return GivenTraces(traces, looked.survey, looked.digest, str(path), shown, source)


def _window(stated: str, given: str | None, model: Model) -> tuple[str, str]:
    """The window and who said so."""
    from tinymlsec.emulate.windows import layer_of

    if layer_of(stated) is not None:
        _check_window(stated, model)
    if given is None:
        return stated, "the set says so" if stated else ""
    if stated and stated != given:
        raise UsageError(
            "the traces show something else than --trace-window says", found=given[:200], expected=stated[:200],
            next_step="leave --trace-window out: the set knows it",
        )  # fmt: skip
    _check_window(given, model)
    return given, "--trace-window"


def _check_window(name: str, model: Model) -> None:
    from tinymlsec.emulate.windows import layer_of, pixel_of

    layer, operators = layer_of(name), model.main.operators
    if layer is None:
        raise UsageError("no window of a model is called so", found=name[:200], expected=FORMS)
    if layer >= len(operators):
        raise UsageError(f"the model has no operator {layer}", expected=f"0 to {len(operators) - 1}")
    pixel = pixel_of(name)
    if pixel is None:
        return
    shape = (1, 1, *model.main.tensors[operators[layer].outputs[0]].shape)[-3:]
    y, x, first, end = pixel
    if y >= shape[0] or x >= shape[1] or not first < end <= shape[2]:
        raise UsageError(
            f"operator {layer} ({operators[layer].name}) has no such pixel or channels", found=name[:200],
            expected=f"rows below {shape[0]}, columns below {shape[1]}, channels 0 to {shape[2]}",
        )  # fmt: skip


def _check_inputs(traces: TraceSet, model: Model, name: str) -> None:
    """The inputs must be those of this model: as many bytes as it takes.

    Raises:
        TraceError: another number of bytes; sets without inputs pass, and are refused with a reason of their own.
    """
    from tinymlsec.traces.traceset import TraceError

    chunk = next(iter(traces.chunks(1, end=1)), None)
    found = 0 if chunk is None else chunk.inputs.shape[1]
    tensors = [model.main.tensors[index] for index in model.main.inputs]
    expected = sum(_bytes(tensor) for tensor in tensors)
    if found and found != expected:
        kinds = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in tensors)
        raise TraceError(
            f"the inputs of {name} are not inputs of this model", found=f"{found:,} bytes with each trace",
            expected=f"{expected:,}: {kinds}",
            next_step="give the bytes of the input tensor as the device holds them, for each trace",
        )  # fmt: skip


def _bytes(tensor: Tensor) -> int:
    import numpy as np

    return math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
