"""The plainest possible machine: Unicorn in this process, a Python hook per instruction, the whole trace kept.

Slow and only for firmware of our own: what the machine and the cycle model are compared with.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tinymlsec.emulate.contract import Core, MemoryMap, Probe, RunEnd, RunResult
from tinymlsec.emulate.cycles.flash_cache import FlashCache
from tinymlsec.emulate.cycles.instruction import Decoder
from tinymlsec.emulate.cycles.model import cycle_model, image_bytes
from tinymlsec.target.firmware.image import FirmwareImage

PAGE = 4096


class DirectMachine:
    """boot, call, read, write, snapshot and restore, as the real machine has them."""

    def __init__(self, image: FirmwareImage, core: Core, memory: MemoryMap) -> None:
        import unicorn
        from unicorn import arm_const, riscv_const

        self.image, self.core, self.memory = image, core, memory
        self.arm = core.machine == "arm"
        self.const: Any = arm_const if self.arm else riscv_const
        mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS if self.arm else unicorn.UC_MODE_RISCV32
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM if self.arm else unicorn.UC_ARCH_RISCV, mode)
        self.uc.ctl_set_cpu_model(getattr(self.const, core.unicorn_cpu))
        for region in memory.regions:
            self.uc.mem_map(region.address, (region.size + PAGE - 1) & -PAGE)
        for segment in image.segments:
            self.uc.mem_write(segment.address, segment.data)
        self.trace: list[int] = []
        self.reads: list[tuple[int, int, int]] = []
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_code)
        # over RAM only: read hooks over flash corrupt registers in Unicorn 2.1.4
        self.decode: Decoder = cycle_model(core)._decoder
        if self.arm:
            # system control space: start-up enables the floating-point unit
            self.uc.mem_map(0xE000E000, PAGE)

    def _on_code(self, uc: Any, address: int, size: int, user: Any) -> None:
        self.trace.append(address)

    def _register(self, arm: str, riscv: str) -> int:
        return int(getattr(self.const, f"UC_ARM_REG_{arm}" if self.arm else f"UC_RISCV_REG_{riscv}"))

    def __enter__(self) -> DirectMachine:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def boot(self, until: str | int) -> RunResult:
        assert self.image.entry is not None
        stop = self.image.symbols[until].address if isinstance(until, str) else until
        self.uc.emu_start(self.image.entry | self.arm, stop, timeout=10_000_000)
        made = len(self.trace)
        self.trace.clear()
        return RunResult(RunEnd.DONE, made)

    def call(self, name: str, *arguments: int, probe: Probe | None = None, **limits: float) -> RunResult:
        back = self.image.symbols["tms_idle"].address
        self.uc.reg_write(self._register("LR", "RA"), back | self.arm)
        for i, value in enumerate(arguments):
            self.uc.reg_write(self._register(f"R{i}", f"A{i}"), value)
        self.trace.clear()
        self.uc.emu_start(self.image.symbols[name].address | self.arm, back, timeout=60_000_000)
        full = self._with_skipped(back)
        counts = self._counts(full, back)
        return RunResult(RunEnd.DONE, len(full), counts=counts, flash_reads=self._flash(full, probe))

    def _with_skipped(self, back: int) -> list[int]:
        """The trace with the instructions of IT blocks whose condition failed: Unicorn calls no hook for them."""
        full: list[int] = []
        for here, after in zip(self.trace, [*self.trace[1:], back], strict=True):
            full.append(here)
            decoded = self._at(here)
            at = here + decoded.size
            while not (decoded.always_taken or decoded.kind == "branch") and at != after:
                full.append(-at)
                at += self._at(at).size
        return full

    def _at(self, address: int) -> Any:
        return self.decode(address, image_bytes(self.image, address, 4))

    def _counts(self, full: list[int], back: int) -> dict[int, tuple[int, int]]:
        ran, marked = Counter(abs(pc) for pc in full), Counter(-pc for pc in full if pc < 0)
        for here, after in zip(full, [*full[1:], back], strict=True):
            if here > 0 and abs(after) != here + self._at(here).size:
                marked[here] += 1
        return {pc: (n, marked[pc]) for pc, n in ran.items()}

    def _flash(self, full: list[int], probe: Probe | None) -> tuple[int, int] | None:
        """Instruction fetches only: data reads would need hooks over flash."""
        if probe is None or probe.flash is None:
            return None
        cache = FlashCache(probe.flash)
        ran = np.abs(np.array(full))  # those whose condition failed are fetched as well
        sizes = np.array([self._at(int(pc)).size for pc in ran])
        cache.feed(ran, sizes, ran * 0, sizes * 0)
        return cache.reads.code, cache.reads.data

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self.uc.mem_write(address, data)

    def snapshot(self) -> tuple[Any, list[tuple[int, bytes]]]:
        written = [r for r in self.memory.regions if "w" in r.access]
        return self.uc.context_save(), [(r.address, self.read(r.address, r.size)) for r in written]

    def restore(self, saved: tuple[Any, list[tuple[int, bytes]]]) -> None:
        self.uc.context_restore(saved[0])
        for address, data in saved[1]:
            self.uc.mem_write(address, data)
