"""Files on disk: what is said about each thing that is no model, and where bytes outside the flatbuffer are found."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models.handmade import build, dense, opcode, operator, tensor
from tinymlsec.errors import InputError, ModelFileError
from tinymlsec.target.tflite.limits import MAX_FILE_BYTES
from tinymlsec.target.tflite.reader import read_model, read_model_file


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


OTHERS: dict[str, tuple[bytes, str]] = {
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x051.1.0" + bytes(100), "ONNX"),
    "keras h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "keras zip": (zipped("metadata.json"), "Keras"),
    "pytorch": (zipped("archive/data.pkl"), "PyTorch"),
    "npz": (zipped("x.npy"), ".npz"),
    "npy": (npy(), ".npy"),
    "zip": (zipped("readme"), "zip archive"),
    "elf": (b"\x7fELF" + bytes(60), "ELF"),
    "intel hex": (b":10010000214601360121470136007EFE09D2190140\r\n", "Intel HEX"),
    "uf2": (b"UF2\n" + bytes(60), "UF2"),
    "gzip": (b"\x1f\x8b\x08" + bytes(60), "gzip"),
    "json": (b'{"layers": []}', "JSON"),
    "html": (b"<!DOCTYPE html><title>404</title>", "HTML"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
    "c array": (b"#include <stdint.h>\nconst unsigned char model[] = {0x1c};\n", "C source"),
    "pickle": (pickle.dumps({"a": 1}), "pickle"),
    "executorch": (bytes((32, 0, 0, 0)) + b"ET12" + bytes(60), "ExecuTorch"),
    "gguf": (b"GGUF" + bytes(60), "GGUF"),
    "safetensors": ((20).to_bytes(8, "little") + b'{"a": 1}            ' + bytes(8), "safetensors"),
    "older tflite": (bytes((32, 0, 0, 0)) + b"TFL2" + bytes(60), "another schema version (TFL2)"),
    "other flatbuffer": (bytes((32, 0, 0, 0)) + b"ARRO" + bytes(60), "identifier ARRO"),
    "zeros": (bytes(64), "zeros"),
    "text": (b"hello, world, this is text", "plain text"),
    "noise": (bytes(range(130, 200)), "unknown bytes, beginning 82 83"),
    "two bytes": (b"\x82\x83", "unknown bytes, beginning 82 83"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_something_else_is_named(name: str, tmp_path: Path) -> None:
    content, words = OTHERS[name]
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"not a \.tflite model") as caught:
        read_model_file(path)
    assert words in (caught.value.found or "")
    assert "TFL3" in (caught.value.expected or "")
    assert caught.value.next_step
    assert str(caught.value).startswith("model.tflite: ")


def test_file_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(dense())
    model, data = read_model_file(path)
    assert data == dense()
    assert model.main.operators == read_model(data).main.operators


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the model file") as caught:
        read_model_file(tmp_path / "none.tflite")
    assert caught.value.found == "No such file or directory"


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        read_model_file(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.tflite"
    path.touch()
    with pytest.raises(ModelFileError, match="empty"):
        read_model_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        read_model_file(tmp_path / "pipe")


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ModelFileError, match="too large"):
        read_model_file(path)


def test_result_does_not_let_the_bytes_be_changed() -> None:
    data = bytearray(dense())
    model = read_model(data)
    with pytest.raises(TypeError):
        model.buffers[1].data[0] = 1  # type: ignore[index]
    scale = model.main.tensors[1].quantization.scale
    with pytest.raises(ValueError, match="read-only"):
        scale[0] = 1.0


def test_buffers_and_custom_options_after_the_flatbuffer() -> None:
    def file(where: int) -> bytes:
        op = operator(0, (0,), (0,), None, LargeCustomOptionsOffset=where, LargeCustomOptionsSize=3)
        graph = ("SubGraph", {"Tensors": [tensor("t", (4,), "INT8", 1)], "Operators": [op]})
        buffers = [("Buffer", {}), ("Buffer", {"Offset": where + 3, "Size": 4}), ("Buffer", {"Offset": 1, "Size": 1})]
        code = opcode("CUSTOM", CustomCode="Big")
        return build({"OperatorCodes": [code], "Subgraphs": [graph], "Buffers": buffers}, tail=b"abc\x01\x02\x03\x04")

    where = len(file(1000)) - 7
    model = read_model(file(where))
    assert bytes(model.buffers[1].data) == b"\x01\x02\x03\x04"
    assert model.buffers[1].offset == where + 3
    assert bytes(model.buffers[2].data) == b""  # offset 1 is a converter's placeholder
    assert model.main.operators[0].custom_options == b"abc"
    assert model.main.operators[0].label == "Big"
