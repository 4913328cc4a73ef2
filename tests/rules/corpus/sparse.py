"""A dense layer whose weights are stored sparsely; our writer refuses those, so the tables are written here."""

from __future__ import annotations

import numpy as np

from rules.corpus.one_op import DENSE
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.serialize import serialize
from tinymlsec.target.tflite.writer import _model


def sparse_dense() -> bytes:
    """The layer of `one_op.DENSE` with half of each row of weights left out, in compressed rows."""
    values = _model(read_model(DENSE.file()))
    tensor = values["subgraphs"][0]["tensors"][1]
    rows, columns = tensor["shape"]
    kept = np.arange(0, columns, 2)
    weights = np.frombuffer(values["buffers"][tensor["buffer"]]["data"], np.float32).reshape(rows, columns)
    values["buffers"][tensor["buffer"]]["data"] = weights[:, kept].tobytes()
    segments, indices = np.arange(rows + 1) * len(kept), np.tile(kept, rows)
    tensor["sparsity"] = {
        "traversal_order": [0, 1],
        "dim_metadata": [
            {"format": 0, "dense_size": rows},
            {
                "format": 1,
                "array_segments_type": 1,
                "array_segments": {"values": segments},
                "array_segments_table": "Int32Vector",
                "array_indices_type": 1,
                "array_indices": {"values": indices},
                "array_indices_table": "Int32Vector",
            },
        ],
    }
    return serialize("Model", values)
