"""RES: models that ask for more than there is."""

from __future__ import annotations

from functools import cache

import flatbuffers
import numpy as np

from rules.corpus.base import PROVENANCE, Case, graph, op_offset, tensor_offset
from rules.corpus.one_op import Const, Feed, OneOp, out, weights
from rules.corpus.structure import _holder
from tinymlsec.rules._metadata import COMPRESSION
from tinymlsec.target.tflite.reader import read_model

SMALL, TINY = "atsamd21g18a", "atmega328p"


def relu(*shape: int) -> OneOp:
    """An activation over a tensor of that shape."""
    return OneOp("RELU", (Feed(shape),), (out(shape),))


def chain(operators: int) -> bytes:
    """As many activations, one behind the other."""
    builder = graph()
    x = builder.input((1, 2), "float32")
    for _ in range(operators):
        x = builder.op("RELU", [x], shape=(1, 2))
    builder.output(x)
    return builder.tobytes()


def dense(rows: int, columns: int) -> bytes:
    """A layer with that many weights."""
    parts = (Feed((1, columns)), Const(weights(rows, columns)), Const(weights(rows)))
    return OneOp("FULLY_CONNECTED", parts, (out((1, rows)),), {}).file()


def wide(window: int) -> bytes:
    """A convolution of 64 channels over 512 x 512 pixels."""
    parts = (
        Feed((1, 512, 512, 1), "int8", 0.5),
        Const(weights(64, window, window, 1, dtype="int8"), scale=0.1),
        Const(np.arange(64) - 30, "int32", 0.05),
    )
    options = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    return OneOp("CONV_2D", parts, (out((1, 512, 512, 64), "int8", 0.5),), options).file()


def packed(rows: int, columns: int) -> bytes:
    """A layer whose int8 weights are stored in one bit each, with a table of two values."""
    builder = graph()
    made = flatbuffers.Builder(64)
    made.StartObject(3)
    made.PrependInt32Slot(0, 1, 0)
    made.PrependUint32Slot(1, len(PROVENANCE) + 1, 0)
    made.PrependUint8Slot(2, 1, 0)
    graph_ = _holder(made, made.EndObject(), slots=1, slot=0)
    made.Finish(_holder(made, graph_, slots=2, slot=1))
    builder._file.buffer(bytes([0x81, 0x7F]))
    builder.metadata(COMPRESSION, bytes(made.Output()))
    x = builder.input((1, columns), "int8", 0.5)
    bits = np.random.default_rng(3).integers(-128, 127, rows * columns // 8).astype(np.int8)
    w = builder.constant(bits, 0.25)
    builder._replace(w, shape=(rows, columns))
    b = builder.constant((np.arange(rows) - 3).astype(np.int32), 0.125)
    builder.output(builder.op("FULLY_CONNECTED", [x, w, b], shape=(1, rows), scale=0.5))
    return builder.tobytes()


@cache
def cases() -> list[Case]:
    """Good and bad files of the family."""
    large, many, slow, unpacked = relu(1, 200, 200).file(), chain(2001), wide(64), packed(512, 128)
    huge = relu(1, 4096, 4096).file()
    return [
        Case("RES-01", "80 KB of 32", relu(1, 20, 20).file(), large, op_offset(large), device=SMALL),
        Case("RES-01", "128 MiB without a device", relu(1, 20, 20).file(), huge, op_offset(huge)),
        Case("RES-02", "48 KB of 32", dense(16, 16), dense(96, 128), 0, device=TINY),
        Case("RES-03", "2001", chain(20), many, read_model(many).main.offset),
        Case("RES-04", "64 x 64 windows", wide(8), slow, op_offset(slow)),
        Case("RES-05", "64 KB out of 8", packed(16, 128), unpacked, tensor_offset(unpacked, 1), device=SMALL),
    ]
