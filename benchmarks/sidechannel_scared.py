"""The peer's side of sidechannel.py, in an environment of its own: a word a line, run once, answered in JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import scared


def main() -> None:
    folder = Path(sys.argv[1])
    samples, classes = np.load(folder / "samples.npy"), np.load(folder / "classes.npy")
    guesses, real = np.load(folder / "guesses.npy"), samples.astype(np.float32)

    def correlation(kind: type, traces: np.ndarray) -> np.ndarray:
        made = kind(precision="float32")
        made.update(traces, guesses)
        return np.unravel_index(np.nanargmax(made.compute()), (guesses.shape[1], samples.shape[1]))

    def ratio() -> np.ndarray:
        made = scared.SNRDistinguisher(partitions=np.arange(256), precision="float32")
        made.update(samples, classes[:, None])
        return made.compute().argmax()

    work = {
        "cpa": lambda: correlation(scared.CPADistinguisher, real),
        "cpa alternative": lambda: correlation(scared.CPAAlternativeDistinguisher, real),
        "snr": ratio,
    }
    print(json.dumps({"version": scared.__version__}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        found = work[line.strip()]()
        times = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"wall": times[0], "cpu": times[1], "found": np.ravel(found).tolist()}), flush=True)


if __name__ == "__main__":
    main()
