"""A target description applied to an image: every name an address, every size checked, the core and memories chosen."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.foreign.description import Description, DescriptionError
from tinymlsec.emulate.foreign.description_sections import Memory, Tensor
from tinymlsec.emulate.foreign.hardware import (
    Clock,
    Hardware,
    RegisterBlock,
    SinkFunction,
    SinkRegister,
    StubbedFunction,
)
from tinymlsec.emulate.foreign.memories import described_map, guessed_map, missing_from
from tinymlsec.emulate.foreign.resolve import find_symbol, resolve

if TYPE_CHECKING:
    from tinymlsec.target.firmware.image import FirmwareImage

ROLES = ("input", "output", "input_bytes", "output_bytes")
SYSTEM_REGISTERS = RegisterBlock("system registers", 0xE0000000, 0x100000, "system")
"""SysTick, interrupt controller and debug unit of Cortex-M: there in every firmware, so they need no description."""
SYSTICK_VECTOR = 15
SYSTICK_GATE = (0xE000E010, 3)
"""SysTick's control register: counting, and allowed to interrupt."""


@dataclass(frozen=True)
class Buffer:
    """Where an input or output lies."""

    address: int | None
    """None: anywhere in RAM, handed over as a pointer."""
    bytes: int
    type: str
    pointer: bool


@dataclass(frozen=True)
class Plan:
    """Everything needed to run an inference."""

    core: Core
    memory: MemoryMap
    start: str
    until: int | None
    init: int | None
    stack: int | None
    boot_instructions: int
    function: int | None
    arguments: tuple[int | str, ...]
    """Values, or one of `ROLES`."""
    returns: int | None
    inference_until: int | None
    hit: int
    instructions: int
    input: Buffer
    output: Buffer
    hardware: Hardware


def plan(description: Description, image: FirmwareImage) -> Plan:
    """Applies a description to an image.

    Raises:
        DescriptionError: a symbol is missing or has another size, the core is unknown or of another machine, or the
            image does not fit the memories; the message says what is close.
    """
    core, memory = core_and_memory(description, image)
    boot, inference = description.boot, description.inference
    return Plan(
        core=core,
        memory=memory,
        start=boot.start,
        until=_code(boot.until, image, "boot.until"),
        init=_code(boot.init, image, "boot.init"),
        stack=None if boot.stack is None else resolve(boot.stack, image, "boot.stack"),
        boot_instructions=boot.instructions,
        function=_code(inference.function, image, "inference.function"),
        arguments=tuple(_argument(a, image) for a in inference.arguments),
        returns=inference.returns,
        inference_until=_code(inference.until, image, "inference.until"),
        hit=inference.hit,
        instructions=inference.instructions,
        input=_buffer(description.input, image, memory, "input"),
        output=_buffer(description.output, image, memory, "output"),
        hardware=_hardware(description, image, core),
    )


def core_and_memory(description: Description, image: FirmwareImage) -> tuple[Core, MemoryMap]:
    """Core and memories of a description.

    Raises:
        DescriptionError: see `plan`.
    """
    return target_of(image, core=description.core, device=description.device, memories=description.memory)


def target_of(
    image: FirmwareImage, *, core: str | None = None, device: str | None = None, memories: tuple[Memory, ...] = ()
) -> tuple[Core, MemoryMap]:
    """Core and memories that an image runs on.

    Args:
        image: the firmware.
        core: id of a core; used where no device is given.
        device: id of a device, for its core and memories.
        memories: described; they count before those of a device. With neither, memories are read off the image.

    Raises:
        DescriptionError: see `plan`.
    """
    chosen, memory = _device(device) if device else (_core(str(core)), None)
    check_machine(image, chosen)
    if memories:
        memory = described_map(memories)
    elif memory is None:
        memory = guessed_map(image)
    if outside := missing_from(image, memory):
        raise DescriptionError(
            "the image does not fit the memories",
            found=f"bytes at {outside}",
            expected=f"{_listed(memory)} ({memory.source})",
            next_step="give the device it was linked for, or its memories as [[memory]] tables",
        )
    return chosen, memory


def check_machine(image: FirmwareImage, core: Core) -> None:
    """Refuses an image for another instruction set.

    Raises:
        DescriptionError: the image's machine is not the core's.
    """
    if image.machine and image.machine != core.machine:
        raise DescriptionError(
            f"the image is not for {core.title}",
            found=f"code for {image.machine}",
            expected=f"code for {core.machine}",
            next_step="name the core that it was built for",
        )


def _core(name: str) -> Core:
    from tinymlsec.emulate.cores import CORES

    if name not in CORES:
        close = difflib.get_close_matches(name, CORES, n=1)
        raise DescriptionError(
            f"unknown core {name!r}",
            expected=", ".join(CORES),
            next_step=f"did you mean {close[0]!r}?" if close else None,
        )
    return CORES[name]


def _listed(memory: MemoryMap) -> str:
    return ", ".join(f"{r.name} 0x{r.address:08x}+0x{r.size:x}" for r in memory.regions)


def _device(name: str) -> tuple[Core, MemoryMap]:
    from tinymlsec.emulate.cores import core_for
    from tinymlsec.emulate.memory_maps import memory_map
    from tinymlsec.target.device import load_device

    device = load_device(name)
    choice = core_for(device)
    if choice.core is None:
        raise DescriptionError(f"firmware of {device.id} cannot be emulated", found=choice.reason)
    return choice.core, memory_map(device, choice.core)


def _code(place: int | str | None, image: FirmwareImage, role: str) -> int | None:
    return None if place is None else _required_code(place, image, role)


def _required_code(place: int | str, image: FirmwareImage, role: str) -> int:
    """Address of a function, without the Thumb bit, which must lie in the image."""
    address = resolve(place, image, role) & ~1
    holders = [s for s in image.segments if s.virtual_address <= address < s.virtual_address + len(s.data)]
    if not holders:
        raise DescriptionError(
            f"{role}: there is no code at 0x{address:08x}",
            found=f"{place!r}" if isinstance(place, str) else "an address outside of the image",
            expected="an address inside of the image's code",
        )
    return address


def _argument(value: int | str, image: FirmwareImage) -> int | str:
    if isinstance(value, int) or value in ROLES:
        return value
    return resolve(value, image, "inference.arguments")


def _buffer(tensor: Tensor, image: FirmwareImage, memory: MemoryMap, role: str) -> Buffer:
    if tensor.at is None:
        return Buffer(None, tensor.bytes, tensor.type, False)
    address = resolve(tensor.at, image, f"{role}.at")
    if isinstance(tensor.at, str) and "+" not in tensor.at:
        _check_size(tensor, image, role)
    needed = 4 if tensor.pointer else tensor.bytes
    if not any(r.address <= address and address + needed <= r.address + r.size for r in memory.regions):
        raise DescriptionError(
            f"{role}: {needed} bytes at 0x{address:08x} lie in no memory",
            expected=_listed(memory),
        )
    return Buffer(address, tensor.bytes, tensor.type, tensor.pointer)


def _check_size(tensor: Tensor, image: FirmwareImage, role: str) -> None:
    """A buffer that is a symbol is as large as the symbol says: less would leave a part of the input unset."""
    symbol = find_symbol(str(tensor.at), image, f"{role}.at")
    expected = 4 if tensor.pointer else tensor.bytes
    if symbol.size and symbol.size != expected:
        raise DescriptionError(
            f"{role}: the size does not fit {symbol.short!r}",
            found=f"{role}.bytes = {tensor.bytes}" + (" behind a pointer of 4" if tensor.pointer else ""),
            expected=f"{symbol.size} bytes, as the symbol table says",
            next_step="give the address with +0 if just a part of it is meant",
        )


def _hardware(description: Description, image: FirmwareImage, core: Core) -> Hardware:
    blocks = [
        RegisterBlock(p.name, p.address, p.size, p.reads, tuple((r.offset, r.reads) for r in p.register_values))
        for p in description.peripheral
    ]
    if core.machine == "arm" and not any(b.address < 0xE0100000 and b.address + b.size > 0xE0000000 for b in blocks):
        blocks.append(SYSTEM_REGISTERS)
    return Hardware(
        stubs=tuple(
            StubbedFunction(_required_code(stub.function, image, "stub.function"), stub.returns)
            for stub in description.stub
        ),
        sinks=tuple(
            SinkFunction(
                uart.name, _required_code(place, image, "uart.function"), uart.takes, uart.argument, uart.returns
            )
            for uart in description.uart
            if (place := uart.function) is not None
        ),
        registers=tuple(SinkRegister(u.name, u.register_at) for u in description.uart if u.register_at is not None),
        blocks=tuple(blocks),
        clock=_clock(description, image),
        semihosting=description.semihosting,
    )


def _clock(description: Description, image: FirmwareImage) -> Clock | None:
    tick = description.systick
    if tick is None:
        return None
    counter = None if tick.counter is None else resolve(tick.counter, image, "systick.counter")
    handler = _code(tick.handler, image, "systick.handler")
    gated = handler is not None and not tick.always and description.boot.start != "none" and _is_systick(handler, image)
    return Clock(tick.every, handler, counter, SYSTICK_GATE if gated else None)


def _is_systick(handler: int, image: FirmwareImage) -> bool:
    """Whether the core's own timer has this handler; its control register is known then."""
    vectors = image.vectors.vectors if image.vectors is not None and image.vectors.plausible else ()
    return len(vectors) > SYSTICK_VECTOR and vectors[SYSTICK_VECTOR] & ~1 == handler
