"""Tensors that TensorFlow Lite Micro keeps packed by look-up tables, by the file's compression metadata."""

from __future__ import annotations

from tinymlsec.errors import ModelFileError
from tinymlsec.rules._metadata import _TABLES, COMPRESSION, _entry
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.flatbuffer import Flatbuffer
from tinymlsec.target.tflite.graph import Model


def compressed_tensors(file: ModelFile) -> frozenset[tuple[int, int]]:
    """(subgraph, tensor) of every packed tensor; empty without metadata, or where STRUCT has something to say of it."""
    if "compressed" not in file.memo:
        file.memo["compressed"] = frozenset() if file.model is None else _compressed(file.model)
    found: frozenset[tuple[int, int]] = file.memo["compressed"]
    return found


def _compressed(model: Model) -> frozenset[tuple[int, int]]:
    buffer = _entry(model, COMPRESSION)
    if buffer is None:
        return frozenset()
    try:
        root = Flatbuffer(memoryview(bytes(buffer.data))).root(_TABLES["CompressionMetadata"])
        graphs = root.views("subgraphs", _TABLES["CompressedSubgraph"], len(model.subgraphs))
        tables = [view.views("lut_tensors", _TABLES["LutTensor"], len(model.buffers) + 1) for view in graphs]
        named = {(graph, int(view.value("tensor"))) for graph, views in enumerate(tables) for view in views}
    except ModelFileError:
        return frozenset()
    return frozenset((graph, tensor) for graph, tensor in named if 0 <= tensor < len(model.subgraphs[graph].tensors))
