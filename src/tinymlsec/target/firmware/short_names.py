"""A readable short form of C++ names without a demangler.

Only the path of a mangled name (Itanium C++ ABI, section 5.1: nested names, source names, constructors) is read; its
template arguments and parameters are skipped. What is not understood is given back as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SUFFIX = re.compile(r"\.(isra|part|constprop|cold|lto_priv|llvm|localalias)(\.\d+)*(?=\.|$)")
_LENGTH = re.compile(r"[0-9]{1,4}")
_QUALIFIER = re.compile(r"[rVKRO]*")
_SUBSTITUTION = re.compile(r"S[0-9A-Z]*_|S[a-z]|T[0-9]*_")
_OPERATOR = re.compile(r"(?:cv)?[a-z][a-zA-Z]")
_SPECIAL = {"C": "", "D": "~"}


_CACHED_LENGTH = 256
"""Longer names are taken apart each time, so that names of a hostile file do not fill the memory for good."""


def short_name(name: str) -> str:
    """Name of a function or variable without parameters and compiler suffixes.

    Examples: ``_ZN6tflite12_GLOBAL__N_18ConvEvalEP13TfLiteContext`` is ``tflite::(anonymous namespace)::ConvEval``;
    ``arm_nn_mat_mul.isra.0`` is ``arm_nn_mat_mul``.
    """
    return _kept(name) if len(name) <= _CACHED_LENGTH else _short(name)


def _short(name: str) -> str:
    plain = _SUFFIX.sub("", name) or name
    if not plain.startswith("_Z"):
        return plain
    parts = _path(plain)
    return "::".join(parts) if parts else name


_kept = lru_cache(maxsize=16_384)(_short)


def _path(name: str) -> list[str]:
    at = 2
    while name.startswith(("TV", "TI", "TS", "GV"), at):  # tables and guards of a class or variable
        at += 2
    if name.startswith("L", at):
        at += 1
    nested = name.startswith("N", at)
    if nested:
        at = _skip(_QUALIFIER, name, at + 1)
    parts: list[str] = []
    while at < len(name):
        found = _part(name, at, parts)
        if found is None:
            break
        at = found
        if not nested and parts != ["std"]:
            break
    return parts


def _part(name: str, at: int, parts: list[str]) -> int | None:
    """Reads one step of the path; returns where the next begins, None at the end of the path."""
    if length := _LENGTH.match(name, at):
        start = length.end()
        end = start + int(length.group())
        if end > len(name) or end == start:
            return None
        text = name[start:end]
        parts.append("(anonymous namespace)" if text.startswith("_GLOBAL__N") else text)
        return end
    if name.startswith("St", at):
        parts.append("std")
        return at + 2
    if name.startswith("I", at):
        return _skip_arguments(name, at)
    if name.startswith("L", at):
        return at + 1
    if name[at] in _SPECIAL and name[at + 1 : at + 2].isdigit() and parts:
        parts.append(_SPECIAL[name[at]] + parts[-1])
        return at + 2
    if operator := _OPERATOR.match(name, at):
        parts.append(f"operator {operator.group()}")
    return None


def _skip_arguments(name: str, at: int) -> int | None:
    """End of a bracket of template arguments that opens at `at`."""
    depth = 0
    while at < len(name):
        letter = name[at]
        if length := _LENGTH.match(name, at):
            at = length.end() + int(length.group())
            continue
        if letter == "L" and not name.startswith("_Z", at + 1):  # a literal: up to its E; may name an enumeration
            length = _LENGTH.match(name, at + 1)
            end = name.find("E", length.end() + int(length.group()) if length else at + 1)
            if end < 0:
                return None
            at = end + 1
            continue
        if letter in "ST":
            at = max(_skip(_SUBSTITUTION, name, at), at + 1)
            continue
        depth += (letter in "INLXJF") - (letter == "E")
        at += 1
        if depth <= 0:
            return at
    return None


def _skip(pattern: re.Pattern[str], name: str, at: int) -> int:
    match = pattern.match(name, at)
    return match.end() if match else at
