"""Shapes of single tensors: rank, number of elements, bytes of constants, sparsity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from tinymlsec.records import Severity
from tinymlsec.rules._compressed import compressed_tensors
from tinymlsec.rules._places import tensor_words
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._sites import tensor_location
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.graph import Subgraph, Tensor
from tinymlsec.target.tflite.schema import BITS, byte_size

MAX_RANK = 8
"""Dimensions that any runtime's kernels take."""
MAX_BYTES = 2**31 - 1
RANK_CVES = ("CVE-2021-29605", "CVE-2022-23558")
SPARSE_CVES = ("CVE-2022-23560", "CVE-2022-23561")


@dataclass(frozen=True)
class TensorFaults:
    """Hits by rule, and the tensors that they are about: what follows from those is not said again."""

    hits: dict[str, list[Hit]]
    tensors: frozenset[tuple[int, int]]


def tensor_faults(file: ModelFile) -> TensorFaults:
    """Looks at every tensor once."""
    if "shape.tensors" not in file.memo:
        hits: dict[str, list[Hit]] = {}
        bad = set()
        for graph in file.model.subgraphs if file.model is not None else ():
            for tensor in graph.tensors:
                for rule_id, hit in _faults(file, graph, tensor):
                    hits.setdefault(rule_id, []).append(hit)
                    bad.add((graph.index, tensor.index))
        file.memo["shape.tensors"] = TensorFaults(hits, frozenset(bad))
    found: TensorFaults = file.memo["shape.tensors"]
    return found


def _faults(file: ModelFile, graph: Subgraph, tensor: Tensor) -> Iterator[tuple[str, Hit]]:
    assert file.model is not None
    place, words = tensor_location(file.model, graph, tensor), tensor_words(tensor)
    words = words[:1].upper() + words[1:]
    most = MAX_RANK if file.runtime is None else min(MAX_RANK, file.runtime.max_rank)
    if len(tensor.shape) > most:
        message = f"{words} has {len(tensor.shape)} dimensions; expected at most {most}."
        yield "SHAPE-04", relative(file, message, place, rule="SHAPE-04", cve=RANK_CVES, effect=Effect.WRITE)
        return
    elements = prod(size or 1 for size in tensor.shape)
    if elements * max(BITS.get(tensor.dtype, 8), 8) // 8 > MAX_BYTES:
        shape = f"{words} of shape {list(tensor.shape)}"
        message = f"{shape} has {elements:,} elements of {tensor.dtype}; expected below 2 GiB."
        yield "SHAPE-05", relative(file, message, place, rule="SHAPE-05", effect=Effect.WRITE)
        return
    if tensor.sparse:
        message = f"{words} is stored sparsely; expected dense values."
        yield "SHAPE-15", relative(file, message, place, rule="SHAPE-15", cve=SPARSE_CVES, effect=Effect.WRONG)
        return
    yield from _constant(file, graph, tensor, words)


def _constant(file: ModelFile, graph: Subgraph, tensor: Tensor, words: str) -> Iterator[tuple[str, Hit]]:
    assert file.model is not None
    buffer = file.model.buffers[tensor.buffer]
    held, expected = len(buffer.data), byte_size(tensor.dtype, prod(tensor.shape))
    if held == 0 or expected is None or held == expected or tensor.is_variable:
        return
    if (graph.index, tensor.index) in compressed_tensors(file):
        return
    message = f"{words}, {tensor.dtype}{list(tensor.shape)}, has {held:,} bytes; expected {expected:,}."
    offset = tensor.offset if buffer.offset is None else buffer.offset
    place = tensor_location(file.model, graph, tensor).model_copy(update={"file_offset": offset})
    short = held < expected
    yield "SHAPE-06", relative(
        file, message, place, rule="SHAPE-06",
        effect=Effect.READ if short else Effect.WRONG, severity=None if short else Severity.LOW,
    )  # fmt: skip
