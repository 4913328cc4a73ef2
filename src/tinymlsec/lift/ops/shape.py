"""SHAPE: the shape of a tensor as a tensor. Its values do not depend on the samples, so there is one row for all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinymlsec.lift.op import LiftedOp, Site, State, Support


class Shape(LiftedOp):
    """The file's shape of the input, without the axis of samples."""

    def forward(self, inputs: Sequence[Tensor], state: State) -> list[Tensor]:
        """(n, *shape) to (1, number of dimensions), int64."""
        return [torch.tensor([list(inputs[0].shape[1:])], dtype=torch.int64)]


def _build(site: Site) -> LiftedOp:
    return Shape()


def _row(kind: str) -> Support:
    def accepts(site: Site) -> bool:
        return site.input(0).dtype == kind and site.output().dtype == "int32"

    return Support("SHAPE", f"{kind} -> int32", _build, accepts, "any number of dimensions")


SUPPORT = tuple(_row(kind) for kind in ("int8", "uint8", "int16", "int32", "float32"))
