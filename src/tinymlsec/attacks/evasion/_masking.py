"""Do the gradients mislead? Inputs that stood are attacked once more without them.

A network can look robust because its surrogate gradients point nowhere, not because there is nothing to find. Source:
Athalye, Carlini, Wagner, "Obfuscated gradients give a false sense of security", ICML 2018; Uesato et al., ICML 2018
(simultaneous perturbation as the attack that needs no gradient).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec._lazy import np, torch
from tinymlsec.attacks.evasion._controls import noisy_codes
from tinymlsec.attacks.evasion._pgd_search import Reach, pgd_search

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    from tinymlsec.attacks._white_box import Loss, WhiteBox
    from tinymlsec.attacks.evasion._pgd_search import Direction
    from tinymlsec.target.space import Codes

MASKED = 0.05
"""Share of inputs that stood with gradients and fall without, above which gradients count as masked."""


@dataclass(frozen=True)
class MaskingCheck:
    """What searches without gradients did to inputs that had stood."""

    rows: NDArray[np.intp]
    """(k,) inputs tried, as positions among those given."""
    codes: Codes
    """(k, ...) their final candidates."""
    by_differences: NDArray[np.bool_]
    """(k,) fell to measured slopes."""
    by_noise: NDArray[np.bool_]
    """(k,) fell to random noise."""

    @property
    def fell(self) -> NDArray[np.bool_]:
        """(k,) fell to either."""
        return self.by_differences | self.by_noise

    @property
    def masked(self) -> bool:
        """Gradients found less than what is there."""
        return bool(len(self.rows)) and float(self.fell.mean()) > MASKED


def check_masking(
    box: WhiteBox,
    x: Codes,
    labels: NDArray[np.int64],
    rng: Generator,
    *,
    reach: Reach,
    inputs: int,
    steps: int,
    draws: int,
) -> MaskingCheck:
    """Attack inputs that stood with measured slopes and with noise.

    Args:
        box: the lifted model.
        x: (n, ...) inputs that stood; may be empty.
        labels: (n,) correct decisions.
        rng: all randomness.
        reach: norm and size of the attack that they stood up to; noise is drawn in the box of that size.
        inputs: most inputs to try.
        steps: steps of the descent.
        draws: pairs of evaluations for each slope, and draws of noise for each step.
    """
    rows = np.sort(rng.permutation(len(x))[:inputs]).astype(np.intp)
    result = pgd_search(
        box, x[rows], labels[rows], rng, reach=reach, steps=steps, restarts=1, direction=measured(box, rng, draws)
    )
    codes, noisy = result.codes.copy(), np.zeros(len(rows), bool)
    for _ in range(draws if reach.norm == "linf" else 0):
        left = np.flatnonzero(~result.broken & ~noisy)
        if left.size == 0:
            break
        tried = noisy_codes(box.space, x[rows[left]], round(reach.size), rng)
        wrong = box.decide(tried) != labels[rows[left]]
        codes[left[wrong]], noisy[left[wrong]] = tried[wrong], True
    return MaskingCheck(rows, codes, result.broken, noisy)


def measured(box: WhiteBox, rng: Generator, draws: int) -> Direction:
    """Slopes of the loss over one input step, by simultaneous perturbation, in place of gradients."""

    def direction(codes: Tensor, labels: NDArray[np.int64], loss: Loss) -> Tensor:
        from tinymlsec.lift.gradients import spsa

        found = [torch.zeros_like(codes[:0])]
        for one, label in zip(codes, labels, strict=True):

            def values(batch: Tensor, label: np.int64 = label) -> Tensor:
                return box.values(batch, np.full(len(batch), label), loss)

            found.append(spsa(values, one[None], rng, step=box.space.step, draws=draws))
        return torch.cat(found)

    return direction
