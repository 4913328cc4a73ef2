"""What was found in a firmware, as text for people. Words of the file are returned as they are: whoever prints them
makes them harmless for a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tinymlsec.emulate.foreign.examine import Examination
from tinymlsec.emulate.foreign.finder.layers import LayerWindow
from tinymlsec.emulate.foreign.finder.tensors import PlacedTensor
from tinymlsec.emulate.foreign.suggest import printed
from tinymlsec.emulate.foreign.trial import Trial

MAX_ROWS = 12
"""Most sections, symbols or operators of one kind that are listed; the JSON form has all of them."""


def lines_of(found: Examination) -> Iterator[str]:
    """The answer, line by line; the suggested description is not part of it."""
    yield from _image(found)
    yield ""
    yield from _model(found)
    yield from _runtime(found)
    yield ""
    yield from _ran(found)
    if found.run is not None and found.not_run:
        yield _row("inference", found.not_run)
    if found.trial is not None:
        yield ""
        yield from _trial(found)


def _row(name: str, value: str) -> str:
    return f"{name:<14} {value}"


def _image(found: Examination) -> Iterator[str]:
    image = found.image
    yield _row("file", f"{image.kind.upper()}, {found.file_bytes:,} bytes, SHA-256 {image.digest[:16]}")
    yield _row("machine", image.machine or "the file does not tell")
    yield _row("core", f"{found.core.title} ({found.core_reason})")
    yield _row("entry", "none" if image.entry is None else f"0x{image.entry:08x}")
    if image.vectors is not None:
        v = image.vectors
        yield _row("vector table", f"0x{v.address:08x}: stack 0x{v.initial_sp:08x}, reset 0x{v.reset:08x}; {v.reason}")
    for segment in image.segments[:MAX_ROWS]:
        copied = "" if segment.virtual_address == segment.address else f", runs at 0x{segment.virtual_address:08x}"
        sizes = f"{len(segment.data):,} bytes stored, {segment.memory_size:,} in memory"
        yield _row("segment", f"0x{segment.address:08x} {segment.access or '-'}: {sizes}{copied}")
    if image.sections:
        in_memory = [s.name for s in image.sections if "a" in s.flags and s.size]
        yield _row("sections", f"{len(image.sections)}, in memory: {', '.join(in_memory[:MAX_ROWS])}")
    named = "none: stripped" if image.stripped else f"{len(image.all_symbols):,}"
    yield _row("symbols", named)
    yield _row("build id", image.build_id or "none")
    yield _row("producer", image.producer or "not told")
    yield _row("memories", f"{', '.join(f'{r.name} 0x{r.address:08x}+0x{r.size:x}' for r in found.memory.regions)}")
    yield _row("", f"({found.memory.source})")
    yield from (_row("note", note) for note in image.notes)


def _model(found: Examination) -> Iterator[str]:
    findings = found.findings
    for blob in findings.blobs:
        operators = Counter(op.label for op in blob.model.main.operators)
        listed = ", ".join(f"{name} x {n}" if n > 1 else name for name, n in list(operators.items())[:MAX_ROWS])
        yield _row("model", f"0x{blob.address:08x}, {len(blob.data):,} bytes: {listed}")
    for other in findings.not_blobs[:3]:
        yield _row("no model", f"at 0x{other.address:08x}, in spite of its identifier: {other.reason}")


def _runtime(found: Examination) -> Iterator[str]:
    findings = found.findings
    table = findings.registrations
    if table is not None:
        rows = "the model's operators" if table.exact else "more operators than the model's"
        form = f"{table.form.stride} bytes each{', with reset' if table.form.has_reset else ''}"
        yield _row("kernel table", f"0x{table.address:08x}: {len(table.rows)} rows of {form}; {rows}")
    if findings.tensors is not None:
        t = findings.tensors
        yield _row("tensor table", f"0x{t.address:08x}: {len(t.tensors)} tensors, {t.agree} as in the model file")
    if findings.interpreter is not None:
        yield _row("interpreter", f"0x{findings.interpreter.address:08x}")
    if findings.arena is not None:
        a = findings.arena
        yield _row("arena", f"0x{a.address:08x} to 0x{a.end:08x}: {a.bytes:,} bytes of computed tensors")
    yield _row("kernels", kernels_of(found))
    for role, count in Counter(place.role for place in findings.names).items():
        names = [f"{place.name} 0x{place.address:08x}" for place in findings.names if place.role == role]
        yield _row("names", f"{role} ({count}): {', '.join(names[:3])}")
    yield from (_row("not found", line) for line in findings.missing)


def kernels_of(found: Examination) -> str:
    """Which kernels compute the layers, and what tells it."""
    findings, told = found.findings, []
    roles = {place.role for place in findings.names}
    if "CMSIS-NN kernel" in roles:
        told.append("CMSIS-NN (symbols)")
    elif "reference kernel" in roles:
        told.append("reference kernels (symbols)")
    if findings.texts.kernels:
        told.append(f"{findings.texts.kernels} (paths in texts of failed checks)")
    if found.trial is not None and found.trial.ending.ok and found.core.dsp:
        dsp = found.trial.dsp
        told.append(f"{dsp:,} SMLAD ran: written by hand, as CMSIS-NN's are" if dsp else "no SMLAD ran: plain C")
    return "; ".join(told) or "not told by symbols or texts"


def _ran(found: Examination) -> Iterator[str]:
    run = found.run
    if run is None:
        yield _row("run", f"none: {found.not_run}")
        return
    what = "with guessed hardware"
    yield _row("run", f"{run.instructions:,} instructions {what}")
    if not run.confirmed:
        yield _row("ended", run.ending.text)
    for page in run.extra:
        yield _row("registers", f"guessed at 0x{page:08x}, because it was reached for")
    if run.report.ticks:
        yield _row("ticks", f"{run.report.ticks:,} of SysTick")
    for register, text in printed(run).items():
        yield _row("prints", f"through 0x{register:08x}: {text[:200]!r}")
    if heard := run.report.text.get("semihosting"):
        yield _row("prints", f"through semihosting: {heard[:200].decode('utf-8', 'replace')!r}")
    yield from _windows(found)


def _windows(found: Examination) -> Iterator[str]:
    run = found.run
    if run is None or not run.windows:
        return
    state = "confirmed by running" if run.confirmed else f"not confirmed: {run.differs}"
    yield _row("windows", f"{len(run.windows)} layers, {state}")
    for window in run.windows:
        yield _row(f"  {window.name}", f"{window.operator} at 0x{window.invoke:08x}{name_of(found, window)}")
        yield _row("", f"{_tensors(window.inputs)} -> {_tensors(window.outputs)}")


def name_of(found: Examination, window: LayerWindow) -> str:
    """Call and symbol of a kernel in words."""
    at = found.image.symbol_at(window.invoke)
    return f", call {window.hit}" + (f" of {at[0]}" if at is not None else "")


def _tensors(tensors: tuple[PlacedTensor | None, ...]) -> str:
    return ", ".join("none" if t is None else f"#{t.index} 0x{t.address:08x}+{t.bytes}" for t in tensors)


def _trial(found: Examination) -> Iterator[str]:
    trial = found.trial
    assert trial is not None
    which = "suggested" if found.suggestion else "given"
    yield _row("inference", f"by the {which} description: {_how(trial)}")
    if trial.text:
        yield _row("prints", repr(trial.text[:200]))
    if trial.compared:
        runtime = "the model file on the runtime"
        yield _row("outputs", f"{trial.equal} of {trial.compared} random inputs give just the bytes of {runtime}")
    elif trial.ending.ok:
        yield _row("outputs", f"not compared with the runtime: {trial.not_compared}")


def _how(trial: Trial) -> str:
    if not trial.started:
        return f"does not start: {trial.ending.text}"
    done = f"{trial.instructions:,} instructions after {trial.boot_instructions:,} of start-up"
    return f"{trial.ending.text} ({done})"
