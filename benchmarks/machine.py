"""How fast emulated firmware is watched, beside a peer on the same ELF.

    python benchmarks/machine.py [--repeats 5] [--rainbow PYTHON]

PYTHON is an interpreter with `donjon-rainbow` and `bitstring==4.2.3`. Medians of the repeats; wall-clock and processor
time of the emulator's process. Two workloads on a Cortex-M4: one inference of MLPerf Tiny's kws (needs ../shared/data)
and a dense layer of 16 inputs and 4 outputs, run as a window again and again from a snapshot with other inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinymlsec.emulate.codegen.generator import generate
from tinymlsec.emulate.codegen.layout import firmware_files
from tinymlsec.emulate.codegen.program import Program
from tinymlsec.emulate.contract import Probe, Window
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.machine import Machine
from tinymlsec.emulate.memory_maps import memory_map
from tinymlsec.emulate.toolchain import build_firmware
from tinymlsec.target.firmware.load import load_image
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.reader import read_model

HERE = Path(__file__).resolve().parent
KWS = HERE.parents[1] / "shared" / "data" / "mlperf_tiny_kws" / "kws_ref_model.tflite"
CORE = CORES["cortex-m4"]
RUNS = 20_000
PARTS = ((0x08000000, 0x08000002),)
"""Records of next to nothing: what is measured is watching, not copying out."""


def dense_model() -> bytes:
    """16 inputs, 4 outputs, int8."""
    rng = np.random.default_rng(1)
    builder = GraphBuilder("dense 16x4")
    x = builder.input((1, 16), scale=0.05, zero_point=-3)
    weights = builder.constant(rng.integers(-127, 128, (4, 16), np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-500, 500, 4).astype(np.int32), scale=0.0005)
    builder.output(builder.op("FULLY_CONNECTED", [x, weights, bias], scale=0.1, zero_point=5, options={}))
    return builder.tobytes()


class Firmware:
    """A model as firmware, started."""

    def __init__(self, model: bytes) -> None:
        memory = memory_map(None, CORE)
        self.program: Program = generate(read_model(model))
        self.elf = build_firmware(firmware_files(self.program, CORE, memory), CORE).elf
        self.image = load_image(self.elf)
        self.machine = Machine(self.image, CORE, memory)
        self.machine.boot(self.image.symbols["tms_idle"].address)
        self.input = self.image.symbols["tms_arena"].address + (self.program.inputs[0].offset or 0)
        self.pid = self.machine.link.worker.process.pid

    def cpu(self) -> float:
        """Processor seconds of the emulator's process."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rates(work: Any, repeats: int) -> tuple[float, float, float, float]:
    """Median, least and most of units per wall second, and median units per processor second; one round before."""
    rows = [work() for _ in range(repeats + 1)][1:]
    wall = [units / seconds for units, seconds, _ in rows]
    return statistics.median(wall), min(wall), max(wall), statistics.median(u / c for u, _, c in rows if c)


def watched(firmware: Firmware, probe: Probe | None) -> Any:
    """One inference under a probe."""

    def work() -> tuple[float, float, float]:
        cpu, began = firmware.cpu(), time.perf_counter()
        result = firmware.machine.call("tms_infer", 0, 0, probe=probe)
        return result.instructions, time.perf_counter() - began, firmware.cpu() - cpu

    return work


def windowed(firmware: Firmware, take: tuple[str, ...]) -> Any:
    """Windows of the dense layer with other inputs, records reduced to columns."""
    layer = firmware.program.layers[0].symbol
    window = Window("op:0", firmware.image.symbols[layer].address)
    rows = np.random.default_rng(0).integers(0, 256, (RUNS, 16), np.uint8)

    def work() -> tuple[float, float, float]:
        cpu, began = firmware.cpu(), time.perf_counter()
        campaign = firmware.machine.campaign(window, [(firmware.input, rows)], take=take)
        assert (campaign.lengths > 100).all()
        return RUNS, time.perf_counter() - began, firmware.cpu() - cpu

    return work


def peer(python: str, firmware: Firmware, repeats: int) -> Any:
    """The same dense layer in donjon-rainbow, registers only."""
    layer, back = firmware.program.layers[0].symbol, firmware.image.symbols["tms_idle"].address
    command = [python, str(HERE / "machine_rainbow.py"), str(firmware.elf), layer, hex(back), str(10 * (repeats + 1))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    rows = json.loads(done.stdout.splitlines()[-1])[10:]
    groups = [rows[i : i + 10] for i in range(0, len(rows), 10)]
    iterator = iter([tuple(sum(column) for column in zip(*group, strict=True)) for group in [groups[0], *groups]])
    return lambda: next(iterator)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rainbow")
    arguments = parser.parse_args()
    rows: list[tuple[str, str, tuple[float, float, float, float]]] = []
    dense = Firmware(dense_model())
    if KWS.is_file():
        kws = Firmware(KWS.read_bytes())
        seen = {
            "nothing watched": None,
            "counts": Probe(counts=True),
            "registers": Probe(registers=True, ranges=PARTS),
            "registers and bus": Probe(registers=True, bus=True, ranges=PARTS),
            "registers and bus, every record kept": Probe(registers=True, bus=True, limit=25_000_000),
        }
        for name, probe in seen.items():
            rows.append((f"kws inference, {name}", "instructions/s", rates(watched(kws, probe), arguments.repeats)))
    for take in (("hw",), ("hd", "hw", "bus_hd", "bus_hw")):
        name = f"dense 16x4, windows with {', '.join(take)}"
        rows.append((name, "runs/s", rates(windowed(dense, take), arguments.repeats)))
    length = dense.machine.call(dense.program.layers[0].symbol, probe=Probe(registers=True)).instructions
    if arguments.rainbow:
        theirs = rates(peer(arguments.rainbow, dense, arguments.repeats), arguments.repeats)
        rows.append(("dense 16x4, donjon-rainbow, registers", "instructions/s", theirs))
        ours = rows[-3][2]
        rows.append(("dense 16x4, ours, windows with hw", "instructions/s", tuple(v * length for v in ours)))  # type: ignore[arg-type]
    print(f"dense layer: {length} instructions a run\n\n| work | unit | median | least | most | per cpu second |")
    print("|---|---|---|---|---|---|")
    for name, unit, figures in rows:
        print(f"| {name} | {unit} | {' | '.join(f'{value:,.0f}' for value in figures)} |")
    if arguments.rainbow:
        print(f"\nours / donjon-rainbow: {rows[-1][2][0] / rows[-2][2][0]:,.0f} (wall), "
              f"{rows[-1][2][3] / rows[-2][2][3]:,.0f} (processor)")  # fmt: skip


if __name__ == "__main__":
    main()
