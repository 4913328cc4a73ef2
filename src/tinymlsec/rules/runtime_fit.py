"""RUN: whether the runtime, and the firmware built with it, has what the model asks for."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._relative import Effect, relative
from tinymlsec.rules._run_types import type_hits
from tinymlsec.rules._sites import Site, sites
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.runtime import list_runtimes, load_runtime
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.schema import enum_names

NEWEST_VERSION = 32
"""Above every version of every operator: FULLY_CONNECTED, which has the most, ends at 14 in LiteRT 2.3.0 (asked)."""
GATHERS = ("GATHER", "GATHER_ND", "SCATTER_ND", "EMBEDDING_LOOKUP")
INDEX_INPUT = {"GATHER": 1, "GATHER_ND": 1, "SCATTER_ND": 0, "EMBEDDING_LOOKUP": 0}
INDEX_CVES = {
    "GATHER": ("CVE-2021-37687",),
    "GATHER_ND": ("CVE-2021-37687", "CVE-2022-35937", "CVE-2022-35938"),
    "SCATTER_ND": ("CVE-2022-35939",),
}


def _first_of_each(found: Iterator[Site]) -> Iterator[tuple[Site, int]]:
    """The first operator of each kind, and how many there are."""
    groups: dict[str, list[Site]] = {}
    for site in found:
        groups.setdefault(site.op.label, []).append(site)
    for group in groups.values():
        yield group[0], len(group)


@rule(
    "RUN-01", "Operator that the runtime does not have", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1104 CWE-703", threats="S3",
    fix="replace the operator, or use a runtime that has it", source="list of kernels in the runtime's table",
)  # fmt: skip
def absent(file: ModelFile) -> Iterator[Hit]:
    """A builtin operator without a kernel in this runtime, or one that the schema does not know."""
    known = enum_names("BuiltinOperator")
    for site, count in _first_of_each(s for s in sites(file) if s.op.name != "CUSTOM"):
        lacking = file.runtime is not None and file.runtime.lacks(site.op.name)
        if lacking or site.op.name not in known:
            name = file.runtime.id if file.runtime is not None else "the schema"
            yield Hit(f"{site.title} has no kernel in {name} ({count} of them in the model).", site.where())


@rule(
    "RUN-02", "Custom operator", subject=Subject.MODEL, severity=Severity.MEDIUM, confidence=Confidence.HIGH,
    cwe="CWE-1104 CWE-829", threats="S14 S3", fix="know whose code it is, and give it the review of any other parser",
    source="TensorFlow Lite Micro, micro_mutable_op_resolver.h",
)  # fmt: skip
def custom(file: ModelFile) -> Iterator[Hit]:
    """A custom operator runs code that nobody but its author checked, on options that nobody but it can read.

    Those that come with the runtime, such as TFLM's signal operators, are listed with severity none: they only have to
    be registered.
    """
    for site, count in _first_of_each(s for s in sites(file, "CUSTOM") if s.op.name == "CUSTOM"):
        name = site.op.custom_code[:60]
        if file.runtime is not None and site.op.custom_code in file.runtime.custom:
            message = f"{name} ({count} times) is a custom operator that comes with {file.runtime.id}; register it."
            yield Hit(message, site.where(), Severity.NONE)
        else:
            yield Hit(f"{name!r} ({count} times) is a custom operator that {_without(file, name)}.", site.where())


def _without(file: ModelFile, code: str) -> str:
    """Who does not have a custom operator, and who does."""
    having = [name for name in list_runtimes() if code in load_runtime(name).custom]
    if file.runtime is None or not having:
        return "no runtime with a table here has"
    return f"{file.runtime.id} does not have; {', '.join(having)} do"


@rule(
    "RUN-03", "Operator that the firmware has not linked", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-703", threats="S3 S5",
    fix="add the operator to the firmware's resolver before this model is deployed",
    source="operators found in the firmware's resolver",
)  # fmt: skip
def unlinked(file: ModelFile) -> Iterator[Hit]:
    """The runtime has the kernel and this firmware left it out, so the interpreter refuses the model on the device."""
    if file.linked is None:
        return
    for site, count in _first_of_each(sites(file)):
        present = site.op.label in file.linked
        if not present and not (file.runtime is not None and file.runtime.lacks(site.op.name)):
            message = f"{site.title} ({count} of them) is not in the firmware's resolver, which has {len(file.linked)}."
            yield Hit(message, site.where())


@rule(
    "RUN-04", "Version of an operator that no runtime has", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-1287 CWE-703", threats="S3", fix="convert the model for this runtime",
    source="TensorFlow Lite, register.cc",
)  # fmt: skip
def version(file: ModelFile) -> Iterator[Hit]:
    """Operators have versions from 1. Hosts refuse one that they do not know; TFLM does not look at it and runs on."""
    for site, count in _first_of_each(s for s in sites(file) if not 1 <= s.op.version <= NEWEST_VERSION):
        message = f"{site.title} has version {site.op.version} ({count} of them); expected 1 to {NEWEST_VERSION}."
        yield relative(file, message, site.where(), rule="RUN-04", op=site.op.name, effect=Effect.WRONG)


@rule(
    "RUN-05", "Types that the kernel does not take", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-843 CWE-703", threats="S3", fix="quantize the model for this runtime",
    source="type checks in the kernels of TensorFlow Lite Micro at snapshot 90b983c2b; runtimes asked type by type",
)  # fmt: skip
def types(file: ModelFile) -> Iterator[Hit]:
    """Data and weights of types for which the runtime has no kernel.

    Refused when the model is loaded, or at its first inference; no harm beyond a device that does not work.
    """
    yield from type_hits(file)


@rule(
    "RUN-06", "Kernel that trusts values at run time", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-129 CWE-369", threats="S3 S1",
    cve="CVE-2021-37683 CVE-2021-37687 CVE-2022-35937 CVE-2022-35938 CVE-2022-35939",
    fix="clamp the values in the graph or the firmware before the operator", source="PyPA advisory database",
)  # fmt: skip
def trusting(file: ModelFile) -> Iterator[Hit]:
    """Indices or divisors that are computed at run time, in an operator whose kernel does not check them.

    The file alone cannot be wrong here: whether an index leaves its tensor depends on the input. The finding says that
    nothing but the graph itself stands in between.
    """
    for site in sites(file, *GATHERS, "DIV"):
        place = INDEX_INPUT.get(site.op.name, 1)
        tensor = site.tensor(place)
        integer = tensor is not None and "int" in tensor.dtype
        if tensor is None or not integer or site.is_constant(place):
            continue
        cve = INDEX_CVES.get(site.op.name, ("CVE-2021-37683",) if site.op.name == "DIV" else ())
        row = file.runtime.row(*cve, op=site.op.name) if file.runtime is not None else None
        if row is None or row.guard.value not in ("open", "dcheck"):
            continue
        effect = Effect.DIVISION if site.op.name == "DIV" else Effect.READ
        what = "divisors" if site.op.name == "DIV" else "indices"
        message = f"{site.title} takes {what} from tensor {tensor.index}, which is computed."
        location: Location = site.where().model_copy(update={"tensor": tensor.index})
        yield relative(file, message, location, rule="RUN-06", op=site.op.name, cve=cve, effect=effect)


@rule(
    "RUN-07", "The runtime crashes or hangs over this file", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1284 CWE-248", threats="S3 S1",
    fix="do not deploy this file; the other findings say what may be the reason",
    source="seen: the file was run on the runtime in a worker process (scan --confirm)",
)  # fmt: skip
def seen(file: ModelFile) -> Iterator[Hit]:
    """The real runtime, in a process of its own, was ended by a signal or came to no end.

    Only `scan --confirm` runs files; a scan without it never has this finding, and `tinymlsec.scan.confirm` makes it.
    """
    yield from ()
