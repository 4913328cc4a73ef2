"""PROV: files that say too little of their origin, or too much of their makers."""

from __future__ import annotations

import io
import zipfile
from functools import cache

import numpy as np

from rules.corpus.base import PROVENANCE, Case, buffer_offset, constant_offset, graph
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.layout import used_bytes

PLACE = len(PROVENANCE) + 1
"""Buffer of the first further metadata entry."""


def _relu(builder: GraphBuilder, name: str = "") -> bytes:
    x = builder.input((1, 4), "int8", scale=0.5)
    builder.output(builder.op("RELU", [x], output_name=name))
    return builder.tobytes()


def _noted(content: bytes, name: str = "notes") -> bytes:
    builder = graph()
    builder.metadata(name, content)
    return _relu(builder)


def _text(rule: str, name: str, content: bytes, wanted: bytes) -> Case:
    bad = _noted(content)
    assert bad.count(wanted) == 1
    return Case(rule, name, _noted(b"nothing"), bad, bad.index(wanted))


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    return stream.getvalue()


def _compared(constant: bool) -> bytes:
    builder = graph()
    x = builder.input((1, 4), "int8", scale=0.5)
    other = builder.constant(np.array([17], np.int8), scale=0.5) if constant else builder.input((1,), "int8", scale=0.5)
    builder.output(builder.op("GREATER", [x, other], dtype="bool", shape=(1, 4), options={}))
    return builder.tobytes()


@cache
def cases() -> list[Case]:
    """See the package."""
    good, bare = _relu(graph()), _relu(GraphBuilder())
    described, named = _relu(graph("wake word of product X")), _relu(graph(), "encoder/dense/kernel")
    tool, labels = _noted(b"2.15.0\0\0", "min_runtime_version"), _noted(b"yes\nno\nunknown\n", "labels")
    threshold = _compared(True)
    zipped = good + _zip()
    return [
        Case("PROV-01", "no metadata", good, bare, int.from_bytes(bare[:4], "little")),
        Case("PROV-02", "a description", good, described, described.index(b"wake word")),
        _text("PROV-03", "a home folder", b"from /home/ada/kws/train.py", b"/home/ada"),
        _text("PROV-03", "a folder of Windows", rb"C:\Users\bob\data\m.h5", rb"C:\Users"),
        Case("PROV-04", "labels in metadata", good, labels, buffer_offset(labels, PLACE)),
        Case("PROV-04", "labels in an archive", good, zipped, used_bytes(zipped)),
        Case("PROV-05", "a layer", good, named, named.index(b"encoder/")),
        Case("PROV-06", "a converter's version", good, tool, buffer_offset(tool, PLACE)),
        _text("PROV-07", "a key for a service", b"api_key=supersecretvalue1", b"api_key="),
        _text("PROV-08", "an address of mail", b"made by ada.byron@example.org for us", b"ada.byron@"),
        Case("PROV-09", "a constant", _compared(False), threshold, constant_offset(threshold, 1)),
        _text("PROV-09", "a text", b"wake_threshold: 0.82", b"wake_threshold"),
    ]
