"""STRUCT: is the file a sound flatbuffer, as a runtime that checks nothing will follow it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._appended import Tail, describe_tail
from tinymlsec.rules._metadata import compression_faults, description_faults, plan_faults
from tinymlsec.rules._places import refusal
from tinymlsec.rules._walk import gaps, misaligned, overlaps, walk_of
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.flatbuffer import Flatbuffer, View
from tinymlsec.target.tflite.schema import SCHEMA_VERSION, table

_POLICY = (
    "TensorFlow Lite Micro, docs/error_handling_guide.md, 2026: release builds do not check offsets and indices; "
    "models from untrusted channels are to be checked before"
)
_FORMAT = "FlatBuffers, Internals (flatbuffers.dev), and the verifier of google/flatbuffers"
_REJECT = "do not deploy the file; convert the model again from its source and compare checksums"
OVERFLOWING = 1 << 29
"""Elements of four bytes that, with the length before them, do not fit 31 bits."""
SMALL_GAP = 16
"""Bytes of padding between two objects that alignment can explain."""


def _refused(file: ModelFile, rule_id: str) -> Iterator[Hit]:
    yield from refusal(file.damage, rule_id)
    yield from refusal(walk_of(file).damage, rule_id)


@rule(
    "STRUCT-01", "Not a .tflite model", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-20 CWE-1286", threats="S3", fix="give the .tflite file that the firmware embeds", source=_FORMAT,
)  # fmt: skip
def not_a_model(file: ModelFile) -> Iterator[Hit]:
    """A model file begins with the position of its root table and the identifier `TFL3`.

    An empty, cut or foreign file has neither. TensorFlow Lite Micro does not look at the identifier: it takes whatever
    lies in the first four bytes as the position of the root table and follows it.
    """
    yield from _refused(file, "STRUCT-01")


@rule(
    "STRUCT-02", "A reference leads out of the file", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-823", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def reference_outside(file: ModelFile) -> Iterator[Hit]:
    """Tables, vectors and strings are reached by 32-bit offsets. Each must end inside the file and not at itself.

    The runtime adds the offset to a pointer and reads there, so a wrong one reads any address within 4 GiB behind the
    model: other flash, RAM, or a peripheral whose registers change when they are read.
    """
    yield from _refused(file, "STRUCT-02")


@rule(
    "STRUCT-03", "The layout of a table is damaged", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-1284", threats="S3", fix=_REJECT, source=_FORMAT,
)  # fmt: skip
def table_layout(file: ModelFile) -> Iterator[Hit]:
    """Each table refers to a vtable that says how long it is and where its fields lie.

    The vtable must lie inside the file, have an even size of at least four bytes, and place every field inside its
    table. A field outside of it is read from bytes that belong to something else.
    """
    yield from _refused(file, "STRUCT-03")


@rule(
    "STRUCT-04", "A vector or string runs past the end of the file", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-1284", threats="S3", fix=_REJECT, source=_POLICY,
    cve="CVE-2021-29605 CVE-2022-23558",
)  # fmt: skip
def vector_outside(file: ModelFile) -> Iterator[Hit]:
    """Vectors and strings begin with their length. Length times element size must end inside the file.

    TensorFlow Lite Micro uses vectors of the file in place as its own integer arrays. A length that the file does not
    hold becomes the bound of a loop that reads, and copies, what lies behind the model. In the host runtime a length of
    2^29 or more overflowed the size of an allocation (CVE-2021-29605, CVE-2022-23558).
    """
    for hit in _refused(file, "STRUCT-04"):
        at = hit.location.file_offset or 0
        overflows = int.from_bytes(file.data[at : at + 4], "little") >= OVERFLOWING
        yield replace(hit, cve=None if overflows else ())


@rule(
    "STRUCT-05", "Bytes kept outside the flatbuffer lie outside the file", subject=Subject.MODEL,
    severity=Severity.HIGH, confidence=Confidence.HIGH, cwe="CWE-125 CWE-823", threats="S3", fix=_REJECT,
    source="TensorFlow Lite schema, fields Buffer.offset and Operator.large_custom_options_offset",
)  # fmt: skip
def outside_bytes(file: ModelFile) -> Iterator[Hit]:
    """Converters of large models keep constants and custom options behind the flatbuffer, by 64-bit offset and size.

    Their sum must not pass the end of the file.
    """
    yield from _refused(file, "STRUCT-05")


@rule(
    "STRUCT-06", "More structures than the file's size explains", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-770 CWE-400", threats="S3",
    fix="do not deploy the file; a model for a microcontroller has some hundred tables", source=_FORMAT,
)  # fmt: skip
def too_many(file: ModelFile) -> Iterator[Hit]:
    """Tables that point at the same bytes make a small file look large; so do absurd counts and ranks.

    The reader charges every table, vector and string to a budget that grows with the file's size, and bounds the
    number of tensors, operators, subgraphs, buffers and dimensions (32) far above what a microcontroller can hold. By
    the schema's types no table can contain itself, so nesting has a fixed depth and needs no limit of its own.
    """
    yield from _refused(file, "STRUCT-06")


@rule(
    "STRUCT-07", "A tensor has a negative dimension", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1284 CWE-195", threats="S3", fix=_REJECT, source=_POLICY,
)  # fmt: skip
def negative_dimension(file: ModelFile) -> Iterator[Hit]:
    """Dimensions are signed in the file and multiplied to a size in memory.

    A negative one turns into a huge unsigned size, or, beside another negative one, into a plausible size that no
    kernel's loops agree with. Only `shape_signature` may hold -1, for a dimension that the converter did not know.
    """
    yield from _refused(file, "STRUCT-07")


_REQUIRED = {"Model": ("operator_codes", "buffers"), "SubGraph": ("tensors", "inputs", "outputs"),
             "Operator": ("inputs", "outputs")}  # fmt: skip


@rule(
    "STRUCT-08", "Something that runtimes need is absent", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-476", threats="S3",
    fix="convert the model again; write vectors even where they are empty",
    source="TensorFlow Lite Micro 90b983c, micro_interpreter.h:91-112, flatbuffer_utils.cc:64-73 (read, not run)",
)  # fmt: skip
def absent_vectors(file: ModelFile) -> Iterator[Hit]:
    """Fields of a flatbuffer may be left out; a runtime that does not ask then follows a null pointer.

    A model needs at least one subgraph, operator codes and buffers; a subgraph needs vectors of tensors, inputs and
    outputs; an operator those of inputs and outputs. They may be empty but must be there. On a Cortex-M the address 0
    can be read: what stands there (the initial stack pointer) is taken as the length of the vector.
    """
    yield from _refused(file, "STRUCT-08")
    if file.model is None:
        return
    buffer = Flatbuffer(memoryview(file.data))
    yield from _absent(buffer.root(table("Model")), Location())
    several = len(file.model.subgraphs) > 1
    for graph in file.model.subgraphs:
        number = graph.index if several else None
        if graph.offset is not None:
            yield from _absent(View(buffer, graph.offset, table("SubGraph")), Location(subgraph=number))
        for op in graph.operators:
            if op.offset is not None:
                place = Location(subgraph=number, op=op.index)
                yield from _absent(View(buffer, op.offset, table("Operator")), place)


def _absent(view: View, place: Location) -> Iterator[Hit]:
    names = [name for name in _REQUIRED[view.table.name] if view.locate(view.table.by_name[name]) is None]
    if names:
        where = place.model_copy(update={"file_offset": view.at})
        yield Hit(f"A {view.table.name} table has no {' and no '.join(names)}; expected a vector, even an empty one.",
                  where)  # fmt: skip


@rule(
    "STRUCT-09", "Structures overlap", subject=Subject.MODEL, severity=Severity.HIGH, confidence=Confidence.HIGH,
    cwe="CWE-843 CWE-1286", threats="S3", fix=_REJECT, source=_FORMAT,
)  # fmt: skip
def overlapping(file: ModelFile) -> Iterator[Hit]:
    """Two objects of a sound file share bytes only where they are one and the same: a vtable, a string or a vector.

    No writer makes tables, vectors or strings that overlap in part, nor a table that is taken for two types. In such a
    file one field is changed through another, and two programs that check it can see different models.
    """
    walk = walk_of(file)
    for first, second in overlaps(walk)[:1]:
        yield Hit(
            f"{second.owner} ({second.kind}, 0x{second.start:x} to 0x{second.end:x}) shares bytes with {first.owner} "
            f"({first.kind}, 0x{first.start:x} to 0x{first.end:x}); expected separate bytes.",
            Location(file_offset=second.start),
        )


@rule(
    "STRUCT-10", "Structures are misaligned", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-188", threats="S3",
    fix="convert the model again; never edit a flatbuffer by inserting bytes",
    source="Arm v6-M, v7-M and v8-M architecture reference manuals, alignment of memory accesses; flatbuffers.dev",
)  # fmt: skip
def alignment(file: ModelFile) -> Iterator[Hit]:
    """Every number must lie on a multiple of its size, counted from the start of the file.

    A Cortex-M0, M0+ or M23 faults on every unaligned access. M3 and larger cores read single words unaligned, but LDRD,
    LDM and VLDR, which compilers use for pairs and for floats, fault; RISC-V cores may trap. Eight-byte numbers on a
    multiple of four are read by all of them and only break the format's promise (severity low).

    The file as a whole is assumed to lie on a multiple of 16 in flash; whether it does is the firmware's affair.
    """
    found = misaligned(walk_of(file))
    if not found:
        return
    worst = [pair for pair in found if pair[0].start % min(pair[1], 4) or pair[1] < 4]
    span, needed = (worst or found)[0]
    yield Hit(
        f"{span.owner} ({span.kind}) lies at 0x{span.start:x}; expected a multiple of {needed}. "
        f"{len(found)} such places in the file.",
        Location(file_offset=span.start),
        severity=_alignment_severity(file, bool(worst)),
    )


def _alignment_severity(file: ModelFile, faults: bool) -> Severity:
    if not faults:
        return Severity.LOW
    names = " ".join(core.name for core in file.device.cores) if file.device else ""
    return Severity.HIGH if re.search(r"Cortex-M(0|1|23)(?![0-9])", names) else Severity.MEDIUM


@rule(
    "STRUCT-11", "Unknown schema version", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1286", threats="S3",
    fix=f"convert the model to schema version {SCHEMA_VERSION}",
    source="TensorFlow Lite schema; TFLITE_SCHEMA_VERSION is compared by examples, not by the interpreter of TFLM",
)  # fmt: skip
def schema_version(file: ModelFile) -> Iterator[Hit]:
    """All runtimes of today expect version 3 in the root table.

    The interpreter of TensorFlow Lite Micro leaves the comparison to the application. Where that has none, a file of
    another version is read as if it were one of version 3.
    """
    if file.model is not None and file.model.version != SCHEMA_VERSION:
        at = int.from_bytes(bytes(file.data[:4]), "little")
        span = next((s for s in walk_of(file).spans if s.owner == "Model.version"), None)
        yield Hit(
            f"The file says schema version {file.model.version}; expected {SCHEMA_VERSION}.",
            Location(file_offset=span.start if span else at),
        )


@rule(
    "STRUCT-12", "Bytes are appended behind the model", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-506 CWE-1286", threats="S3 M5",
    fix="find out what they are; cut the file at the end of the flatbuffer if nothing needs them",
    source="Wang et al., EvilModel, ISCC 2021; TensorFlow Lite metadata (zip of associated files)",
)  # fmt: skip
def appended(file: ModelFile) -> Iterator[Hit]:
    """Nothing in the flatbuffer refers to the bytes behind its last object, so any tool passes them on unseen.

    A zip archive of label and vocabulary files is known: TensorFlow Lite's metadata writer appends it (PROV-04 tells
    what it says). Zeros are padding. Everything else is reported; programs, scripts and archives with severity high.
    """
    walk = walk_of(file)
    if file.model is None or not walk.spans:
        return
    end = walk.end
    tail = describe_tail(bytes(file.data[end : end + (1 << 20)]), len(file.data) - end)
    if tail is not Tail.NOTHING and tail is not Tail.LABELS:
        size = len(file.data) - end
        yield Hit(
            f"{size:,} bytes follow the end of the flatbuffer at 0x{end:x}: {tail.value}. Expected the end of the "
            "file, zeros, or the archive of TensorFlow Lite's metadata.",
            Location(file_offset=end),
            severity=Severity.HIGH if tail is Tail.PROGRAM else None,
        )


@rule(
    "STRUCT-13", "Bytes inside the flatbuffer that nothing refers to", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-506", threats="S3 M5",
    fix="write the model again with a converter and compare; unreferenced bytes have no use",
    source="Wang et al., EvilModel, ISCC 2021 (payloads in model files)",
)  # fmt: skip
def hidden_bytes(file: ModelFile) -> Iterator[Hit]:
    """Between the objects of a flatbuffer there is only padding: fewer than 16 zeros before the next aligned object.

    More than that, with content, was left by an editor that unhooked an object, or put there. Fields of a schema newer
    than the one that this tool knows show up here too.
    """
    holes = [(a, b) for a, b in gaps(walk_of(file)) if b - a >= SMALL_GAP]
    raw = np.frombuffer(file.data, np.uint8)
    told = [(a, b) for a, b in holes if raw[a:b].any()]
    if told:
        start, end = max(told, key=lambda hole: hole[1] - hole[0])
        total = sum(b - a for a, b in told)
        yield Hit(
            f"{total:,} bytes in {len(told)} gaps between objects, the largest from 0x{start:x} to 0x{end:x}; expected "
            f"fewer than {SMALL_GAP} zeros.",
            Location(file_offset=start),
        )


@rule(
    "STRUCT-14", "A string has no closing zero", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-170 CWE-125", threats="S3", fix=_REJECT, source=_FORMAT,
)  # fmt: skip
def unterminated(file: ModelFile) -> Iterator[Hit]:
    """Strings of a flatbuffer end with a zero that their length does not count, so that C code can use them in place.

    Runtimes do: the code of a custom operator and names are compared and printed as C strings, and read on to the next
    zero where this one is missing.
    """
    data = file.data
    for span in walk_of(file).spans:
        if span.kind != "string":
            continue
        length = int.from_bytes(data[span.start : span.start + 4], "little")
        close = span.start + 4 + length
        if close >= len(data) or data[close]:
            found = "the end of the file" if close >= len(data) else f"byte 0x{data[close]:02x}"
            yield Hit(f"{span.owner} of {length} bytes is followed by {found}; expected a zero.",
                      Location(file_offset=min(close, len(data) - 1)))  # fmt: skip


@rule(
    "STRUCT-15", "Two operator numbers that disagree", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-436", threats="S3",
    fix="write the same number into both fields (127 in the old one for larger numbers)",
    source="TensorFlow Lite schema, OperatorCode, and schema_utils (GetBuiltinCode takes the larger one)",
)  # fmt: skip
def operator_numbers(file: ModelFile) -> Iterator[Hit]:
    """An operator code holds its number twice: as a byte from old days, and as an integer.

    Current runtimes take the larger of the two, old ones the byte. Where they differ, and the byte is not its
    placeholder 127, a checker and a runtime can see two different operators in the same file.
    """
    if file.model is None:
        return
    places = sorted({s.start for s in walk_of(file).spans if s.kind == "table" and s.owner == "OperatorCode"})
    buffer = Flatbuffer(memoryview(file.data))
    for at in places:
        view = View(buffer, at, table("OperatorCode"))
        old, new = view.value("deprecated_builtin_code"), view.value("builtin_code")
        if new and old != min(new, 127) and view.locate(view.table.by_name["deprecated_builtin_code"]) is not None:
            yield Hit(f"The old field says operator {old}, the new one {new}; expected {min(new, 127)} in the old one.",
                      Location(file_offset=at))  # fmt: skip


@rule(
    "STRUCT-16", "A tensor type that the schema does not know", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1286", threats="S3", fix=_REJECT,
    source="TensorFlow Lite schema 2.18, enumeration TensorType",
)  # fmt: skip
def tensor_types(file: ModelFile) -> Iterator[Hit]:
    """The type of a tensor is a number; those above the last one of the schema have no element size.

    A runtime that knows the type is newer than this tool. One that does not refuses the model, or takes the size of an
    element from a table without looking whether it has such a row.
    """
    for graph in file.model.subgraphs if file.model is not None else ():
        for tensor in graph.tensors:
            if tensor.dtype.startswith("unknown"):
                number = graph.index if file.model is not None and len(file.model.subgraphs) > 1 else None
                yield Hit(
                    f"Tensor {tensor.index} has type {tensor.dtype.rpartition('_')[2]}; expected 0 to 18.",
                    Location(file_offset=tensor.offset, subgraph=number, tensor=tensor.index),
                )


@rule(
    "STRUCT-17", "The offline memory plan is not valid", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-125 CWE-787 CWE-129", threats="S3",
    fix="let the planner write the metadata again, or leave the plan out: the runtime then plans by itself",
    source="TensorFlow Lite Micro 90b983c, micro_allocation_info.cc:340-375, greedy_memory_planner.cc (read, not run)",
)  # fmt: skip
def offline_plan(file: ModelFile) -> Iterator[Hit]:
    """Metadata named `OfflineMemoryAllocation` tells the runtime where in the arena each tensor lies.

    It holds a version, a subgraph number, the number of tensors, and an offset for each: -1 where the runtime shall
    decide. The runtime compares the number of tensors and uses the rest as it is. The plan must exist in full, count
    every tensor of the model, and hold offsets that are -1 or a multiple of 4 from 0, inside the device's RAM where
    the device is known. Two tensors that are in use at the same time for more than one operator must not share bytes.
    """
    if file.model is not None:
        yield from plan_faults(file.model, file.device)


@rule(
    "STRUCT-18", "Metadata is not valid", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1286 CWE-125", threats="S3",
    fix="convert the model again; compress it with the tool of the runtime's own version",
    source="TensorFlow Lite Micro 90b983c, compression/metadata.fbs and micro_allocator.cc:370-470 (read, not run)",
)  # fmt: skip
def metadata(file: ModelFile) -> Iterator[Hit]:
    """Entries of metadata hold tables of their own, which must parse like the model.

    `COMPRESSION_METADATA` lists tensors whose values are indices into a table.

    The runtime verifies this flatbuffer, tensor numbers, index widths (1 to 7 bits) and table buffers, and where one
    is wrong it refuses the model or, for the flatbuffer as a whole, goes on as if nothing were compressed: kernels then
    compute with indices instead of weights. It does not check that the table holds a value for every index (2 to the
    power of the width, for each channel), and the lookup reads behind a table that is too short.

    Metadata of converters and of TensorFlow Lite's metadata writer are read by tools only (severity low).
    """
    if file.model is not None:
        yield from compression_faults(file.model)
        yield from description_faults(file)
