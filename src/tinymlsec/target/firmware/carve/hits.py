"""What a search finds: models, and the compressed streams that it went through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from tinymlsec.target.tflite.graph import Model

Kind = Literal["tflite", "pte", "onnx"]


@dataclass(frozen=True)
class Hit:
    """A model file in a run of bytes."""

    kind: Kind
    at: int
    """Of its first byte, or of the compressed stream's, in the bytes that were searched."""
    stored: int
    """Bytes it takes there; of the stream where it is compressed."""
    data: bytes = field(repr=False)
    """The model file, byte for byte."""
    encodings: tuple[str, ...] = ()
    """How it is hidden, the outermost first, such as ``xor:5a`` or ``gzip``; empty where it lies plain."""
    inside: int = 0
    """Of its first byte in the unpacked bytes of the innermost stream."""
    model: Model | None = field(default=None, repr=False)
    """The graph, of a .tflite file."""
    problems: tuple[str, ...] = ()
    """What is inconsistent in its header, of a .pte file."""

    def within(self, at: int, stored: int, encoding: str) -> Hit:
        """The same, seen from the bytes that hold the stream which it was found in."""
        return replace(self, at=at, stored=stored, encodings=(encoding, *self.encodings), inside=self.at)


@dataclass(frozen=True)
class Opening:
    """A place where a stream without a header may begin, which would begin with a model."""

    encoding: str
    at: int
    unpack: Callable[[int], tuple[bytes, int]] = field(repr=False)
    """Takes the most bytes to unpack, gives them and how many bytes of the stream they took."""


@dataclass(frozen=True)
class Stream:
    """A compressed stream that was unpacked."""

    encoding: str
    at: int
    stored: int
    """Bytes of the stream that were read; 0 where the format does not tell."""
    data: bytes = field(repr=False)
    """Unpacked bytes, up to the bound."""
    whole: bool = True
    """False where the bound, a truncation or a damage ended it."""
