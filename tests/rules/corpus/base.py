"""What builders of good and bad files share.

Start a model with `graph()`: it carries the metadata (version, rollback counter, digest) without which PROV-01 has
something to say about every file. Give tensors no telling names (the builder's own are fine), else PROV-05 speaks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

from tinymlsec.rules.runtime import DEFAULT_RUNTIME
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.layout import Span, layout
from tinymlsec.target.tflite.reader import read_model

PROVENANCE = {
    "model_version": b"1.4.0",
    "rollback_counter": b"7",
    "signature_ed25519": bytes(range(3, 131, 2)),
}
"""Metadata of a file that says where it comes from; any 64 bytes do as a signature here, nobody verifies it."""


@dataclass(frozen=True)
class Case:
    """A pair of files for one rule."""

    rule: str
    name: str
    """What is wrong, in a few words; with the rule's id the name of the test."""
    good: bytes
    bad: bytes
    offset: int | None
    """File offset of the first finding in the bad file; None where the finding has none."""
    cve: str = ""
    """CVE ids, separated by blanks, that the finding must name; empty: not looked at."""
    device: str | None = None
    """Id of a bundled device that findings are relative to."""
    runtime: str = DEFAULT_RUNTIME
    linked: frozenset[str] | None = None
    count: int | None = 1
    """How many findings the bad file has; None: at least one."""

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.rule} {self.name}"


def graph(description: str = "") -> GraphBuilder:
    """A builder of a model whose provenance is in order."""
    builder = GraphBuilder(description)
    for name, content in PROVENANCE.items():
        builder.metadata(name, content)
    return builder


def op_offset(data: bytes, op: int = 0, subgraph: int = 0) -> int:
    """File offset of an operator's table."""
    offset = read_model(data).subgraphs[subgraph].operators[op].offset
    assert offset is not None
    return offset


def tensor_offset(data: bytes, tensor: int, subgraph: int = 0) -> int:
    """File offset of a tensor's table."""
    offset = read_model(data).subgraphs[subgraph].tensors[tensor].offset
    assert offset is not None
    return offset


def buffer_offset(data: bytes, buffer: int, within: int = 0) -> int:
    """File offset of a byte of a buffer."""
    offset = read_model(data).buffers[buffer].offset
    assert offset is not None
    return offset + within


def constant_offset(data: bytes, tensor: int, subgraph: int = 0) -> int:
    """File offset of the first byte of a constant tensor."""
    return buffer_offset(data, read_model(data).subgraphs[subgraph].tensors[tensor].buffer)


@cache
def spans(data: bytes) -> dict[tuple[str, str], list[Span]]:
    """Where each field of a file lies, by (owner, kind), each list in file order."""
    found: dict[tuple[str, str], list[Span]] = {}
    for span in sorted(layout(data), key=lambda s: s.start):
        found.setdefault((span.owner, span.kind), []).append(span)
    return found


def patched(data: bytes, at: int, code: str, *values: float) -> bytes:
    """The file with numbers overwritten. `code` is a `struct` code such as ``I``."""
    changed = bytearray(data)
    struct.pack_into(f"<{code}", changed, at, *values)
    return bytes(changed)


def patched_span(data: bytes, owner: str, kind: str, code: str, value: float, *, at: int = 0, which: int = 0) -> bytes:
    """The file with one number overwritten, `at` bytes into a span of `layout`."""
    return patched(data, spans(data)[owner, kind][which].start + at, code, value)
