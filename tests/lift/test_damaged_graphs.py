"""Graphs that contradict themselves: the lift refuses them in words, or computes what can be computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.conformance import cases_float, cases_shapes, cases_state  # noqa: E402
from tinymlsec.errors import TinymlsecError  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.target.tflite.graph import Model, Operator, Tensor  # noqa: E402

CASES = {**cases_shapes.CASES, **cases_float.CASES, **cases_state.CASES}
TYPES = ("int8", "int32", "float32", "int16", "bool", "int64", "uint8", "resource")
NUMBERS = (-5, -1, 0, 1, 2, 5, 200, 2**31 - 1)


def damaged_tensor(tensor: Tensor, rng: np.random.Generator) -> Tensor:
    """Another size, another rank or another type."""
    way = rng.integers(3)
    if way == 0 and tensor.shape:
        sizes = list(tensor.shape)
        sizes[int(rng.integers(len(sizes)))] = int(rng.choice([0, 2, 7, 100]))
        return replace(tensor, shape=tuple(sizes))
    if way == 1:
        return replace(tensor, shape=tensor.shape[1:] if rng.integers(2) else (1, *tensor.shape))
    return replace(tensor, dtype=TYPES[int(rng.integers(len(TYPES)))])


def damaged_operator(op: Operator, rng: np.random.Generator) -> Operator:
    """An input or output less, an input left out, or another number in its options."""
    way = rng.integers(4)
    if way == 0:
        return replace(op, inputs=op.inputs[:-1])
    if way == 1:
        return replace(op, outputs=op.outputs[:-1])
    if way == 2 and op.inputs:
        return replace(op, inputs=(-1, *op.inputs[1:]))
    changed = {key: int(rng.choice(NUMBERS)) if isinstance(v, int) else v for key, v in op.options.items()}
    return replace(op, options=changed)


def damaged(model: Model, rng: np.random.Generator) -> Model:
    main = model.main
    tensors, operators = list(main.tensors), list(main.operators)
    if rng.integers(2):
        place = int(rng.integers(len(tensors)))
        tensors[place] = damaged_tensor(tensors[place], rng)
    else:
        place = int(rng.integers(len(operators)))
        operators[place] = damaged_operator(operators[place], rng)
    main = replace(main, tensors=tuple(tensors), operators=tuple(operators))
    return replace(model, subgraphs=(main, *model.subgraphs[1:]))


def outcome(model: Model) -> str:
    """What happens: refused, refused by PyTorch, or computed."""
    try:
        graph = LiftedGraph(model)
    except TinymlsecError:
        return "refused"
    floating = graph.input.dtype in ("int8", "uint8", "int16", "float32")
    codes = torch.zeros(2, 1, *graph.input.shape, dtype=torch.float32 if floating else torch.int64)
    try:
        graph.sequence(codes)
    except RuntimeError:
        return "refused by PyTorch"
    return "computed"


@pytest.mark.parametrize("key", sorted(CASES), ids=lambda key: "-".join(key).replace(" ", ""))
def test_damage_ends_in_words(key: tuple[str, str]) -> None:
    rng = np.random.default_rng([len(key[0]), *key[1].encode()])
    seen = [outcome(damaged(CASES[key](rng).model, rng)) for _ in range(20)]
    assert "refused" in seen
    assert seen.count("refused by PyTorch") <= 3
