"""Runs the corpus on the real runtimes and writes what happened: the runtime tables and docs/scan/runtime-guards.md.

    python -m rules.runtime_guards     (in the folder tests, with the runtimes installed)

Every bad file runs `RUNS` times in a process of its own, its good twin once: where the runtime cannot run the good one,
a refusal of the bad one says nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from rules.corpus import all_cases
from rules.corpus.base import Case
from rules.corpus.one_op import Const, Feed
from rules.corpus.shapes import CONV_3D_TRANSPOSE
from rules.runtime_types import types_of
from tinymlsec.rules import runtime as tables
from tinymlsec.rules.runtime import Guard, Runtime, load_runtime
from tinymlsec.scan.confirm import LITERT, TFLITE_MICRO, Confirmation, Outcome, confirm_file
from tinymlsec.scan.models import open_model, scan_model
from tinymlsec.target.litert import litert_pool
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.schema import enum_names

READ = "tflm-2026-08"
MEASURED = {TFLITE_MICRO: "tflm-2026-10-23", LITERT: "litert-2.3"}
PACKAGES = {TFLITE_MICRO: "tflite-micro", LITERT: "ai-edge-litert"}
FAMILIES = ("OPT", "QUANT", "SHAPE")
RUNS = 3
NO_KERNELS = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
TITLES = {TFLITE_MICRO: "TensorFlow Lite for Microcontrollers, Python package", LITERT: "LiteRT on a PC"}
DOCS = Path(__file__).parents[2] / "docs" / "scan" / "runtime-guards.md"
FOLDER = Path(tables.__file__).with_name("runtimes")
_WHERE = re.compile(r"\b(\.?/?(?:tensorflow|tflite)[\w/.-]*\.(?:cc|h))(?::(\d+))?")
_ABSENT = re.compile(r"Didn't find op|Failed to get registration|unresolved custom op")


@dataclass(frozen=True)
class Seen:
    """What one runtime did with one bad file."""

    case: Case
    op: str
    """Its operator; empty where the file cannot be read."""
    guard: Guard
    words: str
    """Such as ``crash: SIGFPE at an inference``."""
    where: str = ""
    """File and line that the runtime named."""

    @property
    def keys(self) -> list[str]:
        """Rows that it speaks to: of its rule, which findings ask for first, and of its CVEs."""
        names = [self.case.rule] if self.case.rule.startswith(FAMILIES) else []
        return [f"{name} {self.op}".strip() for name in (*names, *self.case.cve.split())]


def chosen() -> list[Case]:
    """Cases about kernels: of the three families, and of others where they have a CVE."""
    return [case for case in all_cases() if case.rule.partition("-")[0] in FAMILIES or "CVE" in case.cve]


def fault_on(case: Case, runtime: str) -> tuple[str, bool]:
    """(operator that the finding is about, whether there is one) for a runtime of which only the limits are known.

    A model of seven dimensions is a fault on one runtime and none on another.
    """
    limits = Runtime(id=MEASURED[runtime], title="", version="", source="", max_rank=max_rank(runtime))
    file = open_model(case.bad, runtime=limits)
    found = [f for f in scan_model(file).findings if f.id == case.rule]
    if case.rule.startswith("RUN-06"):  # only a table with rows makes it speak
        return read_model(case.bad).main.operators[0].name, True
    graph = None if file.model is None else file.model.main
    if not found or graph is None:
        return "", bool(found)
    place = found[0].location.op
    place = 0 if place is None and case.rule.startswith(FAMILIES) else place
    return "" if place is None else graph.operators[place].name, True


def max_rank(runtime: str) -> int:
    """Dimensions that a runtime's kernels have room for."""
    return load_runtime(READ).max_rank if runtime == TFLITE_MICRO else 8


def look(case: Case, runtime: str, runs: int = RUNS) -> Seen:
    """Runs a case's files on a runtime."""
    op, faulty = fault_on(case, runtime)
    if not faulty:
        return Seen(case, op, Guard.UNKNOWN, "no fault on this runtime")
    (control,) = confirm_file(case.good, [runtime])
    if control.outcome is Outcome.GUARDED and _ABSENT.search(control.detail):
        return Seen(case, op, Guard.ABSENT, "no such kernel")
    if control.inferences == 0:
        return Seen(case, op, Guard.UNKNOWN, f"the sound file does not run either ({_short(control.detail)})")
    tries = [confirm_file(case.bad, [runtime])[0] for _ in range(runs)]
    worst = max(tries, key=lambda each: _RANK[each.outcome])
    counts = Counter(each.outcome for each in tries)
    often = "" if len(counts) == 1 else f" ({counts[worst.outcome]} of {runs} runs)"
    guard, words = _judge(case, worst)
    return Seen(case, op, guard, words + often, _where(worst.detail) if guard is Guard.GUARD else "")


_RANK = {Outcome.NOT_RUN: 0, Outcome.GUARDED: 1, Outcome.RAN: 2, Outcome.HANG: 3, Outcome.CRASH: 4}


def _judge(case: Case, seen: Confirmation) -> tuple[Guard, str]:
    step = {"load": "when loaded", "invoke": "at an inference"}.get(seen.step, "")
    if seen.outcome is Outcome.GUARDED:
        return Guard.GUARD, f"guarded: refused {step}"
    if seen.outcome is Outcome.CRASH:
        return Guard.OPEN, f"crash: {seen.signal or 'exit'} {step}"
    if seen.outcome is Outcome.HANG:
        return Guard.OPEN, f"hang: no end {step}"
    if seen.outcome is Outcome.NOT_RUN:
        return Guard.UNKNOWN, f"not run: {_short(seen.detail)}"
    if _recomputed(case, seen):
        return Guard.GUARD, "guarded: works out the shape itself"
    if case.rule == "SHAPE-16" and bias_is_added_once(seen.runtime):
        return Guard.GUARD, "guarded: has the fix, the bias stands everywhere"
    return Guard.OPEN, "silent: ran"


def _recomputed(case: Case, seen: Confirmation) -> bool:
    """The fault is a declared shape and the runtime did not take it."""
    if case.rule not in ("SHAPE-01", "SHAPE-08"):
        return False
    graph = read_model(case.bad).main
    return seen.outputs != tuple(graph.tensors[index].shape for index in graph.outputs)


def bias_is_added_once(runtime: str) -> bool:
    """Whether a transposed 3-D convolution of zeros gives its bias at every place, which faulty kernels do not."""
    parts = CONV_3D_TRANSPOSE.inputs
    zeros = Const(np.zeros((2, 2, 2, 3, 5), np.float32))
    model = CONV_3D_TRANSPOSE.but(1, zeros).but(2, Feed((1, 4, 4, 4, 5))).file()
    with litert_pool("ruy") if runtime == LITERT else OraclePool(1) as pool:
        y = pool.open(model).run(np.zeros((1, 4, 4, 4, 5), np.float32))
    assert isinstance(parts[3], Const)
    return bool(np.array_equal(y, np.broadcast_to(parts[3].values, y.shape)))


def _short(text: str) -> str:
    return text.split(" ; ")[0].split("Node number")[0].strip()[:80]


def _where(detail: str) -> str:
    found = _WHERE.search(detail)
    if not found:
        return ""
    return found[1].lstrip("./") + (f":{found[2]}" if found[2] else "")


def operators_of(runtime: str) -> tuple[list[str], list[str]]:
    """(builtin operators, custom operators) that a runtime has, asked for one by one.

    A model that holds the operator with one input is refused with other words where there is a kernel. Custom codes are
    those that the table of the older runtime lists.
    """
    names = [name for name in enum_names("BuiltinOperator") if name not in NO_KERNELS]
    builtin = [name for name in names if _has(runtime, _one(name, None))]
    return sorted(builtin), sorted(code for code in load_runtime(READ).custom if _has(runtime, _one(code, b"")))


def _one(name: str, custom: bytes | None) -> bytes:
    builder = GraphBuilder()
    x = builder.input((1, 2), "float32")
    builder.output(builder.op(name, [x], shape=(1, 2), dtype="float32", custom_options=custom))
    return builder.tobytes()


def _has(runtime: str, data: bytes) -> bool:
    (seen,) = confirm_file(data, [runtime])
    return not (seen.outcome is Outcome.GUARDED and _ABSENT.search(seen.detail))


# -- tables -----------------------------------------------------------------------------------------------------------


def rows(seen: Sequence[Seen]) -> dict[str, Seen]:
    """The worst of what was seen for each row."""
    order = {Guard.OPEN: 3, Guard.GUARD: 2, Guard.ABSENT: 1, Guard.UNKNOWN: 0}
    found: dict[str, Seen] = {}
    for each in seen:
        for key in each.keys:
            rank = (order[each.guard], each.words.startswith(("crash", "hang")))
            if key not in found or rank > (order[found[key].guard], found[key].words.startswith(("crash", "hang"))):
                found[key] = each
    return dict(sorted(found.items()))


def table_text(
    runtime: str,
    seen: Sequence[Seen],
    operators: Iterable[str],
    custom: Iterable[str],
    types: Mapping[str, Sequence[str]],
) -> str:
    """A runtime table of what was seen."""
    package = PACKAGES[runtime]
    version = metadata.version(package)
    lines = [
        "# Written by tests/rules/runtime_guards.py from runs of the corpus: what was seen, not what was read.",
        f'title = "{TITLES[runtime]}"',
        f'version = "{package} {version}"',
        f'source = "runs of the corpus of tests/rules on {package} {version}, Linux x86_64"',
        f"max_rank = {max_rank(runtime)}",
        *_array("operators", operators),
        *_array("custom", custom),
        "",
        *_types(types),
    ]
    known = rows(seen)
    for key, each in known.items():
        lines += ["", f'[rows."{key}"]', f'guard = "{each.guard}"']
        lines += [f'ops = ["{each.op}"]'] if " " in key else []
        lines += [f'where = "{each.where}"'] if each.where else []
        lines.append(f'seen = "{each.words} ({each.case.rule} {each.case.name})"')
    covered = {key.partition(" ")[0] for key in known}
    for key, row in load_runtime(READ).rows.items():
        if key.startswith("CVE-") and " " not in key and key not in covered:
            lines += [
                "",
                f'[rows."{key}"]',
                'guard = "unknown"',
                *([f'unchecked = "{row.unchecked}"'] if row.unchecked else []),
            ]
    return "\n".join(lines) + "\n"


def _array(name: str, items: Iterable[str]) -> list[str]:
    lines, line = [f"{name} = ["], "   "
    for item in items:
        if len(line) + len(item) > 112:
            lines, line = [*lines, line], "   "
        line += f' "{item}",'
    return [*lines, *([line] if line.strip() else []), "]"]


def _types(types: Mapping[str, Sequence[str]]) -> list[str]:
    return ["[types]", *(f"{op} = [{', '.join(map(quoted, taken))}]" for op, taken in types.items())]


def quoted(text: str) -> str:
    """A TOML string."""
    return f'"{text}"'


def with_types(text: str, types: Mapping[str, Sequence[str]]) -> str:
    """The table that was read, with the types that the younger package takes."""
    blocks = [block for block in text.rstrip().split("\n\n") if not block.startswith((TYPES_NOTE, "[types]"))]
    first = next(place for place, block in enumerate(blocks) if block.startswith("[rows."))
    return "\n\n".join([*blocks[:first], "\n".join([TYPES_NOTE, *_types(types)]), *blocks[first:]]) + "\n"


TYPES_NOTE = "# Asked of the younger package (tflm-2026-10-23), which has the same operators."


def with_seen(text: str, seen: Sequence[Seen]) -> str:
    """The table that was read, with what a later build of the same runtime did in `seen`.

    Rows of CVEs and of the three families are rewritten, others stay. Rules of these families without a row get one of
    unknown guard: what that snapshot's source says was not read.
    """
    version = f"tflite-micro {metadata.version('tflite-micro')}"
    blocks: list[str] = []
    known = set()
    for block in text.rstrip().split("\n\n"):
        key = _KEY.match(block)
        if key is None or not key[1].startswith(("CVE", *FAMILIES)):
            blocks.append(block)
            continue
        lines = [line for line in block.splitlines() if not line.startswith("seen = ")]
        if len(lines) <= 3 and 'guard = "unknown"' in lines and not key[1].startswith("CVE"):
            continue  # one that was made here before
        known.add(key[1])
        words = _summary(seen, key[1], (key[2] or "").strip())
        blocks.append("\n".join([*lines[:2], *([f'seen = "{version}: {words}"'] if words else []), *lines[2:]]))
    rules = {each.case.rule for each in seen if each.case.rule.startswith(FAMILIES) and not each.case.cve} - known
    for name in sorted(rules):
        about = sorted({each.op for each in seen if each.case.rule == name and each.guard in (Guard.OPEN, Guard.GUARD)})
        ops = ", ".join(f'"{op}"' for op in about)
        row = [f'[rows."{name}"]', 'guard = "unknown"', f"ops = [{ops}]"]
        blocks += ["\n".join([*row, f'seen = "{version}: {_summary(seen, name, "")}"'])] if about else []
    return "\n\n".join(blocks) + "\n"


_KEY = re.compile(r'\[rows\."([A-Z]+-[0-9-]+)( \w+)?"\]')


def _summary(seen: Sequence[Seen], name: str, op: str) -> str:
    """What was seen for a row, grouped: words, and the operators that they are about."""
    known = load_runtime(READ).rows
    about = [each for each in seen if name in (each.case.rule, *each.case.cve.split()) and (not op or each.op == op)]
    about = [each for each in about if op or f"{name} {each.op}" not in known]
    groups: dict[str, list[str]] = {}
    for each in about:
        if each.guard not in (Guard.ABSENT, Guard.UNKNOWN) and each.op not in groups.setdefault(each.words, []):
            groups[each.words].append(each.op)
    return "; ".join(f"{words} ({', '.join(ops)})" for words, ops in groups.items() if ops)


# -- documentation ----------------------------------------------------------------------------------------------------

HEAD = """# Which kernels guard themselves

A malformed model is dangerous where the runtime does not check it. This page holds what was read in the sources of
TensorFlow Lite for Microcontrollers (TFLM) against what two runtimes did when the file was run on them. The rows are
conditions to check before a model is deployed.

{script} writes it: every file of the corpus about operators' options, quantization and
shapes is built by code, run {runs} times in a worker process of its own, with zeros, the lowest, the highest and two
random inputs. Its sound twin runs first; where that does not run, nothing is claimed. What was run, on Linux x86_64:
{micro} and {lite}. A slow test runs everything again and compares.

- *crash*: the process was ended by a signal. On x86 a division by zero raises SIGFPE; on Armv7-M and Armv8-M it gives 0
  without a fault unless CCR.DIV_0_TRP is set, on Armv6-M a library routine decides, on RISC-V it gives all ones. With a
  device named, findings say which.
- *silent*: it ran to its end and returned something. Reads and writes outside of a tensor mostly look like this,
  because what lies beside a tensor in the arena belongs to the same process.
- *guarded*: it was refused with a message, or the runtime worked the shape out itself.
- *read*: what the source of TFLM at snapshot 90b983c2b (2026-08-20) says; `open` no check in a release build, `dcheck`
  a debug assertion only. The package that was run is two months younger.

{summary}

| row | operator | file | read: TFLM 2026-08 | tflite-micro | LiteRT |
|---|---|---|---|---|---|
"""


def page(micro: Sequence[Seen], lite: Sequence[Seen]) -> str:
    """The documentation page."""
    others = {each.case.id: each for each in lite}
    read = load_runtime(READ)
    lines = []
    for each in sorted(micro, key=lambda s: (s.case.cve or "~" + s.case.rule, s.case.id)):
        row = read.row(each.case.rule, *each.case.cve.split(), op=each.op)
        names = "<br>".join(each.case.cve.split()) or each.case.rule
        said = "not read" if row is None or row.guard is Guard.UNKNOWN else row.guard.value
        said = "absent" if read.lacks(each.op) else said
        other = others[each.case.id]
        lines.append(
            f"| {names} | {each.op} | {each.case.rule} {each.case.name} | {said} | {_cell(each)} | {_cell(other)} |"
        )
    head = HEAD.format(
        script="`tests/rules/runtime_guards.py`", runs=RUNS, summary=_summary_text(micro, lite, read),
        micro=f"tflite-micro {metadata.version('tflite-micro')}", lite=f"LiteRT {metadata.version('ai-edge-litert')}",
    )  # fmt: skip
    return head + "\n".join(lines) + "\n" + _disagreements(micro, read)


def _cell(seen: Seen) -> str:
    return seen.words + (f"<br>{seen.where}" if seen.where else "")


def _summary_text(micro: Sequence[Seen], lite: Sequence[Seen], read: Runtime) -> str:
    lines = []
    for name, seen in (("tflite-micro", micro), ("LiteRT", lite)):
        kinds = Counter(each.words.partition(":")[0] for each in seen)
        ran = sum(kinds[kind] for kind in ("crash", "hang", "silent", "guarded"))
        parts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("guarded", "silent", "crash", "hang"))
        lines.append(f"{name}: {ran} of {len(seen)} files could be judged: {parts}.")
    unguarded = [each for each in micro if _read_guard(each, read) in (Guard.OPEN, Guard.DCHECK)]
    kinds = Counter(each.words.partition(":")[0] for each in unguarded)
    parts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("crash", "hang", "silent", "guarded") if kinds[kind])
    lines.append(f"Files of rows that were read as `open` or `dcheck`, on tflite-micro: {parts}.")
    return "\n".join(lines)


def _read_guard(seen: Seen, read: Runtime) -> Guard | None:
    if read.lacks(seen.op):
        return Guard.ABSENT
    row = read.row(seen.case.rule, *seen.case.cve.split(), op=seen.op)
    return None if row is None else row.guard


def _disagreements(micro: Sequence[Seen], read: Runtime) -> str:
    lines = ["", "## Where reading and running disagree", ""]
    for each in micro:
        said, row = _read_guard(each, read), read.row(each.case.rule, *each.case.cve.split(), op=each.op)
        known = said in (Guard.OPEN, Guard.DCHECK, Guard.GUARD) and each.guard in (Guard.OPEN, Guard.GUARD)
        if known and (said is Guard.GUARD) != (each.guard is Guard.GUARD) and row is not None:
            where = f", at {each.where}" if each.where else ""
            lines.append(f"- {each.op}, {each.case.rule} {each.case.name}: read as `{said}`, {each.words}{where}.")
    lines += ["", EXPLAINED]
    return "\n".join(lines) + "\n"


EXPLAINED = """The tables keep both: `guard` of `tflm-2026-08` is what that snapshot's source says, its `seen` what the
younger package did; the tables `tflm-2026-10-23` and `litert-2.3` hold what was seen only. Name the one that your
firmware is built with: `tinymlsec scan --runtime tflm-2026-10-23 model.tflite`.

Two rows need a word. CVE-2021-29592: TFLM takes the shape that the output declares and never looks at the constant of
the file above; with 0 and -1 in the declared shape, which STRUCT-07 finds, the package refuses the model at
reshape_common.cc:67. SHAPE-17: a kernel may accept a row of indices of which one is out of range, as long as the place
that they give lies in the tensor."""


def run(runtime: str, runs: int = RUNS) -> list[Seen]:
    """All cases on one runtime."""
    return [look(case, runtime, runs) for case in chosen()]


def main() -> None:
    """Writes tables and page."""
    types = {runtime: types_of(runtime) for runtime in MEASURED}
    kernels = {runtime: operators_of(runtime) for runtime in MEASURED}
    seen = {runtime: run(runtime) for runtime in MEASURED}
    for runtime, table in MEASURED.items():
        operators, custom = kernels[runtime]
        (FOLDER / f"{table}.toml").write_text(table_text(runtime, seen[runtime], operators, custom, types[runtime]))
    read = FOLDER / f"{READ}.toml"
    read.write_text(with_types(with_seen(read.read_text(), seen[TFLITE_MICRO]), types[TFLITE_MICRO]))
    load_runtime.cache_clear()
    DOCS.parent.mkdir(exist_ok=True)
    DOCS.write_text(page(seen[TFLITE_MICRO], seen[LITERT]))


if __name__ == "__main__":
    main()
