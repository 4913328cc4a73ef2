"""What names of symbols and texts in flash tell: which runtime, which kernels, where the model and the arena are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from tinymlsec.emulate.foreign.finder.memory import Memory
from tinymlsec.target.tflite.schema import enum_names

MAX_FOUND = 64
"""Most names or texts that are kept of one kind."""
MAX_TEXT = 300
MAX_SYMBOLS = 200_000

ROLES: Mapping[str, re.Pattern[str]] = {
    "interpreter": re.compile(r"MicroInterpreter(?:Graph)?\d+(?:Invoke|AllocateTensors|InvokeSubgraph)"),
    "layer": re.compile(r"^_ZN6tflite\w*(?:Eval|Invoke)\w*P13TfLiteContextP10TfLiteNode"),
    "reference kernel": re.compile(r"21reference_integer_ops|13reference_ops"),
    "CMSIS-NN kernel": re.compile(r"^arm_(?:convolve|depthwise|fully_connected|nn_|avgpool|max_pool|softmax|element)"),
    "model": re.compile(r"(?:g_model|model_data|_tflite|model_bytes)E?$"),
    "arena": re.compile(r"(?:tensor_?arena|g_arena|arena_buf(?:fer)?)E?$", re.IGNORECASE),
}
"""Names that the public sources of TensorFlow Lite Micro and CMSIS-NN give their functions, and users their data."""

_FOLDER = b"/kernels/"
_NOT_PRINTED = re.compile(rb"[^\x21-\x7e]")
_WORDS = re.compile(rb"[A-Z][A-Z0-9_]{2,47}\x00")
_OPERATORS = frozenset(enum_names("BuiltinOperator"))


@dataclass(frozen=True)
class NamedPlace:
    """A symbol with a role."""

    role: str
    name: str
    address: int


@dataclass(frozen=True)
class Texts:
    """What texts in flash say."""

    operators: tuple[str, ...]
    """Names of operators, in order of the alphabet; a runtime holds them all, whatever its model uses."""
    paths: tuple[str, ...]
    """Source files of kernels, from messages of failed checks."""

    @property
    def kernels(self) -> str:
        """Which kernels the paths speak of: CMSIS-NN, reference, or nothing."""
        if any("cmsis_nn" in path or "cmsis-nn" in path for path in self.paths):
            return "CMSIS-NN"
        return "reference" if self.paths else ""


def roles_of(symbols: Mapping[str, int] | Iterable[tuple[str, int]]) -> tuple[NamedPlace, ...]:
    """Symbols that play a role in the runtime.

    Args:
        symbols: name and address.
    """
    pairs = list(symbols.items() if isinstance(symbols, Mapping) else symbols)[:MAX_SYMBOLS]
    found: list[NamedPlace] = []
    for role, pattern in ROLES.items():
        hits = (NamedPlace(role, name, address) for name, address in pairs if pattern.search(name[:MAX_TEXT]))
        found += sorted(hits, key=lambda place: (place.address, place.name))[:MAX_FOUND]
    return tuple(found)


def texts_in(memory: Memory) -> Texts:
    """Names of operators and paths of kernels in flash."""
    paths: set[str] = set()
    operators: set[str] = set()
    for block in memory.flash:
        paths |= set(islice(_paths(block.data), MAX_FOUND))
        words = (m.group()[:-1].decode("ascii") for m in _WORDS.finditer(block.data))
        operators |= {word for word in words if word in _OPERATORS}
    return Texts(tuple(sorted(operators)), tuple(sorted(paths))[:MAX_FOUND])


def _paths(data: bytes) -> Iterator[str]:
    """Texts around every mention of the folder of kernels."""
    at = data.find(_FOLDER)
    while at >= 0:
        before = _NOT_PRINTED.split(data[max(at - MAX_TEXT // 2, 0) : at])[-1]
        after = _NOT_PRINTED.split(data[at : at + MAX_TEXT // 2], maxsplit=1)[0]
        yield (before + after).decode("ascii")
        at = data.find(_FOLDER, at + 1)
