"""Flash and RAM images made by hand, with tables as an interpreter leaves them, and things that only look like them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinymlsec.emulate.foreign.finder.memory import Block, Memory
from tinymlsec.emulate.foreign.finder.tensors import RUNTIME_TYPES, tensor_bytes
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.reader import read_model

FLASH, RAM = 0x08000000, 0x20000000
FLASH_BYTES, RAM_BYTES = 64 * 1024, 32 * 1024
CODE = FLASH + 0x400
BLOB_AT = FLASH + 0x8010
REGISTRATIONS_AT = RAM + 0x104
TENSORS_AT = RAM + 0x2008
ARENA_AT = RAM + 0x4000
INTERPRETER_AT = RAM + 0x1C00


def small_network(seed: int = 0, unused: str = "") -> bytes:
    """A .tflite of two dense layers and a softmax: eight tensors, two kinds of operators.

    Args:
        seed: of the weights.
        unused: an operator that the file lists and no layer uses, as converters leave them behind.
    """
    rng = np.random.default_rng(seed)
    builder = GraphBuilder("two dense layers")
    if unused:
        builder._file.opcode(unused, 1, False)
    x = builder.input((1, 16), scale=0.5, zero_point=-3)
    w0 = builder.constant(rng.integers(-127, 128, (8, 16), dtype=np.int8), scale=0.02)
    b0 = builder.constant(rng.integers(-500, 500, 8, dtype=np.int32), scale=0.01)
    w1 = builder.constant(rng.integers(-127, 128, (4, 8), dtype=np.int8), scale=0.02)
    b1 = builder.constant(rng.integers(-500, 500, 4, dtype=np.int32), scale=0.01)
    options = {"fused_activation_function": 1}
    hidden = builder.op("FULLY_CONNECTED", [x, w0, b0], scale=0.5, zero_point=-128, options=options)
    logits = builder.op("FULLY_CONNECTED", [hidden, w1, b1], scale=0.25, zero_point=5, options={})
    builder.output(builder.op("SOFTMAX", [logits], scale=1 / 256, zero_point=-128, options={"beta": 1.0}))
    return builder.tobytes()


def thumb(number: int) -> int:
    """A pointer to a made-up function."""
    return CODE + 16 * number + 1


def registration_bytes(codes: Sequence[int], stride: int, has_reset: bool, resets: bool = False) -> bytes:
    """A table of registrations in the given form; the last rows of an array are left empty, as in the runtime."""
    table = b""
    for number, code in enumerate(codes):
        words = [thumb(4 * number), 0, thumb(4 * number + 1), thumb(4 * number + 2)]
        words += [thumb(4 * number + 3) if resets else 0] if has_reset else []
        words += [code, 0]
        words += [1, 0, 0, 0][: stride // 4 - len(words)]
        table += struct.pack(f"<{stride // 4}I", *words)
    return table + bytes(2 * stride)


@dataclass
class Images:
    """Flash and RAM that tests write into."""

    flash: bytearray
    ram: bytearray

    def put(self, address: int, data: bytes) -> None:
        """Writes bytes at an address."""
        target, base = (self.ram, RAM) if address >= RAM else (self.flash, FLASH)
        target[address - base : address - base + len(data)] = data

    @property
    def memory(self) -> Memory:
        """What the finder gets."""
        return Memory((Block(FLASH, bytes(self.flash), True),), (Block(RAM, bytes(self.ram)),))


def empty_images(seed: int = 1) -> Images:
    """Random bytes in place of code, zeros in RAM except for numbers and pointers strewn about it."""
    rng = np.random.default_rng(seed)
    images = Images(bytearray(rng.bytes(FLASH_BYTES)), bytearray(RAM_BYTES))
    words = np.frombuffer(images.ram, "<u4").copy()
    places = rng.permutation(len(words))[:2000]
    pointers = np.where(rng.random(2000) < 0.5, FLASH, RAM) + rng.integers(0, RAM_BYTES, 2000)
    words[places] = np.where(rng.random(2000) < 0.6, pointers, rng.integers(0, 40, 2000))
    images.ram[:] = words.astype("<u4").tobytes()
    return images


def put_tensors(images: Images, data: bytes, at: int = TENSORS_AT, types: int = 0) -> list[int]:
    """Writes the table of tensors of a model that lies at BLOB_AT; gives the tensors' addresses.

    Args:
        images: where to.
        data: the model.
        at: address of the table.
        types: bits above the lowest byte of every type, as padding may hold.
    """
    model = read_model(data)
    addresses, free, dims_at = [], ARENA_AT, RAM + 0x7000
    for tensor in model.main.tensors:
        buffer = model.buffers[tensor.buffer]
        if buffer.offset is not None:
            address = BLOB_AT + buffer.offset
        else:
            address, free = free, free + (tensor_bytes(tensor) + 15) // 16 * 16
        images.put(dims_at, struct.pack(f"<{1 + len(tensor.shape)}I", len(tensor.shape), *tensor.shape))
        images.put(at, struct.pack("<III", address, dims_at, RUNTIME_TYPES[tensor.dtype] | types))
        at, dims_at = at + 12, dims_at + 4 + 4 * len(tensor.shape)
        addresses.append(address)
    images.put(at, struct.pack("<III", 0, 0, 0xFFFFFFFF))
    return addresses


def complete_images(stride: int = 28, has_reset: bool = True, resets: bool = False) -> tuple[Images, list[int]]:
    """Images with everything in them, and the addresses of the tensors."""
    images, data = empty_images(), small_network()
    images.put(BLOB_AT, data)
    codes = [opcode.builtin for opcode in read_model(data).opcodes]
    images.put(REGISTRATIONS_AT - 4, bytes(4))  # the word before the table is the resolver's, and no pointer
    images.put(REGISTRATIONS_AT, registration_bytes(codes, stride, has_reset, resets))
    addresses = put_tensors(images, data)
    images.put(INTERPRETER_AT, struct.pack("<II", BLOB_AT + struct.unpack_from("<I", data)[0], REGISTRATIONS_AT - 4))
    return images, addresses
