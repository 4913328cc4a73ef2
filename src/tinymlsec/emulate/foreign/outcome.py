"""How a run of somebody's firmware ended, in words that say where and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.emulate.contract import EmulationFault, RunEnd, RunResult
from tinymlsec.errors import TinymlsecError

if TYPE_CHECKING:
    from tinymlsec.emulate.foreign.bench import BenchReport
    from tinymlsec.target.firmware.image import FirmwareImage

PAGE = 0x1000
BESIDE = 0x10000
"""Bytes beside RAM in which an access is taken for an overflow."""
MANY_LETTERS = 4096
"""Characters of one run that look like printing on and on."""
MANY_READS = 1000
"""Reads of one register that look like waiting for it."""
SHOWN_LAST = 6
"""Addresses of last instructions that are told in words; the fault has sixteen."""


class FirmwareRunError(TinymlsecError):
    """Firmware did not do what its description says.

    Args:
        ending: how it ended; None where nothing ran.
    """

    def __init__(
        self,
        message: str,
        ending: Ending | None = None,
        *,
        found: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.ending = ending
        super().__init__(message, found=found, expected=expected, next_step=next_step)


@dataclass(frozen=True)
class Ending:
    """Why one run ended, and where."""

    end: RunEnd
    title: str
    """In a few words: "ran to its end", "write to flash", "never came back", ..."""
    detail: str = ""
    """Where and what was touched."""
    hint: str = ""
    """What can be done about it."""
    pc: int | None = None
    symbol: str = ""
    line: str = ""
    """file:line where the image tells."""
    instructions: int = 0
    fault: EmulationFault | None = None

    @property
    def ok(self) -> bool:
        """It ran to its end."""
        return self.end is RunEnd.DONE

    @property
    def text(self) -> str:
        """All of it."""
        return "; ".join(part for part in (self.title, self.detail, self.hint) if part)


def ending_of(result: RunResult, pc: int, image: FirmwareImage, bench: BenchReport, limit: int) -> Ending:
    """What a result means.

    Args:
        result: of the machine.
        pc: where the core stands, without the Thumb bit.
        image: for symbols and lines.
        bench: what the hardware saw in this run.
        limit: instructions that the run was allowed.
    """
    if result.fault is not None:
        return _died(result, result.fault, image)
    if bench.exit_code is not None and result.end is not RunEnd.DETECTED:
        title = f"the firmware ended itself with code {bench.exit_code} (semihosting)"
        return _at(RunEnd.FAULT, title, pc, image, result.instructions)
    if result.end is RunEnd.TIMEOUT:
        return _hangs(result, pc, image, bench, limit)
    if result.end is RunEnd.DETECTED:
        title = f"the firmware reported an attack: tms_detected({result.detected})"
        return _at(RunEnd.DETECTED, title, pc, image, result.instructions)
    return Ending(RunEnd.DONE, "ran to its end", instructions=result.instructions)


def place(address: int, image: FirmwareImage) -> tuple[str, str]:
    """Symbol with offset, and file:line of an address; empty where the image does not tell."""
    at = image.symbol_at(address)
    if at is None:
        return "", image.line_at(address)
    known = image.symbols.get(at[0])
    name = known.short if known is not None else at[0]
    return f"{name}+0x{at[1]:x}" if at[1] else name, image.line_at(address)


def where(address: int, image: FirmwareImage) -> str:
    """An address in words."""
    symbol, line = place(address, image)
    return f"0x{address:08x}" + (f" in {symbol}" if symbol else "") + (f" ({line})" if line else "")


def _at(end: RunEnd, title: str, pc: int, image: FirmwareImage, count: int, detail: str = "", hint: str = "") -> Ending:
    symbol, line = place(pc, image)
    return Ending(end, title, detail or f"at {where(pc, image)}", hint, pc, symbol, line, count)


def _died(result: RunResult, fault: EmulationFault, image: FirmwareImage) -> Ending:
    symbol, line = place(fault.pc, image)
    detail = f"at {where(fault.pc, image)}"
    if fault.access:
        detail += f", {fault.access}" + (f" in {fault.region}" if fault.region else "")
    if fault.last:
        detail += ", after " + " ".join(f"0x{pc:08x}" for pc in fault.last[-SHOWN_LAST:])
    return Ending(
        RunEnd.FAULT,
        fault.kind,
        detail,
        _advice(fault, image),
        fault.pc,
        fault.symbol or symbol,
        fault.line or line,
        result.instructions,
        fault,
    )


def reached_for(fault: EmulationFault, image: FirmwareImage) -> int | None:
    """Address that was touched outside of all memories, where hardware may lie.

    Not the first page, where null pointers lead, and not just below or above RAM, where stacks and arrays overflow.
    """
    touched = address_in(fault.access)
    if touched is None or fault.region not in ("", "none") or "fetch" in fault.access or touched < PAGE:
        return None
    ram = [(s.virtual_address, s.virtual_end) for s in image.segments if "w" in s.access]
    stack = image.vectors.initial_sp if image.vectors is not None and image.vectors.plausible else None
    ends = [(start - BESIDE, end + BESIDE) for start, end in ram] + ([(stack, stack + BESIDE)] if stack else [])
    return None if any(start <= touched < end for start, end in ends) else touched


def _advice(fault: EmulationFault, image: FirmwareImage) -> str:
    """What helps where it is the description that lacks something, not the firmware that is wrong."""
    touched = reached_for(fault, image)
    if touched is not None:
        page = touched & ~(PAGE - 1)
        return f'if that is hardware, describe it: [[peripheral]] with address = 0x{page:08x} and reads = "either"'
    if fault.region == "none" and fault.access.startswith("write"):
        return "the stack or an array has grown out of RAM, or a pointer was not set"
    if "supervisor call" in fault.kind:
        return "operating systems are not emulated: stub the function that makes the call"
    if "breakpoint" in fault.kind:
        return "if the firmware talks to a debugger, say semihosting = true"
    return ""


def address_in(access: str) -> int | None:
    """The address that the words of an access name."""
    start = access.find("0x")
    digits = access[start + 2 : start + 10].split()[0] if start >= 0 else ""
    try:
        return int(digits.rstrip(",.;:"), 16) if digits else None
    except ValueError:
        return None


def _hangs(result: RunResult, pc: int, image: FirmwareImage, bench: BenchReport, limit: int) -> Ending:
    spent = f"{limit:,} instructions" if result.instructions >= limit else f"{result.seconds:.0f} s"
    title = f"it did not get there within {spent}"
    detail = f"it is at {where(pc, image)}"
    letters = max((len(text) for text in bench.text.values()), default=0)
    polled = max(bench.touched.items(), key=lambda entry: entry[1][0], default=(0, (0, 0)))
    if letters >= MANY_LETTERS:
        hint = f"it prints on and on ({letters:,} characters): stub what prints, or what it complains about"
    elif polled[1][0] >= MANY_READS:
        hint = (
            f"it read the register at 0x{polled[0]:08x} {polled[1][0]:,} times; if it waits for that, give it the "
            'value that ends the wait, as [[peripheral]] with `register`, or reads = "either"'
        )
    elif not bench.ticks:
        hint = "if it waits for time to pass, describe a clock as [systick]; if it needs longer, raise `instructions`"
    else:
        hint = "if it needs longer, raise `instructions`; if it waits for something, stub the function that waits"
    return _at(RunEnd.TIMEOUT, title, pc, image, result.instructions, detail, hint)
