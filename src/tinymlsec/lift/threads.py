"""The one place where this package sets how PyTorch computes: one thread and deterministic algorithms, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic() -> Iterator[None]:
    """Within the block PyTorch uses one thread and only algorithms that give the same bits each time.

    Sums in another order are other sums, so the number of threads is part of a training recipe.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
