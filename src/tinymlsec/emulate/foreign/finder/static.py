"""Everything that can be found without running: in an image alone, or in flash and RAM after start-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinymlsec.emulate.foreign.finder.blob import Blob, NoBlob, find_blobs
from tinymlsec.emulate.foreign.finder.interpreter import Interpreter, find_interpreter
from tinymlsec.emulate.foreign.finder.memory import Memory
from tinymlsec.emulate.foreign.finder.names import NamedPlace, Texts, roles_of, texts_in
from tinymlsec.emulate.foreign.finder.registrations import RegistrationTable, find_registrations
from tinymlsec.emulate.foreign.finder.tensors import Arena, TensorTable, find_arena, find_tensors


@dataclass(frozen=True)
class Findings:
    """What was found, and in words what was not."""

    blobs: tuple[Blob, ...]
    not_blobs: tuple[NoBlob, ...]
    names: tuple[NamedPlace, ...]
    texts: Texts
    blob: Blob | None = None
    """The model that the tables below belong to: the one that fits RAM, else the largest."""
    registrations: RegistrationTable | None = None
    tensors: TensorTable | None = None
    arena: Arena | None = None
    interpreter: Interpreter | None = None
    missing: tuple[str, ...] = ()
    """One sentence for each thing that was not found, with the reason where it is known."""


def operator_codes(blob: Blob) -> frozenset[int]:
    """Numbers of the operators that a model uses; files list others as well, left over from their conversion."""
    used = {op.opcode for graph in blob.model.subgraphs for op in graph.operators}
    return frozenset(blob.model.opcodes[index].builtin for index in used)


def search(memory: Memory, symbols: Mapping[str, int] | None = None, known: Findings | None = None) -> Findings:
    """Looks for model, names, texts, and (where RAM is given) tables of the interpreter.

    Args:
        memory: flash of the image; RAM as it is after start-up, or none.
        symbols: name to address; empty for a stripped image.
        known: of the image alone; names and texts stay the same, whatever runs.
    """
    blobs, others = find_blobs(memory)
    names, texts = (known.names, known.texts) if known else (roles_of(symbols or {}), texts_in(memory))
    blob, registrations, tensors = _tables(memory, blobs)
    arena = find_arena(tensors, memory) if tensors else None
    interpreter = find_interpreter(memory, blob, registrations) if blob else None
    missing = _missing(memory, blob, bool(symbols), registrations, tensors, interpreter)
    return Findings(
        blobs, others, names, texts, blob, registrations, tensors, arena, interpreter, missing
    )  # fmt: skip


def _tables(
    memory: Memory, blobs: tuple[Blob, ...]
) -> tuple[Blob | None, RegistrationTable | None, TensorTable | None]:
    """Model, registrations and tensors that belong together; of several models the first one with tensors in RAM."""
    for blob in blobs if memory.ram else ():
        tensors = find_tensors(memory, blob)
        if tensors is not None:
            return blob, find_registrations(memory, operator_codes(blob)), tensors
    if not blobs:
        return None, None, None
    return blobs[0], find_registrations(memory, operator_codes(blobs[0])) if memory.ram else None, None


def _missing(
    memory: Memory,
    blob: Blob | None,
    named: bool,
    registrations: RegistrationTable | None,
    tensors: TensorTable | None,
    interpreter: Interpreter | None,
) -> tuple[str, ...]:
    lines = []
    if not named:
        lines.append("no symbols: the image is stripped")
    if blob is None:
        lines.append(
            "no model: no readable TFL3 file in the image; the network was compiled into code, or its file is "
            "compressed, encrypted or in external memory"
        )
    elif not memory.ram:
        lines.append("no tables of the interpreter: RAM after start-up is needed, and the firmware was not run")
    else:
        absent = {"table of registrations": registrations, "table of tensors": tensors, "interpreter": interpreter}
        lines += [f"no {what} in RAM after start-up" for what, found in absent.items() if found is None]
    return tuple(lines)
