"""Data and helpers that the training tests share."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from tinymlsec import examples
from tinymlsec.lift.graph import LiftedGraph
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.tflite.reader import read_model


def digits() -> dict[str, np.ndarray]:
    """The bundled digits with images as int8 codes."""
    with np.load(io.BytesIO(examples.digits_data()), allow_pickle=False) as file:
        data = {name: file[name] for name in ("x", "y", "x_train", "y_train")}
    for name in ("x", "x_train"):
        data[name] = np.clip(np.rint(data[name] / np.float32(16 / 255)) - 128, -128, 127).astype(np.int8)
    return data


def images(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """Codes and labels of a zip of JPEG images whose folders begin with the label."""
    from PIL import Image

    with zipfile.ZipFile(archive) as held:
        names = sorted(name for name in held.namelist() if name.endswith(".jpg"))
        pixels = np.stack([np.array(Image.open(io.BytesIO(held.read(name))).convert("RGB")) for name in names])
    return (pixels.astype(np.int16) - 128).astype(np.int8), np.array([int(name.split("_")[0]) for name in names])


def lifted_outputs(model: bytes, codes: np.ndarray) -> np.ndarray:
    outputs = LiftedGraph(read_model(model)).predict(codes)
    return outputs.reshape(len(codes), -1)


def runtime_outputs(model: bytes, codes: np.ndarray) -> np.ndarray:
    with OraclePool(1) as pool:
        return pool.open(model).run(codes).reshape(len(codes), -1)


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(outputs.argmax(1) == labels))
