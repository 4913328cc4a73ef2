"""The scanner: files a second, start, and beside two scanners from PyPI on the same corpus.

    python benchmarks/scan_speed.py models [--count 1000]
    python benchmarks/scan_speed.py start
    python benchmarks/scan_speed.py peers --modelscan VENV --modelaudit VENV

`models` makes files of different digests out of the real models in ../shared/data by changing bytes of their weights,
and scans them with a cold cache. `start` measures whole processes. `peers` writes the good and bad files of
tests/rules/corpus into two folders and lets each tool scan them; the tools live in virtual environments of their own
(`pip install modelscan`, `pip install 'modelaudit[tflite]'`). Prints Markdown. Processor time stands beside wall-clock
time, since only it can be compared between an idle machine and a busy one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
JOBS = 2


def run(command: list[str], folder: Path) -> tuple[float, float, str, int]:
    """(wall seconds, processor seconds of all processes, output, exit code) of a command with an empty cache."""
    quiet = {"TINYMLSEC_CACHE": str(folder / "cache"), "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1"}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**environment, **quiet, **threads}, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, spent, done.stdout, done.returncode


def variants(folder: Path, count: int) -> list[int]:
    """Files of different digests with the sizes of real models; returns their sizes."""
    from tinymlsec.target.tflite.reader import read_model

    sources = sorted(SHARED.rglob("*.tflite"))
    if not sources:
        sys.exit(f"no models in {SHARED}")
    rng, sizes = np.random.default_rng(0), []
    for number in range(count):
        data = bytearray(sources[number % len(sources)].read_bytes())
        largest = max(read_model(bytes(data)).buffers, key=lambda b: len(b.data))
        at = (largest.offset or 0) + int(rng.integers(max(len(largest.data) - 4, 1)))
        data[at : at + 4] = number.to_bytes(4, "little")
        (folder / f"model{number:05d}.tflite").write_bytes(data)
        sizes.append(len(data))
    return sizes


def models(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        sizes = variants(folder / "models", count)
        command = [sys.executable, "-m", "tinymlsec", "scan", "models", "--jobs", str(JOBS), "--format", "json"]
        print(
            f"{count} models, {sum(sizes) / count / 1024:.0f} KiB in the mean, {len(set(sizes))} sizes, {JOBS} jobs\n"
        )
        print("| run | wall s | cpu s | files/s by wall | files/s by cpu time on two cores |\n|---|---|---|---|---|")
        for label in ("cold cache", "warm cache"):
            wall, cpu, output, code = run([*command, "--fail-on", "none"], folder)
            report = json.loads(output)
            assert code == 0
            assert len(report["files"]) == count
            assert not any(file["error"] for file in report["files"])
            print(f"| {label} | {wall:.1f} | {cpu:.1f} | {count / wall:.0f} | {2 * count / cpu:.0f} |")


def start() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variants(folder, 1)
        print("| command | wall s (min / median) | cpu s (min / median) |\n|---|---|---|")
        for arguments in (["scan", "--help"], ["scan", "model00000.tflite", "--fail-on", "none"], ["list", "rules"]):
            command = [sys.executable, "-m", "tinymlsec", *arguments]
            run(command, folder)
            taken = [run(command, folder)[:2] for _ in range(9)]
            words = [f"{min(t):.3f} / {statistics.median(t):.3f}" for t in zip(*taken, strict=True)]
            print(f"| `tinymlsec {' '.join(arguments)}` | {words[0]} | {words[1]} |")


def write_corpus(folder: Path) -> list[str]:
    """Pairs of files for rules that need no device and no firmware; returns their names."""
    sys.path.insert(0, str(ROOT / "tests"))
    from rules.corpus import all_cases
    from tinymlsec.rules.runtime import DEFAULT_RUNTIME

    names = []
    for part in ("bad", "good"):
        (folder / part).mkdir()
    for case in all_cases():
        if case.device is None and case.linked is None and case.runtime == DEFAULT_RUNTIME:
            name = re.sub(r"[^A-Za-z0-9]+", "-", case.id)[:90] + ".tflite"
            (folder / "bad" / name).write_bytes(case.bad)
            (folder / "good" / name).write_bytes(case.good)
            names.append(name)
    for path in sorted(SHARED.rglob("*.tflite")):
        (folder / "good" / f"real-{path.name}").write_bytes(path.read_bytes())
    return names


Flagged = Callable[[str], set[str]]


def by_tinymlsec(level: int) -> Flagged:
    ranks = ["none", "low", "medium", "high", "critical"]

    def flagged(output: str) -> set[str]:
        return {
            Path(file["path"]).name
            for file in json.loads(output)["files"]
            if any(ranks.index(f["severity"]) >= level for f in file["findings"])
        }

    return flagged


def by_modelscan(output: str) -> set[str]:
    report = json.loads(output[output.index("{") :], strict=False)
    return {Path(issue["source"].split(":")[0]).name for issue in report["issues"]}


def by_modelaudit(output: str) -> set[str]:
    report = json.loads(output[output.index("{") :])
    bad = [issue for issue in report["issues"] if issue["severity"] in ("critical", "warning")]
    return {Path(str(issue.get("location", "")).split(" ")[0]).name for issue in bad}


def peers(modelscan: Path | None, modelaudit: Path | None) -> None:
    ours = [sys.executable, "-m", "tinymlsec", "scan", "--jobs", str(JOBS), "--format", "json", "--fail-on", "none"]
    tools: list[tuple[str, list[str], Flagged]] = [
        ("tinymlsec, low and above", ours, by_tinymlsec(1)),
        ("tinymlsec, medium and above", ours, by_tinymlsec(2)),
    ]
    if modelscan:
        command = [str(modelscan / "bin" / "modelscan"), "scan", "-r", "json", "-p"]
        tools.append((f"modelscan {version(modelscan, 'modelscan')}", command, by_modelscan))
    if modelaudit:
        command = [str(modelaudit / "bin" / "modelaudit"), "scan", "--format", "json", "--no-cache"]
        tools.append((f"modelaudit[tflite] {version(modelaudit, 'modelaudit')}", command, by_modelaudit))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = set(write_corpus(folder))
        good = {path.name for path in (folder / "good").iterdir()}
        print(f"{len(names)} bad files, {len(good)} good ones ({len(good - names)} of them real models)\n")
        print("| tool | found | missed | false alarms on good files | wall s | cpu s |\n|---|---|---|---|---|---|")
        for tool, command, flagged in tools:
            wall, cpu, output, _ = run([*command, "bad"], folder)
            found = flagged(output) & names
            more_wall, more_cpu, output, _ = run([*command, "good"], folder)
            false = flagged(output) & good
            print(f"| {tool} | {len(found)} | {len(names - found)} | {len(false)} ({len(false - names)} real) | "
                  f"{wall + more_wall:.1f} | {cpu + more_cpu:.1f} |", flush=True)  # fmt: skip


def version(venv: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run(
        [venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("models", "start", "peers"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--modelscan", type=Path)
    parser.add_argument("--modelaudit", type=Path)
    options = parser.parse_args()
    if options.what == "models":
        models(options.count)
    elif options.what == "start":
        start()
    else:
        peers(options.modelscan, options.modelaudit)


if __name__ == "__main__":
    main()
