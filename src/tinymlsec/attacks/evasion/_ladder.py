"""PGD at growing sizes: who has fallen at which, each fall confirmed on the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec._lazy import np
from tinymlsec.attacks.evasion._pgd_search import Reach, pgd_search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.attacks._white_box import WhiteBox
    from tinymlsec.attacks.evasion._drawn import Drawn
    from tinymlsec.attacks.evasion._pgd_search import Norm


class Ladder:
    """The attack in one norm at several sizes.

    A change that breaks an input at one size also lies within every larger one. So sizes grow, and only inputs that
    still stand are attacked again; accuracy over size then falls by construction, as it must.

    Args:
        box: the lifted model.
        drawn: inputs; its runtime confirms.
        norm: linf or l2.
    """

    def __init__(self, box: WhiteBox, drawn: Drawn, norm: Norm) -> None:
        self.box, self.drawn, self.norm = box, drawn, norm
        self.codes = drawn.x.copy()
        self.fell = np.full(len(drawn.x), np.inf)
        """(n,) size at which each input fell; infinite for those that stand."""
        self.passes = 0
        """Evaluations of the lifted model."""
        self.compared = self.disagreements = 0
        """Final points on which runtime and lifted graph were compared, and on which they decided differently."""

    def climb(
        self,
        sizes: Sequence[float],
        rng: Generator,
        *,
        steps: int,
        restarts: int,
        progress: Callable[[int, str], None],
    ) -> None:
        """Attack at every size, smallest first."""
        for size, stream in zip(sorted(sizes), rng.spawn(len(sizes)), strict=True):
            rows = np.flatnonzero(np.isinf(self.fell))
            result = pgd_search(
                self.box,
                self.drawn.x[rows],
                self.drawn.labels[rows],
                stream,
                reach=Reach(self.norm, size),
                steps=steps,
                restarts=restarts,
                progress=lambda count, size=size: progress(count, f"{self.norm}, {size:g} steps"),  # type: ignore[misc]
            )
            self.passes += int(result.passes.sum())
            self.record(rows, result.codes, result.broken, size)

    def record(
        self, rows: NDArray[np.intp], codes: NDArray[np.generic], lifted: NDArray[np.bool_], size: float
    ) -> None:
        """Ask the runtime for final points, and count as fallen what it decides wrongly."""
        wrong = self.drawn.wrong(codes, rows)
        self.compared += len(rows)
        self.disagreements += int((wrong != lifted).sum())
        self.codes[rows[wrong]] = codes[wrong]
        self.fell[rows[wrong]] = size

    def broken(self, size: float) -> NDArray[np.intp]:
        """Rows that fell at this size or below."""
        return np.flatnonzero(self.fell <= size)
