"""Measures the MLPerf Tiny models on six devices and writes the tables of docs/firmware/measure.md.

    python benchmarks/measure_table.py --models DIR          # DIR has mlperf_tiny_kws, mlperf_tiny_ic, ...
    python benchmarks/measure_table.py --models DIR --print  # to the terminal instead

Every figure comes from this run: firmware is generated, built, run in the emulator and priced, as `tinymlsec measure`
does it.
Published cycles are declared, with their source in the page.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tinymlsec.emulate.compilers import find_gcc
from tinymlsec.emulate.cores import core_for
from tinymlsec.emulate.cycles.flash_timing import flash_timing
from tinymlsec.emulate.cycles.table import cycle_table
from tinymlsec.emulate.measure_facts import clock_of
from tinymlsec.emulate.measure_fit import DoesNotFit
from tinymlsec.emulate.measure_model import MeasureOptions, measure
from tinymlsec.emulate.measure_records import Measurement, Range
from tinymlsec.report.measurement.words import size, span
from tinymlsec.report.measurement.words import time as milliseconds
from tinymlsec.target.device import load_device

PAGE = Path(__file__).parent.parent / "docs" / "firmware" / "measure.md"
REFERENCE = "stm32l4r5zi"
DEVICES = ("atsamd21g18a", "particle-photon", REFERENCE, "stm32h743zi", "nrf5340", "esp32-c3")
STYLES = ("plain", "unrolled", "dsp")


@dataclass(frozen=True)
class Model:
    """One of the models, and what others published about it on the NUCLEO-L4R5ZI at 120 MHz."""

    name: str
    path: str
    data: str
    runtime_arena: int | None
    """Bytes of activations that TensorFlow Lite Micro plans (its head section); None where we have no figure."""
    published: tuple[float, ...]
    """Millions of cycles, in the order of PUBLISHED."""


PUBLISHED = (
    "MLPerf Tiny v0.5 reference (TFLM of TF 2.3.1, CMSIS-NN of 2020)", "microTVM v1.0", "microTVM + CMSIS-NN v1.0",
    "X-CUBE-AI 7.3 v1.0", "Plumerai v1.0",
)  # fmt: skip
MODELS = (
    Model("ad", "mlperf_tiny_ad/ad01_int8.tflite", "", 768, (1.21, 1.41, 1.03, 0.91, 0.67)),
    Model("kws", "mlperf_tiny_kws/kws_ref_model.tflite", "mlperf_tiny_kws/kws01.npz", 16_000,
          (21.8, 17.3, 12.0, 9.0, 8.6)),
    Model("ic", "mlperf_tiny_ic/pretrainedResnet_quant.tflite", "", 49_152, (84.5, 46.7, 46.7, 27.2, 20.8)),
    Model("vww", "mlperf_tiny_vww/vww_96_int8.tflite", "", None, (72.1, 40.4, 36.1, 27.7, 25.0)),
)  # fmt: skip
BUILDS = (("zig", "O2"), ("zig", "O3"), ("zig", "Os"), ("gcc", "O2"), ("gcc", "O3"), ("gcc", "Os"))


class Bench:
    """Measures on demand and keeps what it measured."""

    def __init__(self, folder: Path, inputs: int) -> None:
        self.folder = folder
        self.inputs = inputs
        self.kept: dict[tuple[str, ...], Measurement | DoesNotFit] = {}

    def of(
        self, model: Model, device: str, style: str, toolchain: str = "zig", optimize: str = "O2"
    ) -> Measurement | DoesNotFit:
        """A measurement, or which memory is short."""
        key = (model.name, device, style, toolchain, optimize)
        if key not in self.kept:
            began = time.monotonic()
            self.kept[key] = self._measure(model, device, style, toolchain, optimize)
            print(f"{' '.join(key)}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        return self.kept[key]

    def _measure(
        self, model: Model, device: str, style: str, toolchain: str, optimize: str
    ) -> Measurement | DoesNotFit:
        data = self.folder / model.data if model.data else None
        options = MeasureOptions(inputs=self.inputs, data=data, toolchain=toolchain, optimize=optimize)
        try:
            found = measure(self.folder / model.path, device, style=style, options=options)
        except DoesNotFit as refusal:
            return refusal
        if found.inputs.exact != found.inputs.count:
            sys.exit(
                f"{model.name} on {device}: {found.inputs.exact} of {found.inputs.count} outputs equal the runtime's"
            )
        return found


def best_style(device: str) -> str:
    """DSP instructions where the core has them."""
    core = core_for(load_device(device)).core
    return "dsp" if core is not None and core.dsp else "unrolled"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short(refusal: DoesNotFit) -> str:
    """Which memory is short and by how much."""
    return "does not fit: " + "; ".join(f"{s.memory.split(' ')[0]} short by {s.words}" for s in refusal.shortages)


def millions(cycles: Range) -> str:
    return span(cycles).replace(" to ", " – ")


def device_cell(found: Measurement | DoesNotFit) -> str:
    if isinstance(found, DoesNotFit):
        return short(found)
    ms = f"{milliseconds(found.milliseconds)}".replace(" to ", " – ") if found.milliseconds else "no clock"
    ram = f"{size(found.memory.ram.total)}"
    return f"{millions(found.total.cycles)}<br>{ms}<br>flash {size(found.memory.flash.total)}, RAM {ram}"


def device_words(name: str, style: str) -> str:
    """What is the same for all models on a device."""
    device, timing = load_device(name), flash_timing(name)
    core = core_for(device).core
    if core is None:
        sys.exit(f"{name} has no engine")
    mhz, _ = clock_of(device, timing)
    sure = "approximate cycle table" if cycle_table(core.id).approximate else "vendor's cycle table"
    flash = "flash not modeled" if timing is None else f"{timing.wait_states} wait states"
    return f"`{name}`<br>{core.title}, {mhz:g} MHz, {style}<br>{sure}, {flash}"


def devices(bench: Bench) -> str:
    """Six devices, four models."""
    rows = []
    for device in DEVICES:
        style = best_style(device)
        rows.append([device_words(device, style), *(device_cell(bench.of(model, device, style)) for model in MODELS)])
    return table(["device", *(model.name for model in MODELS)], rows)


def published(bench: Bench) -> str:
    """Our three styles beside what others published for the same board."""
    rows = []
    for model in MODELS:
        for style in STYLES:
            found = bench.of(model, REFERENCE, style)
            if isinstance(found, DoesNotFit):
                rows.append([model.name, style, short(found), *[""] * 5])
                continue
            total = found.total
            reads = span(total.flash_reads) if total.flash_reads else "-"
            ratio = [
                f"{total.zero_wait.low / 1e6 / p:.2f} – {total.cycles.high / 1e6 / p:.2f}"
                for p in model.published[:3:2]
            ]
            rows.append(
                [
                    model.name,
                    style,
                    span(total.instructions),
                    millions(total.zero_wait),
                    reads,
                    millions(total.cycles),
                    *ratio,
                ]
            )
    head = ["model", "style", "instructions", "cycles, zero wait states", "flash lines", "cycles, up to the flash term",
            "of v0.5 reference", "of microTVM + CMSIS-NN"]  # fmt: skip
    return table(head, rows)


def declared() -> str:
    """What others published."""
    rows = [[name, *(f"{model.published[i]:g} M" for model in MODELS)] for i, name in enumerate(PUBLISHED)]
    return table(["published (declared)", *(model.name for model in MODELS)], rows)


def builds(bench: Bench) -> str:
    """One model and one device, six builds of two styles."""
    kws, rows = MODELS[1], []
    for toolchain, optimize in BUILDS:
        if toolchain == "gcc" and find_gcc() is None:
            continue
        cells = [bench.of(kws, REFERENCE, style, toolchain, optimize) for style in ("plain", "dsp")]
        if any(isinstance(cell, DoesNotFit) for cell in cells):
            continue
        plain, dsp = (cell for cell in cells if isinstance(cell, Measurement))
        code = f"{size(plain.memory.flash.code)}, {size(dsp.memory.flash.code)}"
        rows.append(
            [plain.binary.compiler, f"-{optimize}", millions(plain.total.cycles), millions(dsp.total.cycles), code]
        )
    return table(["compiler", "level", "kws plain", "kws dsp", "code (plain, dsp)"], rows)


def arenas(bench: Bench) -> str:
    """Activations beside the runtime's and beside what is alive at the busiest operator."""
    rows = []
    for model in MODELS:
        found = bench.of(model, REFERENCE, "dsp")
        if isinstance(found, DoesNotFit):
            continue
        arena, bound = found.memory.ram.arena, found.memory.arena_bound
        theirs = (
            [f"{model.runtime_arena:,}", f"{100 * arena / model.runtime_arena:.0f} %"]
            if model.runtime_arena
            else ["-", "-"]
        )
        rows.append(
            [model.name, f"{arena:,}", *theirs, f"{bound:,}", f"{arena / bound:.2f}", f"{found.memory.ram.stack:,}"]
        )
    head = ["model", "arena", "TFLM's head section", "ratio", "alive at the busiest operator", "ratio", "stack (dsp)"]
    return table(head, rows)


def about(bench: Bench, seconds: float) -> str:
    gcc = find_gcc()
    tools = [f"tinymlsec {version('tinymlsec')}", f"zig {version('ziglang')}", f"unicorn {version('unicorn')}"]
    tools += [gcc.title] if gcc else []
    given = f"{bench.inputs} inputs a cell (kws: recorded speech, others: random codes, seed 0)"
    return (
        f"Run with {', '.join(tools)} on {platform.machine()}, Python {platform.python_version()}; {given}; -O2 where "
        f"nothing else is said; every output equal to the reference runtime's; {len(bench.kept)} measurements in "
        f"{seconds:.0f} s."
    )


def replaced(text: str, name: str, body: str) -> str:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        sys.exit(f"{PAGE} has no place for {name}")
    return pattern.sub(lambda match: f"{match[1]}{body}\n{match[2]}", text)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", type=Path, required=True, help="folder with mlperf_tiny_kws and so on")
    options.add_argument("--inputs", type=int, default=3)
    options.add_argument("--print", action="store_true", help="to the terminal; the page is left alone")
    given = options.parse_args()
    began = time.monotonic()
    bench = Bench(given.models, given.inputs)
    parts = {
        "devices": devices(bench), "published": published(bench), "declared": declared(), "builds": builds(bench),
        "arenas": arenas(bench),
    }  # fmt: skip
    parts["about"] = about(bench, time.monotonic() - began)
    if given.print:
        print("\n\n".join(parts.values()))
        return
    text = PAGE.read_text(encoding="utf-8")
    for name, body in parts.items():
        text = replaced(text, name, body)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
