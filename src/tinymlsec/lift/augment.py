"""Random variants of training images: shifts and mirror images, on codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """Which variants of images (n, height, width, channels) training sees."""

    shift: int = 0
    """Largest shift in pixels, along both axes; what comes in from outside is empty."""
    shifted_share: float = 1.0
    """Share of the images that are shifted."""
    mirror: bool = False
    """Mirror half of the images left to right."""


def augmented(codes: Tensor, augment: Augment, empty: float, generator: torch.Generator) -> Tensor:
    """A random variant of every image.

    Args:
        codes: (n, height, width, channels).
        augment: which variants.
        empty: the code of an empty pixel.
        generator: of all random choices.

    Returns:
        The same shape.
    """
    if augment.mirror:
        turned = torch.rand(len(codes), generator=generator) < 0.5
        codes = torch.where(turned[:, None, None, None], codes.flip(2), codes)
    return _shifted(codes, augment, empty, generator) if augment.shift else codes


def _shifted(codes: Tensor, augment: Augment, empty: float, generator: torch.Generator) -> Tensor:
    n, height, width, _ = codes.shape
    most = augment.shift
    padded = torch.nn.functional.pad(codes, (0, 0, most, most, most, most), value=empty)
    moves = torch.randint(0, 2 * most + 1, (2, n), generator=generator)
    moves[:, torch.rand(n, generator=generator) >= augment.shifted_share] = most
    rows = moves[0][:, None] + torch.arange(height)
    columns = moves[1][:, None] + torch.arange(width)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
