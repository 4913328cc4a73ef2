"""Operators as C: one file a family. Each file's LOWER lists what it covers; this module only gathers them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tinymlsec.emulate.codegen.lowering import Lower, Lowered, Place
from tinymlsec.errors import TinymlsecError


@cache
def lower_table() -> dict[str, Lower]:
    """All functions by operator name, from every module of this package that has a LOWER."""
    found: dict[str, Lower] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda i: i.name):
        found |= getattr(importlib.import_module(f"{__name__}.{info.name}"), "LOWER", {})
    return found


def lower(place: Place) -> Lowered:
    """The C of an operator, whatever the file says about it.

    Raises:
        UnsupportedModelError: no family covers it; names the operator, its types and what still works. Also where
            tensors are missing or contradict each other.
    """
    function = lower_table().get(place.op.label)
    if function is None:
        raise place.unsupported("this operator is not covered")
    try:
        return function(place)
    except TinymlsecError:
        raise
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:
        words = " ".join(str(error).split())[:120]
        raise place.unsupported(f"its tensors and options do not fit each other ({words})") from error
