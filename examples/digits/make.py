"""Remakes the bundled example: trains, quantizes, packs, checks, and writes model and data.

Run from anywhere, with tinymlsec and its test extra installed:

    python examples/digits/make.py --out src/tinymlsec/examples/digits
"""

from __future__ import annotations

import argparse
import io
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from dataset import Digits, load
from package import pack
from quantize import INPUT_GRID, quantize
from reference import Reference
from train import Recipe, train
from windows import Array

from tinymlsec.target.tflite.reader import read_model


def main() -> None:
    arguments = parse_arguments()
    started = time.perf_counter()
    digits = load()
    with one_thread():
        network = train(digits.x_train, digits.y_train, Recipe(seed=arguments.seed, epochs=arguments.epochs))
    model = pack(quantize(network, digits.x_train))
    data = pack_data(digits)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "digits.tflite").write_bytes(model)
    (arguments.out / "digits.npz").write_bytes(data)
    print(f"parameters           {network.parameters}")
    print(f"float accuracy       {network.accuracy(digits.x_test, digits.y_test):.4f} on {len(digits.y_test)} held-out")
    print(f"int8 accuracy        {integer_accuracy(model, digits.x_test, digits.y_test):.4f}")
    print(f"training accuracy    {network.accuracy(digits.x_train, digits.y_train):.4f} on {len(digits.y_train)}")
    print(f"digits.tflite        {len(model)} bytes")
    print(f"digits.npz           {len(data)} bytes")
    print(f"seconds              {time.perf_counter() - started:.1f}")


def parse_arguments() -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser(description="Remake the digits example.")
    parser.add_argument("--out", type=Path, required=True, help="folder for digits.tflite and digits.npz")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--epochs", type=int, default=default.epochs)
    return parser.parse_args()


def one_thread() -> AbstractContextManager[object]:
    """Keeps linear algebra on one thread: matrices this small are multiplied faster so, and always in one order."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def integer_accuracy(model: bytes, x: Array, y: Array) -> float:
    """Accuracy of the packed file, read back and run in integers."""
    outputs = Reference(read_model(model)).run(INPUT_GRID.codes(x))
    return float(np.mean(outputs.argmax(1) == y))


def pack_data(digits: Digits) -> bytes:
    """The .npz: the held-out images as x, y; the training images beside them. The same bytes each time."""
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        x=digits.x_test,
        y=digits.y_test,
        x_train=digits.x_train,
        y_train=digits.y_train,
        class_names=np.array([str(digit) for digit in range(10)]),
        task=np.array("classification"),
    )
    return stream.getvalue()


if __name__ == "__main__":
    main()
