"""Fuzz target of the .tflite reader: damaged files must end in a model or a ModelFileError, soon and in little memory.

    python tests/fuzz/fuzz_reader.py --count 100000 --seed 1 [--keep FOLDER] [model.tflite ...]

Ends with 1 and keeps the file when anything else is raised or a file takes too long. What is read is used as well:
every constant, the numeric kind, all facts as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.campaign import run_campaign
from fuzz.mutate import Mutator
from models.handmade import SEEDS
from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.facts import file_facts
from tinymlsec.target.tflite.reader import read_model

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


def campaign(seeds: list[bytes], count: int, seed: int, keep: Path | None) -> dict[str, object]:
    """Tries `count` damaged files; see `run_campaign`."""
    mutator = Mutator(seeds, np.random.default_rng(seed))
    return run_campaign(mutator.next, exercise, count, f"seed {seed}", keep, ".tflite")


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
    return 1 if summary["failures"] or int(str(summary["peak_megabytes"])) > MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
