"""Good and bad files, built by code, for every rule about models: one module a family, each with `cases()`.

A family module of the name of the family in lower case (`struct_.py` for STRUCT) has one function:

    @cache
    def cases() -> list[Case]: ...

`tests/rules/test_corpus.py` runs all of them: the good file has no finding of the rule, the bad one has findings of
this rule alone (no other id of any family), the first of them at `offset`.
"""

from __future__ import annotations

import importlib
import pkgutil

from rules.corpus.base import Case


def all_cases() -> list[Case]:
    """Every case of every family module in this folder."""
    found: list[Case] = []
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        module = importlib.import_module(f"rules.corpus.{info.name}")
        if hasattr(module, "cases"):
            found += module.cases()
    return found
