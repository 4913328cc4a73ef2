"""What a fault in a file means on one runtime and one device: severity, confidence and a sentence for the message.

A kernel that guards itself turns a fault into a refusal, one that does not turns it into damage; and what damage a
division by zero or a null pointer does is a property of the core, not of the file.
"""

from __future__ import annotations

from enum import StrEnum

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules.rule import Hit
from tinymlsec.rules.runtime import Guard, Row
from tinymlsec.rules.subjects import ModelFile


class Effect(StrEnum):
    """What an unguarded kernel does with a fault."""

    DIVISION = "divides by zero"
    WRITE = "writes outside of a tensor"
    READ = "reads outside of a tensor"
    LOOP = "loops without end"
    ABORT = "aborts the program"
    NULL = "follows a null pointer"
    WRONG = "computes wrong values"
    FAIL = "fails to run"


_DIVISION = (
    (("armv6",), "has no divide instruction: the compiler's library routine decides, which commonly returns 0"),
    (
        ("armv7-m", "armv7e-m", "armv8-m mainline", "armv8.1-m"),
        "divides by zero without a fault and gets 0, a silent wrong value, unless CCR.DIV_0_TRP is set",
    ),
    (("armv8-m baseline",), "divides by zero without a fault and gets 0, a silent wrong value"),
    (("armv7-a", "armv8-a", "armv8.2-a"), "divides by zero without a fault and gets 0, a silent wrong value"),
    (("rv32", "rv64"), "divides by zero without a fault and gets all ones, a silent wrong value"),
    (("xtensa",), "raises the exception IntegerDivideByZero"),
    (("x86",), "raises a fault that ends the process (SIGFPE)"),
    (("avr",), "has no divide instruction: the library routine decides"),
    (("mips32",), "divides by zero without a fault to no defined value; compilers add a trap unless told not to"),
    (("arcv2",), "raises an exception if STATUS32.DZ is set, and else gives no defined value"),
)
"""Instruction sets and what their integer division by zero does. Sources: Arm, Armv7-M and Armv8-M Architecture
Reference Manuals (SDIV, CCR); Arm Architecture Reference Manual for A-profile; RISC-V Unprivileged ISA, chapter M;
Cadence, Xtensa Instruction Set Architecture (QUOS); Intel, Software Developer's Manual (#DE); MIPS32 Architecture for
Programmers, volume II (DIV); Synopsys, ARCv2 Programmer's Reference (EV_DivZero)."""


def on_device(file: ModelFile, effect: Effect) -> str:
    """What the effect is on the device that was named; empty without one, or where its core says nothing."""
    if file.device is None:
        return ""
    core = file.device.cores[0]
    isa, name = core.isa.lower(), f"{file.device.id} ({core.name})"
    if effect is Effect.DIVISION:
        text = next((words for sets, words in _DIVISION if any(isa.startswith(each) for each in sets)), "")
        return f"{name} {text}" if text else f"what {name} does on a division by zero is not in its device file"
    if effect is Effect.NULL and ("-m" in isa or isa.startswith("rv32")):
        return f"on {name} address 0 is usually readable memory (vectors or flash), so it reads on silently"
    if effect in (Effect.WRITE, Effect.READ) and file.device.fact("mmu") == "no":
        return f"{name} has no MMU: neighbours in the arena are reached without a fault"
    return ""


def relative(
    file: ModelFile,
    message: str,
    location: Location,
    *,
    rule: str,
    op: str = "",
    cve: tuple[str, ...] = (),
    effect: Effect = Effect.WRONG,
    severity: Severity | None = None,
    confidence: Confidence | None = None,
    fix: str | None = None,
) -> Hit:
    """A hit, judged for the runtime and the device of the scan.

    Args:
        file: the subject.
        message: what was found and what was expected.
        location: where.
        rule: id of the rule, which rows of the runtime's table may be about.
        op: builtin operator.
        cve: CVEs of this operator; where the table has no row of the rule, the first one that it has a row for decides.
        effect: what a kernel without a guard does.
        severity: in place of the rule's, where nothing guards.
        confidence: in place of the rule's.
        fix: in place of the rule's.
    """
    row = _row(file, op, (rule, *cve))
    guard = Guard.ABSENT if op and file.runtime is not None and file.runtime.lacks(op) else None
    guard = guard or (row.guard if row is not None else None)
    if guard in (Guard.GUARD, Guard.ABSENT):
        severity = Severity.LOW
    text = [message, *_sentences(file, row, guard, effect)]
    return Hit(" ".join(text), location, severity, confidence, cve, fix)


def _row(file: ModelFile, op: str, names: tuple[str, ...]) -> Row | None:
    return None if file.runtime is None else file.runtime.row(*names, op=op)


def _sentences(file: ModelFile, row: Row | None, guard: Guard | None, effect: Effect) -> list[str]:
    if file.runtime is None:
        return _effect(file, "A kernel without a guard", effect)
    name, where = file.runtime.id, f" ({row.where})" if row is not None and row.where else ""
    if guard is Guard.ABSENT:
        return [f"{name} has no kernel of this operator, so the model cannot run there; other runtimes have."]
    if guard is Guard.GUARD:
        return [f"{name} guards against this{where}.", *_seen(row)]
    if guard is Guard.DCHECK:
        subject = f"{name} checks this in debug builds only{where}: the kernel of a release build"
        return [*_effect(file, subject, effect), *_seen(row)]
    if guard is Guard.OPEN:
        return [*_effect(file, f"{name} does not check this{where}: the kernel", effect), *_seen(row)]
    return [*_effect(file, f"Whether {name} checks this is not known; a kernel that does not", effect), *_seen(row)]


def _effect(file: ModelFile, subject: str, effect: Effect) -> list[str]:
    device = on_device(file, effect)
    return [f"{subject} {effect.value}{f'; {device}' if device else ''}."]


def _seen(row: Row | None) -> list[str]:
    return [f"Seen: {row.seen}."] if row is not None and row.seen else []
