"""Self-check on load: the lifted graph against the runtime, and the first operator that differs where it does not hold.

Inputs are random ones, corner values (all at the smallest, all at the largest code, alternating) and the user's own.
Where outputs differ, the model is cut: files are written whose output is one intermediate tensor after the other, until
the runtime and the lifted graph disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from tinymlsec.errors import OracleError
from tinymlsec.exactness import Difference, Exactness
from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.target.space import Codes, InputSpace
from tinymlsec.target.tflite.cut import cut_model
from tinymlsec.target.tflite.graph import Model

if TYPE_CHECKING:
    from tinymlsec.target.oracle import ModelHandle

RANDOM, GIVEN, STEPS = 16, 16, 4
"""Random inputs, inputs of the user's, and steps of a stream of random codes."""
FLOAT_TOLERANCE = 1e-4
"""Sums in floating point depend on their order; allowed difference relative to the largest output."""
UNCOMPARED = ("resource", "variant", "string")


def probe_codes(space: InputSpace, given: Codes | None = None, *, frames: bool = False, seed: int = 0) -> Codes:
    """Codes to compare on.

    Args:
        space: the input space.
        given: (n, *sample_shape) or (n, steps, *sample_shape), the user's data; None without.
        frames: a model with state; inputs are streams of `STEPS` steps.
        seed: of the random codes.

    Returns:
        (k, *sample_shape), or (k, STEPS, *sample_shape).
    """
    shape = (STEPS, *space.sample_shape) if frames else space.sample_shape
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(space.low, space.high + space.is_grid, (RANDOM, *shape))
    flat = np.arange(int(np.prod(shape))).reshape(shape) % 2
    corners = np.stack([np.zeros(shape), np.ones(shape), flat, 1 - flat]) * (space.high - space.low) + space.low
    parts = [space.clip(np.floor(drawn) if space.is_grid else drawn), space.clip(corners)]
    if given is not None and len(given):
        wanted = given[:GIVEN, :STEPS] if frames else given[:GIVEN]
        if wanted.shape[1:] == shape:
            parts.append(space.clip(wanted))
    return np.concatenate(parts)


def check_exactness(graph: LiftedGraph, handle: ModelHandle, inputs: NDArray[np.generic]) -> Exactness:
    """Compare the lifted graph with the runtime.

    Args:
        graph: of the profile of the runtime.
        handle: the same file in the runtime.
        inputs: (n, *sample_shape) as the device takes them, or (n, steps, *sample_shape) where the handle is stateful.

    Returns:
        the record, with the first operator that differs.

    Raises:
        OracleError: the runtime died of the model itself.
    """
    ours, theirs = _ours(graph, inputs, handle.stateful), _theirs(handle, inputs)
    tolerance = FLOAT_TOLERANCE if _computes_in_float(graph.model) else 0.0
    wrong = differing(ours, theirs, tolerance)
    first = first_difference(graph, handle, inputs, tolerance) if wrong.any() else None
    return Exactness(
        lifted=True,
        profile=graph.profile.name,
        inputs=len(inputs),
        differing=int(wrong.sum()),
        tolerance=tolerance,
        first=first,
    )


def differing(ours: NDArray[np.generic], theirs: NDArray[np.generic], tolerance: float = 0.0) -> NDArray[np.bool_]:
    """(n,) True where any element of a row differs by more than the tolerance times the largest value of `theirs`.

    Not-a-number in either counts as a difference.
    """
    gaps = _gaps(ours, theirs)
    allowed = tolerance * float(np.abs(theirs.astype(np.float64)).max(initial=0))
    within: NDArray[np.bool_] = np.less_equal(gaps.max(axis=1, initial=0), allowed)
    return np.logical_not(within)


def _gaps(ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> NDArray[np.float64]:
    rows = len(theirs)
    gaps: NDArray[np.float64] = np.abs(
        ours.reshape(rows, -1).astype(np.float64) - theirs.reshape(rows, -1).astype(np.float64)
    )
    return gaps


def first_difference(
    graph: LiftedGraph, handle: ModelHandle, inputs: NDArray[np.generic], tolerance: float = 0.0
) -> Difference | None:
    """The first operator whose output is not the runtime's, found by cutting the model at each.

    Args:
        graph: the lifted graph.
        handle: the file in the runtime.
        inputs: see `check_exactness`; of streams only the first step counts.
    """
    inputs = inputs[:, :1] if handle.stateful else inputs
    main = graph.model.main
    wanted = [
        (op, index) for op in main.operators for index in op.outputs if main.tensors[index].dtype not in UNCOMPARED
    ]
    ours = _intermediate(graph, inputs[:, 0] if handle.stateful else inputs, [index for _, index in wanted])
    for op, index in wanted:
        try:
            cut = handle.pool.open(cut_model(graph.model, index), stateful=handle.stateful)
            theirs = _theirs(cut, inputs)
        except OracleError:
            continue  # the runtime may refuse a cut that it does not refuse as a whole
        wrong = differing(ours[index], theirs, tolerance)
        if wrong.any():
            largest = float(np.nan_to_num(_gaps(ours[index], theirs), nan=np.inf, posinf=1e38).max())
            return Difference(operator=op.index, name=op.label, tensor=index, inputs=int(wrong.sum()), largest=largest)
    return None


@torch.no_grad()
def _intermediate(graph: LiftedGraph, inputs: NDArray[np.generic], wanted: list[int]) -> dict[int, NDArray[np.generic]]:
    """Values of tensors of the main subgraph, one row an input."""
    values = graph.run(graph.as_input(inputs), graph.initial_state(), tuple(wanted))[1]
    return {index: value.expand(len(inputs), *value.shape[1:]).numpy() for index, value in values.items()}


@torch.no_grad()
def _ours(graph: LiftedGraph, inputs: NDArray[np.generic], stateful: bool) -> NDArray[np.generic]:
    return graph.sequence(graph.as_input(inputs)).numpy() if stateful else graph.predict(inputs)


def _theirs(handle: ModelHandle, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
    return handle.run_sequences(inputs) if handle.stateful else handle.run(inputs)


def _computes_in_float(model: Model) -> bool:
    """No operator gives an integer code: sums are in floating point throughout."""
    made = (model.main.tensors[index].dtype for op in model.main.operators for index in op.outputs)
    return not any(dtype in ("int8", "uint8", "int16") for dtype in made)
