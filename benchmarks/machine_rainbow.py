"""The peer's side of benchmarks/machine.py; runs in an environment of its own with donjon-rainbow.

    python benchmarks/machine_rainbow.py ELF FUNCTION RETURN_ADDRESS REPEATS

Traces the Hamming weight of registers over a function of an ELF; prints instructions and seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time

from rainbow import HammingWeight, TraceConfig
from rainbow.generics import rainbow_cortexm

RAM = (0x20000000, 0x200FFFFF)


def main(elf: str, function: str, back: str, repeats: str) -> None:
    """Runs the function again and again and prints what it took."""
    emulator = rainbow_cortexm(trace_config=TraceConfig(register=HammingWeight(), instruction=True))
    emulator.load(elf)
    emulator.map_space(*RAM)
    emulator.setup()
    start, end = int(emulator.functions[function]), int(back, 0)
    rows = []
    for _ in range(int(repeats)):
        emulator.reset()
        emulator["sp"] = RAM[0] + 0x2000
        emulator["lr"] = end | 1
        began, cpu = time.perf_counter(), time.process_time()
        emulator.start(start & ~1, end)
        rows.append((len(emulator.trace), time.perf_counter() - began, time.process_time() - cpu))
    print(json.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
