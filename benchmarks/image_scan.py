"""Times the scan of 2 MiB firmware images at the default time budget: carving alone, and with all image rules.

python benchmarks/image_scan.py [--repeat 5] [--seconds 1.0] [--firmware ELF]...

The images are filled up from firmware that is given (ELF, HEX or UF2 files); without any, from bytes made by code as in
tests/carve/surroundings.py. One thread is asked for; the wall time of a busy machine is no result, the CPU time is.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np  # noqa: E402 - after the number of threads is set

SIZE = 2 << 20


def filled(parts: list[bytes], rng: np.random.Generator, code: Callable[[], bytes]) -> bytes:
    """A vector table, the parts, and firmware bytes up to 2 MiB less 128 KiB of erased flash."""
    from carve.surroundings import vectors

    data = vectors(1024)
    for part in parts:
        data += code() + part
    while len(data) < SIZE - (128 << 10):
        data += code()
    return data[: SIZE - (128 << 10)].ljust(SIZE, b"\xff")


def images(firmware_files: list[Path]) -> dict[str, bytes]:
    from carve.corpus import models
    from carve.encoders import encrypt, heatshrink, lz4_block, raw_deflate, xor
    from carve.surroundings import firmware
    from tinymlsec.target.firmware import load_image, write_bin

    rng = np.random.default_rng(7)
    given = [write_bin(load_image(path)) for path in firmware_files]
    turn = iter(range(1 << 30))

    def code() -> bytes:
        return given[next(turn) % len(given)] if given else firmware(rng, 65_536)

    model = max(models().values(), key=len)
    hidden = {
        "without a model": [],
        "model in plain": [model],
        "under XOR keys of 1, 2 and 4 bytes": [xor(model, key) for key in (b"\x5a", b"\x12\x34", b"\xde\xad\xbe\xef")],
        "zlib, raw deflate, LZ4 block, heatshrink": [
            zlib.compress(model), raw_deflate(model), lz4_block(model), heatshrink(model, 8, 4),
        ],
        "1 MiB encrypted": [encrypt(bytes(1 << 20), 1)],
        "hostile: bombs and identifiers": [zlib.compress(bytes(32 << 20)) * 10, b"TFL3" * 100_000],
    }  # fmt: skip
    return {name: filled(parts, rng, code) for name, parts in hidden.items()} | {"2 MiB of noise": rng.bytes(SIZE)}


def clock(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="time budget of an image")
    parser.add_argument("--firmware", type=Path, action="append", default=[])
    options = parser.parse_args()
    from tinymlsec.scan.images import scan_image
    from tinymlsec.target.firmware.carve.carve import carve_image
    from tinymlsec.target.firmware.raw import read_raw

    print(
        f"{SIZE >> 20} MiB images, budget {options.seconds:g} s, {options.repeat} runs, load {os.getloadavg()[0]:.1f}"
    )
    print("image                                     carving CPU      all rules CPU    wall    models  not looked at")
    for name, data in images(options.firmware).items():
        carve = partial(carve_image, read_raw(data, 0), data, options.seconds)
        carving = [clock(carve)[0] for _ in range(options.repeat)]
        whole = [clock(partial(scan_image, data, seconds=options.seconds)) for _ in range(options.repeat)]
        scan = scan_image(data, seconds=options.seconds)
        print(
            f"{name:40}  {min(carving):5.2f} to {max(carving):5.2f} s  {min(c for c, _ in whole):5.2f} to "
            f"{max(c for c, _ in whole):5.2f} s  {min(w for _, w in whole):5.2f} s  {len(scan.models):3}     "
            f"{len([s for s in scan.skipped if 'budget' in s])}"
        )
    print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main()
