"""Lifted operators: one file a family. Each file's SUPPORT lists what it covers; this module only gathers them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tinymlsec.lift.op import LiftedOp, Site, Support


@cache
def support_table() -> dict[str, tuple[Support, ...]]:
    """All rows by operator name, from every module of this package that has a SUPPORT."""
    rows: dict[str, tuple[Support, ...]] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for row in getattr(module, "SUPPORT", ()):
            rows[row.op] = (*rows.get(row.op, ()), row)
    return rows


def lookup(site: Site) -> Support:
    """The row for an operator at its place.

    Raises:
        UnsupportedModelError: no row covers it; names the operator, its types and what still works.
    """
    rows = support_table().get(site.op.label, ())
    for row in rows:
        if row.accepts(site):
            return row
    types = ", ".join(site.graph.tensors[t].dtype for t in site.op.inputs if t >= 0)
    raise site.unsupported(f"types {types}" if rows else "this operator is not covered")


def build(site: Site) -> LiftedOp:
    """The lifted operator for a place in a graph, whatever the file says about it.

    Raises:
        UnsupportedModelError: see `lookup`; also where tensors are missing or contradict each other.
    """
    try:
        return lookup(site).build(site)
    except (LookupError, ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        words = " ".join(str(error).split())[:120]
        raise site.unsupported(f"its tensors and options do not fit each other ({words})") from error
