"""The leakage assessment of our kernels on the real models, as Markdown tables.

    python benchmarks/leakage_table.py ../shared/data [--effort standard] [--devices rp2040,esp32-c3] [--styles plain]
    python benchmarks/leakage_table.py ../shared/data --models kws --layers
    python benchmarks/leakage_table.py ../shared/data --models kws --leakage hamming_distance,bus

Writes the table to standard output, a row at a time; with --layers one row for each layer.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing_table import MODELS, target_of

from tinymlsec.attacks.side_channel.leakage_assessment import leakage_assessment
from tinymlsec.context import Context
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.examples import digits_model
from tinymlsec.registry import EffortLevel
from tinymlsec.target.device import load_device
from tinymlsec.target.space import input_space
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.reader import read_model

HEAD = (
    "| model | core | style | leakage | against inputs: windows that alarm | largest abs. t | traces needed | against "
    "weights: windows that alarm | largest abs. t | traces needed | paths part in | verdict | CPU s |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)
LAYERS = (
    "| layer | window: instructions (of the layer) | inputs: abs. t | samples that alarm | weights: abs. t | samples "
    "that alarm | SNR of sums (by chance) | worst line |\n|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--effort", default="standard")
    parser.add_argument("--devices", default="stm32l4r5zi")
    parser.add_argument("--styles", default="plain,unrolled,dsp")
    parser.add_argument("--leakage", default="hamming_weight")
    parser.add_argument("--models", default=",".join(["digits", *MODELS]))
    parser.add_argument("--layers", action="store_true")
    options = parser.parse_args()
    print(LAYERS if options.layers else HEAD, flush=True)
    for name in options.models.split(","):
        for device in options.devices.split(","):
            for style in options.styles.split(","):
                for leakage in options.leakage.split(","):
                    report(options, name, device, {"style": style, "leakage": leakage})


def report(options: Any, name: str, device: str, change: dict[str, str]) -> None:
    target = _digits(device) if name == "digits" else target_of(options.folder, name, device)
    before = _cpu()
    try:
        seen = run(target, leakage_assessment.configure(EffortLevel(options.effort), change))
    except CapabilityMissing as missing:
        print(f"| {name} | {device} | {change['style']} | skipped: {missing.message} |", flush=True)
        return
    core = target.twin(change["style"]).core.id
    head = f"| {name} | {core} | {change['style']} | {change['leakage']} |"
    lines = layer_rows(seen) if options.layers else [f"{head} {cells(seen, _cpu() - before)}"]
    print("\n".join(lines), flush=True)


def _digits(device: str) -> Target:
    model = read_model(digits_model())
    return Target("digits", digits_model(), model, input_space(model), device=load_device(device))


def run(target: Target, config: Any) -> Observation:
    def nobody(data: bytes) -> Any:
        raise AssertionError("no victim is asked")

    return leakage_assessment(target, config, Context(np.random.default_rng(1), nobody))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def cells(seen: Observation, seconds: float) -> str:
    rows = seen.facts["layers"]
    told = []
    for against in ("inputs", "weights"):
        here = [(row, row[against]) for row in rows if against in row]
        if not here:
            told += ["no weights", "", ""]
            continue
        rang = sum(s["share_of_samples_that_alarm"] > 0 for _, s in here)
        row, worst = max(here, key=lambda pair: largest(pair[1]))
        needed = worst["traces_needed"]
        told += [
            f"{rang} of {len(here)}",
            f"{largest(worst):.1f} ({row['operator']}: {row['name']})",
            "none" if needed is None else f"{needed[0]:,} ({needed[1]:,} to {needed[2]:,})",
        ]
    parted = [f"{r['operator']}: {r['name']}" for r in rows if r["inputs"]["traces_on_another_path"]]
    where = "none" if not parted else ", ".join(parted) if len(parted) < 4 else f"{len(parted)} layers"
    return " | ".join([*told, where, seen.verdict.kind.value, f"{seconds:.0f}"]) + " |"


def largest(row: dict[str, Any]) -> float:
    return float(max(row["largest_t_of_means"], row["largest_t_of_variances"]))


def layer_rows(seen: Observation) -> list[str]:
    made = []
    for row in seen.facts["layers"]:
        told = []
        for against in ("inputs", "weights"):
            s = row.get(against)
            told += ["", ""] if s is None else [f"{largest(s):.1f}", f"{s['share_of_samples_that_alarm']:.1%}"]
        ratios = [s["ratios"].get("accumulator") for s in (row["inputs"], row.get("weights")) if s is not None]
        sums = max(filter(None, ratios), key=lambda r: r["ratio"], default=None)
        points = [p for p in seen.facts["worst_points"] if p["operator"] == row["operator"]]
        worst = f"`{points[0]['instruction']}` {points[0]['line']}" if points else "none"
        ratio = "" if sums is None else f"{sums['ratio']:.2f} ({sums['largest_with_shuffled_labels']:.2f})"
        part = f"{row['instructions']:,} ({row['of_the_layer']:,})"
        made.append(f"| {row['operator']}: {row['name']} | {part} | {' | '.join(told)} | {ratio} | {worst} |")
    return made


if __name__ == "__main__":
    main()
