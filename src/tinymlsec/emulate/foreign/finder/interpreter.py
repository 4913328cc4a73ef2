"""Finds objects that point at what was found already: the interpreter holds the model's address, the resolver's too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinymlsec.emulate.foreign.finder.blob import Blob
from tinymlsec.emulate.foreign.finder.memory import WORD, Memory
from tinymlsec.emulate.foreign.finder.registrations import RegistrationTable

RESOLVER_HEAD = 64
"""A resolver's table lies at most so far after the first byte of the resolver."""
MAX_HOLDERS = 32


@dataclass(frozen=True)
class Interpreter:
    """An object in RAM that starts with the model's address and the resolver's, as MicroInterpreter does."""

    address: int
    model: int
    resolver: int


def find_interpreter(memory: Memory, blob: Blob, table: RegistrationTable | None) -> Interpreter | None:
    """The interpreter, or None.

    The runtime keeps a pointer to the model's root table (which lies inside of the blob) followed by a reference to
    the resolver, whose first bytes lie just before the table of registrations.

    Args:
        memory: RAM as it is after start-up.
        blob: the model.
        table: its registrations; without them nothing tells the interpreter from other pointers to the model.
    """
    if table is None:
        return None
    for block in memory.ram:
        words = block.words
        if len(words) < 2:
            continue
        model = (words[:-1] >= blob.address) & (words[:-1] < blob.end)
        resolver = (words[1:] <= table.address) & (words[1:] >= max(table.address - RESOLVER_HEAD, 0))
        for place in np.flatnonzero(model & resolver)[:MAX_HOLDERS].tolist():
            at = block.first_word + WORD * place
            return Interpreter(at, int(words[place]), int(words[place + 1]))
    return None
