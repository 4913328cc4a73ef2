"""Coverage-guided fuzzing of the scanner's parsers by atheris, which is installed in an environment of its own.

    pip install atheris && python tests/fuzz/fuzz_atheris.py rules --runs 50000 [--keep FOLDER]

Ends with another code than 0 when an input raises what it must not, takes more than 10 s, or more than 1 GB of memory;
the input is kept. Inputs that reached new code stay in the corpus folder, if one is named, for the next run.

`image` runs in pieces of 8,000 with one corpus folder and different seeds: atheris keeps some 46 KB of each execution
of this target, which would end a longer run at the bound of memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["tinymlsec"]):
    from fuzz.scan_targets import TARGETS, Target
    from tinymlsec.rules.discovery import rule_book

    rule_book()
    for warm in sys.argv[1:2]:  # modules that are imported at the first use must be instrumented as well
        for seed in TARGETS[warm].seeds()[:40] if warm in TARGETS else ():
            TARGETS[warm].use(seed)

SECONDS, MEGABYTES = 10, 1024


def prepare(target: Target, folder: Path) -> None:
    """Writes the files to start from."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (folder / f"seed{number:04d}").write_bytes(data[: target.longest])


def knowing_mutator(target: Target, seed: int) -> Callable[[bytes, int, int], bytes]:
    """Every other input comes from a mutator that knows the format; the others are damaged by libFuzzer's own."""
    stream, coin = target.mutator(np.random.default_rng(seed)), np.random.default_rng(seed)

    def mutate(data: bytes, longest: int, _: int) -> bytes:
        if coin.integers(2):
            return stream.next()[:longest]
        return bytes(atheris.Mutate(data, longest))

    return mutate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(), help="folder for inputs that fail")
    parser.add_argument("--corpus", type=Path, help="folder of inputs that reached new code")
    options = parser.parse_args()
    target = TARGETS[options.target]
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="tinymlsec-corpus-"))
    prepare(target, corpus)
    options.keep.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-runs={options.runs}", f"-seed={options.seed}", f"-max_len={target.longest}", f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={options.keep}/{options.target}-", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup(
        [sys.argv[0], *flags, str(corpus)], lambda data: target.use(data) and None,
        custom_mutator=knowing_mutator(target, options.seed) if target.knowing else None,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == "__main__":
    main()
