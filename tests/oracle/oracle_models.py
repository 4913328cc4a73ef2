"""Small models for the oracle's tests, built with our own writer, and the one that the runtime's package brings."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tinymlsec.target.tflite.graph import Buffer, Model, Opcode, Operator, Subgraph, Tensor
from tinymlsec.target.tflite.writer import write_model

CODES = {"ADD": 0, "RELU": 19, "WHILE": 119, "VAR_HANDLE": 142, "READ_VARIABLE": 143, "ASSIGN_VARIABLE": 144}


def model(*subgraphs: Subgraph, buffers: tuple[bytes, ...] = ()) -> bytes:
    """A file of these subgraphs; operators name their code by its place in CODES."""
    opcodes = tuple(Opcode(code, name, deprecated_builtin=min(code, 127)) for name, code in CODES.items())
    data = tuple(Buffer(k, item) for k, item in enumerate((b"", *buffers)))
    return write_model(Model(3, "oracle test", opcodes, subgraphs, data))


def tensor(index: int, shape: tuple[int, ...], dtype: str = "float32", buffer: int = 0) -> Tensor:
    return Tensor(index, f"t{index}", shape, dtype, buffer)


def operator(
    index: int, name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **options: int | str
) -> Operator:
    kinds = {"ADD": "AddOptions", "WHILE": "WhileOptions", "VAR_HANDLE": "VarHandleOptions"}
    kind = kinds.get(name, "NONE")
    return Operator(index, list(CODES).index(name), name, inputs, outputs, kind, options)


def relu(*shape: int) -> bytes:
    """One float32 input, one output of the same shape."""
    graph = Subgraph(0, "main", (tensor(0, shape), tensor(1, shape)), (operator(0, "RELU", (0,), (1,)),), (0,), (1,))
    return model(graph)


def sum_and_relu(*shape: int) -> bytes:
    """Inputs a, b; outputs a + b and max(a, 0)."""
    tensors = tuple(tensor(k, shape) for k in range(4))
    steps = (operator(0, "ADD", (0, 1), (2,)), operator(1, "RELU", (0,), (3,)))
    return model(Subgraph(0, "main", tensors, steps, (0, 1), (2, 3)))


def accumulator() -> bytes:
    """Keeps the sum of all inputs since the last reset in a resource variable."""
    tensors = (tensor(0, (1, 2)), tensor(1, (), "resource"), tensor(2, (1, 2)), tensor(3, (1, 2)))
    steps = (
        operator(0, "VAR_HANDLE", (), (1,), container="", shared_name="sum"),
        operator(1, "READ_VARIABLE", (1,), (2,)),
        operator(2, "ADD", (0, 2), (3,)),
        operator(3, "ASSIGN_VARIABLE", (1, 3), ()),
    )
    return model(Subgraph(0, "main", tensors, steps, (0,), (3,)))


def endless() -> bytes:
    """A WHILE loop that runs as long as its input is true, and nothing changes it: it ends only for false."""
    main = Subgraph(
        0,
        "main",
        (tensor(0, (1,), "bool"), tensor(1, (1,), "bool")),
        (operator(0, "WHILE", (0,), (1,), cond_subgraph_index=1, body_subgraph_index=2),),
        (0,),
        (1,),
    )
    same = (tensor(0, (1,), "bool"),)
    return model(main, Subgraph(1, "cond", same, (), (0,), (0,)), Subgraph(2, "body", same, (), (0,), (0,)))


def sine() -> bytes:
    """The float sine model in the runtime's package."""
    spec = find_spec("tflite_micro")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "python/tflite_micro/sine_float.tflite").read_bytes()


def mutated(data: bytes, seed: int, count: int = 3) -> bytes:
    """The file with ``count`` bytes changed."""
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    for _ in range(count):
        changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)
