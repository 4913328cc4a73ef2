"""What the tracer must see, the plain way: registers and all memory read before every instruction, in Python.

Without hooks on memory: those make Unicorn 2.1.4 take wrong branches (a TBB after an IT block, for one).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinymlsec.emulate.contract import Core, MemoryMap
from tinymlsec.emulate.cycles.model import cycle_model
from tinymlsec.target.firmware.image import FirmwareImage

PAGE = 4096


@dataclass
class Seen:
    """One instruction."""

    pc: int
    before: list[int]
    memory: bytes
    after: list[int] = field(default_factory=list)
    memory_after: bytes = b""
    failed: bool = False


class SlowTracer:
    """Boots an image, then traces a function."""

    def __init__(self, image: FirmwareImage, core: Core, memory: MemoryMap) -> None:
        import unicorn
        from unicorn import arm_const, riscv_const

        self.image, self.arm = image, core.machine == "arm"
        const: Any = arm_const if self.arm else riscv_const
        mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS if self.arm else unicorn.UC_MODE_RISCV32
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM if self.arm else unicorn.UC_ARCH_RISCV, mode)
        self.uc.ctl_set_cpu_model(getattr(const, core.unicorn_cpu))
        names = [f"R{i}" for i in range(13)] + ["SP", "LR"] if self.arm else [f"X{i}" for i in range(32)]
        prefix = "UC_ARM_REG_" if self.arm else "UC_RISCV_REG_"
        self.ids = [getattr(const, prefix + name) for name in names]
        self.link = self.ids[14 if self.arm else 1]
        self.decode = cycle_model(core)._decoder
        for region in memory.regions:
            self.uc.mem_map(region.address, (region.size + PAGE - 1) & -PAGE)
        if self.arm:
            self.uc.mem_map(0xE000E000, PAGE)
        for segment in image.segments:
            self.uc.mem_write(segment.address, segment.data)
        self.ram = next(r for r in memory.regions if "w" in r.access)
        self.seen: list[Seen] = []
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self._code)

    def bytes_at(self, memory: bytes, address: int, size: int) -> bytes:
        """Bytes in a copy of the RAM, or of the flash."""
        if self.ram.address <= address < self.ram.address + self.ram.size:
            return memory[address - self.ram.address :][:size]
        return bytes(self.uc.mem_read(address, size))

    def _registers(self) -> list[int]:
        return [int(self.uc.reg_read(number)) for number in self.ids]

    def _state(self) -> tuple[list[int], bytes]:
        return self._registers(), bytes(self.uc.mem_read(self.ram.address, self.ram.size))

    def _code(self, uc: Any, address: int, size: int, user: Any) -> None:
        self.seen.append(Seen(address, *self._state()))

    def trace(self, until: str, function: str, back: int) -> list[Seen]:
        """Boots until one symbol, then runs a function that returns to `back`, with what its IT blocks left out."""
        assert self.image.entry is not None
        self.uc.mem_map(back, PAGE)
        self.uc.emu_start(self.image.entry | self.arm, self.image.symbols[until].address, timeout=10_000_000)
        self.seen.clear()
        self.uc.reg_write(self.link, back | self.arm)
        self.uc.emu_start(self.image.symbols[function].address | self.arm, back, timeout=60_000_000)
        return self._complete(back)

    def _complete(self, back: int) -> list[Seen]:
        full: list[Seen] = []
        for here, after in zip(self.seen, [*self.seen[1:], Seen(back, *self._state())], strict=True):
            here.after, here.memory_after = after.before, after.memory
            full.append(here)
            decoded = self._at(here.pc)
            at = here.pc + decoded.size
            while not (decoded.always_taken or decoded.kind == "branch") and at != after.pc:
                full.append(Seen(at, after.before, after.memory, after.before, after.memory, failed=True))
                at += self._at(at).size
        return full

    def _at(self, address: int) -> Any:
        for segment in self.image.segments:
            if segment.address <= address < segment.address + len(segment.data):
                return self.decode(address, segment.data[address - segment.address :][:4])
        raise AssertionError(hex(address))
