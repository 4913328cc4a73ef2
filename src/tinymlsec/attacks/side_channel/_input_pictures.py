"""Recovered inputs beside the true ones, as gray pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._input_scores import Guess, Rows
from tinymlsec.figures import SIDE, Picture, Pictures

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._input_recovery import Noisy

SHOWN = 3
"""Inputs of which pictures are made."""


def pictures_of(
    true: Rows, found: Rows, guess: Guess, shape: tuple[int, ...], noisy: Noisy
) -> tuple[Pictures, ...]:  # fmt: skip
    """True, recovered and guessed, for some inputs; none where an input has too few values for a picture.

    Args:
        true: (n, size) codes.
        found: (n, size) recovered.
        guess: without traces.
        shape: of the layer's input.
        noisy: for the caption.
    """
    if true.shape[1] < 4:
        return ()
    seen = np.concatenate([true[:SHOWN], found[:SHOWN]])
    low, high = float(seen.min()), float(max(seen.max(), seen.min() + 1))
    made = []
    for i in range(min(SHOWN, len(true))):
        exact = float((true[i] == found[i]).mean())
        for caption, codes in (
            (f"input {i + 1}", true[i]),
            (f"recovered, {exact:.0%} of the values exact", found[i]),
            ("guessed without traces", guess.mean),
        ):
            made.append(Picture.of(caption, arranged(codes, shape), low, high))
    plural = "trace" if noisy.traces == 1 else "traces"
    return (
        Pictures(
            title=f"Inputs recovered from {noisy.traces} {plural} at a ratio of {noisy.snr:g}", pictures=tuple(made),
            note="Codes of the first layer's input, the smallest black; channels are averaged.",
        ),
    )  # fmt: skip


def arranged(codes: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(h, w) at most 64 x 64: every k-th row and column where there are more; a row of values is folded."""
    values = codes.astype(np.float64)
    inner = [side for side in shape[1:] if side > 1]
    if len(inner) >= 2:
        image = values.reshape(*shape[1:3], -1).mean(2) if len(shape) == 4 else values.reshape(inner[0], -1)
    else:
        width = next(w for w in range(min(SIDE, len(values)), 0, -1) if len(values) % w == 0)
        image = values.reshape(-1, width)
    step = -(-max(image.shape) // SIDE)
    return image[::step, ::step]
