"""What a file that is not a .tflite model looks like, so that the error can say it."""

from __future__ import annotations

import re

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (a Keras .h5 model or weights)"),
    (b"\x7fELF", "an ELF file (firmware or a program)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"GGUF", "a GGUF file (a language model for llama.cpp)"),
    (b"UF2\n", "a UF2 firmware image"),
    (b"\x93NUMPY", "a NumPy .npy array"),
    (b"RIFF", "a RIFF file (sound or image)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"MZ", "a Windows program"),
    (b"version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded (git lfs pull)"),
)
_TEXT: tuple[tuple[bytes, str], ...] = (
    (rb"(?i)\s*<(!doctype|html|\?xml)", "an HTML or XML page (a download that went wrong?)"),
    (rb"\s*[\[{]\s*[\"{\[\]}\d]", "JSON text"),
    (rb":[0-9A-Fa-f]{10,}\r?\n", "an Intel HEX firmware image"),
    (rb"(?s).{0,4096}\bunsigned char\b", "C source; if it holds the model as an array, turn it back into bytes first"),
)


def looks_like(head: bytes, size: int) -> str:
    """Best guess in words of what a file is.

    Args:
        head: its first bytes; 4 KiB are enough.
        size: its length in bytes.
    """
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    for pattern, words in _TEXT:
        if re.match(pattern, head):
            return words
    return _binary(head, size)


def _zip(head: bytes) -> str:
    if b"data.pkl" in head:
        return "a PyTorch file (a zip that holds a pickle)"
    if b".npy" in head:
        return "a NumPy .npz archive"
    if b"model.weights.h5" in head or b"metadata.json" in head:
        return "a Keras .keras file (a zip)"
    return "a zip archive"


def _binary(head: bytes, size: int) -> str:
    identifier = head[4:8]
    if identifier[:2] == b"ET" and identifier[2:].isdigit():
        return "an ExecuTorch program (.pte)"
    if re.fullmatch(rb"TFL\d", identifier):
        return f"a .tflite file of another schema version ({identifier.decode()})"
    if head[:1] == b"\x08" and re.search(rb"onnx|pytorch|tf2onnx|skl2onnx|ai\.onnx", head):
        return "an ONNX model"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle (never opened by this tool)"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "a safetensors file"
    if not head.strip(b"\x00"):
        return "a file of zeros"
    if re.fullmatch(rb"[A-Z][A-Z0-9]{3}", identifier):
        return f"another kind of flatbuffer (identifier {identifier.decode()})"
    if re.fullmatch(rb"[\t\n\r\x20-\x7e]+", head):
        return "plain text"
    return f"unknown bytes, beginning {head[:8].hex(' ')}"
