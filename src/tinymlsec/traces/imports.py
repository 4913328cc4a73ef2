"""Traces that others recorded, by the kind of file: NumPy, Zarr, ChipWhisperer projects, Riscure .trs.

They become sets of basis *measured*. Facts that a file cannot hold (the model's digest, the core, the window) may stand
beside it in NAME.json.
"""

from __future__ import annotations

from pathlib import Path

from tinymlsec.traces.files import FileTraces, TraceFileError
from tinymlsec.traces.survey import require_model
from tinymlsec.traces.traceset import TraceSet

KINDS = ".npy, .npz, .trs, .cwp, or a Zarr folder"


def load_traces(
    path: Path,
    *,
    inputs: Path | None = None,
    input_at: tuple[int, int] | None = None,
    model_digest: str | None = None,
) -> TraceSet:
    """Traces of a file or folder; nothing large is read yet.

    Args:
        path: .npy, .npz, .trs, .cwp, or a Zarr folder.
        inputs: .npy with the inputs, where the traces are in a file without.
        input_at: (first byte, bytes) of the input within the data of a trace of a .trs that does not say.
        model_digest: SHA-256 of the model that is to be attacked; None: any.

    Raises:
        TraceFileError: no such kind of file, or one that cannot be used.
        TraceError: traces of another model.
        CapabilityMissing: Zarr is not installed.
    """
    traces = _opened(Path(path), inputs, input_at)
    if model_digest is not None:
        require_model(traces, model_digest)
    return traces


def _opened(path: Path, inputs: Path | None, input_at: tuple[int, int] | None) -> TraceSet:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        from tinymlsec.traces.numpy_file import open_npy

        return open_npy(path, inputs)
    if path.is_dir():
        from tinymlsec.traces.zarr_store import open_zarr

        return _with_inputs(open_zarr(path), inputs)
    if suffix == ".npz":
        from tinymlsec.traces.numpy_file import open_npz

        return _with_inputs(open_npz(path), inputs)
    if suffix == ".trs":
        from tinymlsec.traces.trs import open_trs

        return _with_inputs(open_trs(path, input_at), inputs)
    if suffix == ".cwp":
        from tinymlsec.traces.chipwhisperer import open_chipwhisperer

        return _with_inputs(open_chipwhisperer(path), inputs)
    raise TraceFileError(
        "no kind of trace file that is known", found=str(path), expected=KINDS,
        next_step="store the samples with np.save(NAME, samples)",
    )  # fmt: skip


def _with_inputs(traces: TraceSet, inputs: Path | None) -> TraceSet:
    if inputs is None:
        return traces
    if not isinstance(traces, FileTraces):
        raise TraceFileError(
            f"{traces.info.source} has inputs of its own", found=str(inputs), expected="no other inputs"
        )
    from dataclasses import replace

    from tinymlsec.traces.numpy_file import map_npy

    array = map_npy(inputs)[0]
    return replace(traces, inputs=array)
