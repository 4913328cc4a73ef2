"""MEM: what an image does, and does not do, to keep a memory error from becoming a takeover.

A missing protection is no error by itself; it decides how far an error in a parser or a driver reaches. Symbols
decide where the file has them; on a stripped image the same findings have lower confidence and severity.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._image_places import at_address
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ImageFile

_WITH_MPU = ("Armv7-M", "Armv7E-M", "Armv8-M", "Armv8.1-M")
_RAM = range(0x2000_0000, 0x4000_0000)


def _place(file: ImageFile, address: int, symbol: str | None = None) -> Location:
    """Location of what runs at an address."""
    for s in file.image.segments:
        if s.virtual_address <= address < s.virtual_address + len(s.data):
            return at_address(file, s.address + address - s.virtual_address, symbol)
    return Location(address=address, symbol=symbol)


def _has_mpu(file: ImageFile) -> bool:
    """The device file or the architecture of the ELF file says that there is a unit to protect memory with."""
    if file.device is not None and file.device.fact("mpu") != "unknown":
        return file.device.fact("mpu") != "no"
    return any(file.memory.architecture.startswith(name) for name in _WITH_MPU)


def _entry(file: ImageFile) -> Location:
    return Location() if file.image.entry is None else _place(file, file.image.entry)


@rule(
    "MEM-01", "No stack canaries", subject=Subject.IMAGE, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-693 CWE-121", threats="S1 S2",
    fix="build with -fstack-protector-strong, libraries included, and seed __stack_chk_guard from a random source",
    source="Cowan et al., StackGuard, USENIX Security 1998; Xi et al., Silhouette, arXiv 1910.12157",
)  # fmt: skip
def no_canaries(file: ImageFile) -> Iterator[Hit]:
    """Nothing in the image checks a return address before it is used.

    With symbols: none of a stack protector (`__stack_chk_fail` and the like). Without: neither its messages nor a guard
    word that several functions load at their start; then confidence and severity are low, because a compiler may
    arrange those instructions otherwise.
    """
    facts = file.memory
    if facts.canaries is False:
        yield Hit(f"{facts.canary_reason}; expected: __stack_chk_fail.", _entry(file))
    elif facts.canaries is None and facts.arm:
        yield Hit(
            f"{facts.canary_reason}; expected: a stack protector.", _entry(file), Severity.LOW, Confidence.LOW
        )  # fmt: skip


@rule(
    "MEM-02", "Memory that is writable and executable", subject=Subject.IMAGE, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-693 CWE-94", threats="S2",
    fix="keep code that must run from RAM in a section of its own, and let the MPU forbid execution elsewhere (XN)",
    source="Francillon and Castelluccia, Code Injection Attacks on Harvard-Architecture Devices, CCS 2008",
)  # fmt: skip
def writable_code(file: ImageFile) -> Iterator[Hit]:
    """A segment of an ELF file in RAM carries both the flag to write and the flag to execute.

    Flags of flash do not count: writing flash takes more than a store. The flags say what the linker script meant; the
    hardware follows them only through the MPU.
    """
    for start, end in file.memory.writable_code:
        yield Hit(
            f"0x{start:08x} to 0x{end:08x} is readable, writable and executable; expected: not both of the latter.",
            _place(file, start),
        )  # fmt: skip


@rule(
    "MEM-03", "The stack grows into variables", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-121 CWE-674", threats="S1",
    fix="put the stack at the bottom of RAM, so that an overflow faults, or set MSPLIM or an MPU region below it",
    source="Armv8-M Architecture Reference Manual (DDI 0553), stack limit checking",
)  # fmt: skip
def stack_into_data(file: ImageFile) -> Iterator[Hit]:
    """The initial stack pointer lies above variables, and nothing stops the stack from growing into them.

    Reported where the vector table is plausible, a segment in RAM ends below the stack, and neither a stack limit
    (MSPLIM, PSPLIM) nor an enabled MPU was found.
    """
    facts = file.memory
    if facts.initial_sp is None or facts.data_below_stack is None or facts.mpu or facts.stack_limit:
        return
    room = facts.initial_sp - facts.data_below_stack
    table = file.image.vectors.address if file.image.vectors is not None else None
    yield Hit(
        f"the stack begins at 0x{facts.initial_sp:08x} and meets variables {room:,} bytes below, at "
        f"0x{facts.data_below_stack:08x}; expected: a guard between them.",
        Location() if table is None else at_address(file, table),
    )  # fmt: skip


@rule(
    "MEM-04", "The memory protection unit is never enabled", subject=Subject.IMAGE, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-653 CWE-1189", threats="S13 S2",
    fix="set up regions (no execution from RAM, no writing of code, keys and model apart) and set MPU_CTRL.ENABLE",
    source="Armv7-M Architecture Reference Manual (DDI 0403), B3.5; Zhou et al., Good Motive but Bad Design, "
    "Pervasive Misuse of MPU, arXiv 1908.03638",
)  # fmt: skip
def no_mpu(file: ImageFile) -> Iterator[Hit]:
    """No instruction was found that stores to MPU_CTRL (0xE000ED94); on RISC-V, none that writes PMP configuration.

    Reported only where the part is known to have such a unit: by the device file, or by the architecture that the ELF
    file was built for. Addresses are followed from literals and MOVW/MOVT pairs through the next instructions; a store
    through a pointer that was computed elsewhere is not seen, so confidence is medium. A unit that a boot loader in
    another image enables is not seen either.
    """
    if file.memory.mpu is False and _has_mpu(file):
        register = "MPU_CTRL (0xE000ED94)" if file.memory.arm else "pmpcfg or pmpaddr"
        confidence = None if file.memory.symbols else Confidence.LOW
        yield Hit(f"no store to {register} was found; expected: one at start-up.", _entry(file), None, confidence)


@rule(
    "MEM-05", "TrustZone is there and not set up", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-653", threats="S13",
    fix="keep keys and model in the secure world, and let the rest reach them through checked entry functions",
    source="Armv8-M Architecture Reference Manual (DDI 0553), B8; Ma et al., Return-to-Non-Secure Vulnerabilities on "
    "ARM Cortex-M TrustZone, USENIX Security 2023",
)  # fmt: skip
def no_worlds(file: ImageFile) -> Iterator[Hit]:
    """The device file says that the part has TrustZone-M, and the image neither writes the attribution unit (SAU) nor
    holds a secure gateway (SG).

    Such an image runs in one world only, or is the non-secure half of two; give the secure image too to tell.
    """
    device, facts = file.device, file.memory
    if device is None or device.fact("trustzone_m") != "yes" or not facts.arm or facts.sau or facts.gateways:
        return
    yield Hit(
        f"{device.id} has TrustZone-M; found: no store to SAU_CTRL or SAU_RBAR and no secure gateway.", _entry(file)
    )  # fmt: skip


@rule(
    "MEM-06", "Functions that write without a bound", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-676 CWE-242 CWE-120", threats="S1",
    fix="use functions that take the size of the destination (snprintf, strlcpy), and check input from outside",
    source="CWE-676 and CWE-242, MITRE; SEI CERT C, STR31-C",
)  # fmt: skip
def unbounded(file: ImageFile) -> Iterator[Hit]:
    """The image holds functions of the C library that write as much as their input says (strcpy, sprintf, ...).

    Whether input from outside reaches them, a symbol does not tell: look at their callers. `gets` cannot be used
    safely at all and is high.
    """
    for name, address in file.memory.unbounded:
        grave = name == "gets"
        yield Hit(
            f"{name} is linked in; expected: its bounded counterpart.", _place(file, address, name),
            Severity.HIGH if grave else None, Confidence.HIGH if grave else None,
        )  # fmt: skip


@rule(
    "MEM-07", "The vector table is moved to RAM", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-693 CWE-123", threats="S2",
    fix="leave the vector table in flash, or let the MPU forbid writing it once it is filled",
    source="Armv7-M Architecture Reference Manual (DDI 0403), B3.2.5",
)  # fmt: skip
def vectors_in_ram(file: ImageFile) -> Iterator[Hit]:
    """The code stores an address in RAM into VTOR and does not enable the MPU.

    Whoever can write one word there chooses what the next interrupt runs.
    """
    facts = file.memory
    if facts.vector_base is not None and facts.vector_base[0] in _RAM and not facts.mpu:
        base, at = facts.vector_base
        yield Hit(f"VTOR is set to 0x{base:08x}, in RAM; expected: flash, or a protected region.", _place(file, at))


@rule(
    "MEM-08", "Semihosting calls are left in", subject=Subject.IMAGE, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-489", threats="H9",
    fix="link without semihosting (--specs=nosys.specs, no rdimon), and compile debug output out of releases",
    source="Arm, Semihosting for AArch32 and AArch64, release 2020Q2",
)  # fmt: skip
def semihosting(file: ImageFile) -> Iterator[Hit]:
    """Breakpoints with the number of semihosting (BKPT 0xAB) behind an operation number, or as a function of their own.

    With a debugger attached the firmware reads and writes its host's files and prints there; without one it halts or
    faults, which takes the device down.
    """
    places = file.memory.semihosting
    if places:
        more = f", {len(places) - 1} more" if len(places) > 1 else ""
        yield Hit(f"BKPT 0xAB at 0x{places[0]:08x}{more}; expected: none in a release.", _place(file, places[0]))
