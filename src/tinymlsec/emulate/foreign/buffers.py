"""Inputs and outputs of firmware as NumPy arrays: where they lie, and what fits into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.contract import MemoryMap, Region
from tinymlsec.emulate.foreign.description import DescriptionError
from tinymlsec.emulate.foreign.plan import Buffer, Plan
from tinymlsec.errors import DataError

PAGE = 0x1000
SCRATCH = "tinymlsec buffers"
_CANDIDATES = {"arm": (0x3F000000, 0x2F000000, 0x1E000000), "riscv32": (0xBF000000, 0x9F000000, 0x3F000000)}
"""Where buffers of our own may lie: addresses of memory by the architecture's map, where devices hardly have any."""

Read = Callable[[int, int], bytes]


def with_scratch(plan: Plan) -> tuple[MemoryMap, Plan]:
    """The memories and, where a buffer has no place of its own, one more memory that holds it.

    A memory of our own disturbs nothing: the firmware's RAM is full of variables, heap and stack.
    """
    loose = [buffer for buffer in (plan.input, plan.output) if buffer.address is None]
    if not loose:
        return plan.memory, plan
    size = sum(_rounded(buffer.bytes) for buffer in loose)
    base = next(a for a in _CANDIDATES[plan.core.machine] if _is_free(plan, a, size))
    region = Region(SCRATCH, base, size, "rw")
    memory = replace(plan.memory, regions=(*plan.memory.regions, region))
    first = plan.input if plan.input.address is not None else replace(plan.input, address=base)
    behind = base + (_rounded(plan.input.bytes) if plan.input.address is None else 0)
    last = plan.output if plan.output.address is not None else replace(plan.output, address=behind)
    return memory, replace(plan, input=first, output=last)


def _rounded(size: int) -> int:
    return (size + PAGE - 1) & ~(PAGE - 1)


def _is_free(plan: Plan, base: int, size: int) -> bool:
    taken = [(r.address, r.size) for r in plan.memory.regions] + [(b.address, b.size) for b in plan.hardware.blocks]
    return not any(start < base + size and base < start + length for start, length in taken)


def settled(buffer: Buffer, role: str, memory: MemoryMap, read: Read) -> int:
    """Where a buffer lies once the firmware has started: a pointer to it is followed.

    Raises:
        DescriptionError: the pointer leads nowhere.
    """
    assert buffer.address is not None
    if not buffer.pointer:
        return buffer.address
    target = int.from_bytes(read(buffer.address, 4), "little")
    regions = [r for r in memory.regions if r.address <= target and target + buffer.bytes <= r.address + r.size]
    if not regions or (role == "input" and "w" not in regions[0].access):
        raise DescriptionError(
            f"{role}: the pointer at 0x{buffer.address:08x} leads nowhere after start-up",
            found=f"0x{target:08x}" + (f", which is {regions[0].name}" if regions else ", which is no memory"),
            expected=f"the address of {buffer.bytes} bytes of RAM",
            next_step="let start-up go on further (boot.until, boot.init), until the firmware has set it",
        )
    return target


def rows(x: NDArray[np.generic], buffer: Buffer) -> NDArray[np.uint8]:
    """Inputs as bytes: (n, bytes).

    Args:
        x: (n, ...) of the declared type.
        buffer: of the input.

    Raises:
        DataError: another type or size.
    """
    dtype = np.dtype(buffer.type).newbyteorder("<")
    count = buffer.bytes // dtype.itemsize
    x = np.asarray(x)
    if x.dtype != dtype:
        raise DataError(
            "inputs of another type than the firmware takes",
            found=str(x.dtype),
            expected=f"{buffer.type}, as input.type says",
            next_step="quantize them first, or correct input.type",
        )
    if x.ndim < 1 or int(np.prod(x.shape[1:])) != count:
        raise DataError(
            "inputs of another size than the firmware takes",
            found=f"an array of shape {x.shape}",
            expected=f"(n, ...) with {count} values of {buffer.type} each, {buffer.bytes} bytes",
            next_step="check input.bytes and input.type against the model's input",
        )
    flat = np.ascontiguousarray(x, dtype).reshape(len(x), count)
    return flat.view(np.uint8).reshape(len(x), buffer.bytes)


def values(data: bytes | NDArray[np.uint8], buffer: Buffer) -> NDArray[np.generic]:
    """Bytes of an output as (values,) of the declared type."""
    return np.frombuffer(bytes(data), np.dtype(buffer.type).newbyteorder("<")).copy()
