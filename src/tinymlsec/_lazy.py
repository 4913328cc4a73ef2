"""Heavy packages behind light names.

Attack and rule files are imported to list and explain them, which must not cost a tenth of a second of NumPy each time
`tinymlsec list` runs. They write ``from tinymlsec._lazy import np``: type checkers see NumPy itself, and the package is
imported when the first attribute is read. The same goes for PyTorch, which only the extra ``lift`` brings.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["np", "torch"]


class LazyModule:
    """Stands in for a module and imports it on the first attribute access."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)  # the second access costs a dictionary look-up
        return value


if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np = LazyModule("numpy")
    torch = LazyModule("torch")
