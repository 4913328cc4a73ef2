"""A model up to one of its tensors: what an intermediate layer gives, asked of any runtime."""

from __future__ import annotations

from dataclasses import replace

from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.writer import write_model


def cut_model(model: Model, tensor: int) -> bytes:
    """A file of the same model whose only output is a given tensor of the main subgraph."""
    main = replace(model.main, outputs=(tensor,))
    return write_model(replace(model, subgraphs=(main, *model.subgraphs[1:]), signatures=()))
