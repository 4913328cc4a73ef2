"""Fuzz target of the .tflite reader: damaged files must end in a model or a ModelFileError, soon and in little memory.

    python tests/fuzz/fuzz_reader.py --count 100000 --seed 1 [--keep FOLDER] [model.tflite ...]

Ends with 1 and keeps the file when anything else is raised or a file takes too long. What is read is used as well:
every constant, the numeric kind, all facts as JSON.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import re
import resource
import sys
import time
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.mutate import Mutator
from models.handmade import SEEDS
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.facts import file_facts
from tinymlsec.target.tflite.reader import read_model

SECONDS_PER_FILE = 2.0
MEGABYTES = 1024


def exercise(data: bytes) -> str:
    """Reads a file and uses what was read; returns what became of it."""
    try:
        model = read_model(data)
    except ModelFileError as error:
        return "refused: " + re.sub(r"( \(file offset|[0-9'\"]).*", "", error.message)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            with contextlib.suppress(ModelFileError):
                constant(model, tensor)
    json.dumps(file_facts(model, data), allow_nan=False).encode()
    return "read"


def peak_megabytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20) if sys.platform == "darwin" else peak // 1024


def campaign(seeds: list[bytes], count: int, seed: int, keep: Path | None) -> dict[str, object]:
    """Tries `count` damaged files.

    Returns:
        Summary: outcomes, files a second, slowest file, peak memory, and the failures, which should be none.
    """
    mutator = Mutator(seeds, np.random.default_rng(seed))
    outcomes: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    slowest = 0.0
    begin = time.perf_counter()
    for number in range(count):
        data = mutator.next()
        start = time.process_time()
        try:
            outcomes[exercise(data)] += 1
            problem = ""
        except Exception:  # any other error is what we look for
            problem = traceback.format_exc()
        seconds = time.process_time() - start
        slowest = max(slowest, seconds)
        if seconds > SECONDS_PER_FILE:
            problem = problem or f"took {seconds:.1f} s"
        if problem:
            failures.append(f"file {number} of seed {seed}: {problem}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"seed{seed}_file{number}.tflite").write_bytes(data)
    elapsed = time.perf_counter() - begin
    return {
        "count": count,
        "files_per_second": round(count / elapsed, 1),
        "slowest_ms": round(1e3 * slowest, 1),
        "peak_megabytes": peak_megabytes(),
        "outcomes": dict(outcomes.most_common()),
        "failures": failures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="sound models to start from, beside the built-in ones")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that make the reader fail")
    options = parser.parse_args()
    seeds = [make() for make in SEEDS.values()] + [path.read_bytes() for path in options.models]
    summary = campaign(seeds, options.count, options.seed, options.keep)
    print(json.dumps(summary, indent=1))
    return 1 if summary["failures"] or peak_megabytes() > MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
