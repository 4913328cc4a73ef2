"""What tools have left inside a model file: versions, converter settings, author, labels, appended archives.

Source: field lists of the public schemas of TensorFlow's conversion metadata and of TFLite Support's model metadata
(identifier M001); both are flatbuffers inside a buffer of the model. All of it is untrusted text.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

from tinymlsec.errors import ModelFileError
from tinymlsec.target.tflite.flatbuffer import Flatbuffer, View
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.schema import Table, parse_table

_LINES: dict[str, str] = {
    "ConversionMetadata": "environment:Environment options:ConversionOptions",
    "Environment": "tensorflow_version:str api_version:u32 model_type:i32 model_hash:u64",
    "ConversionOptions": (
        "model_optimization_modes:[i32] allow_custom_ops:bool enable_select_tf_ops:bool force_select_tf_ops:bool"
    ),
    "ModelMetadata": (
        "name:str description:str version:str subgraph_metadata:[SubGraphMetadata] author:str license:str "
        "associated_files:[AssociatedFile] min_parser_version:str"
    ),
    "SubGraphMetadata": (
        "name:str description:str input_tensor_metadata:[TensorMetadata] output_tensor_metadata:[TensorMetadata] "
        "associated_files:[AssociatedFile]"
    ),
    "TensorMetadata": "name:str description:str - - - - associated_files:[AssociatedFile]",
    "AssociatedFile": "name:str description:str type:i8 locale:str",
}
_TABLES: dict[str, Table] = {name: parse_table(name, line, _LINES) for name, line in _LINES.items()}

_MODEL_TYPES = (
    "unknown",
    "TensorFlow SavedModel",
    "Keras model",
    "TensorFlow concrete functions",
    "TensorFlow GraphDef",
    "TensorFlow session",
    "JAX",
    "PyTorch",
)
_OPTIMIZATIONS = {
    1001: "post-training float16",
    1002: "post-training dynamic range",
    1003: "post-training full integer",
    1004: "post-training int16",
    2000: "quantization-aware training",
    3001: "random sparsity",
    3002: "block sparsity",
    3003: "structured sparsity",
}

MAX_TEXT = 4_096
"""Characters kept of one text."""
MAX_ENTRIES = 256
"""Metadata entries, tables or archive members that are listed."""
MAX_METADATA_BYTES = 65_536
"""Bytes looked at of one metadata buffer."""
MAX_TREES = 4
"""Metadata buffers that are parsed as tables; honest files have one or two."""
MAX_LABEL_BYTES = 65_536
"""Bytes unpacked of one label file."""


def metadata_facts(model: Model) -> list[dict[str, Any]]:
    """Every metadata entry: name, buffer, size, and what its content says as far as it is known."""
    facts: list[dict[str, Any]] = []
    for entry in model.metadata[:MAX_ENTRIES]:
        data = bytes(model.buffers[entry.buffer].data[:MAX_METADATA_BYTES])
        known = len([fact for fact in facts if isinstance(fact["content"], dict)]) < MAX_TREES
        facts.append(
            {
                "name": entry.name[:MAX_TEXT],
                "buffer": entry.buffer,
                "bytes": len(model.buffers[entry.buffer].data),
                "offset": model.buffers[entry.buffer].offset,
                "content": _content(entry.name, data) if known else printable(data),
            }
        )
    return facts


def _content(name: str, data: bytes) -> Any:
    try:
        if name == "CONVERSION_METADATA":
            return _conversion(_root("ConversionMetadata", data))
        if data[4:8] == b"M001":
            return _tree(_root("ModelMetadata", data))
    except ModelFileError as error:
        return {"unreadable": error.message}
    return printable(data)


def printable(data: bytes) -> str | None:
    """The bytes as text when they are text padded with zeros, else None."""
    text = data.rstrip(b"\x00")[:MAX_TEXT].decode("utf-8", "replace")
    return text if text.isprintable() else None


def _root(name: str, data: bytes) -> View:
    return Flatbuffer(memoryview(data)).root(_TABLES[name])


def _conversion(view: View) -> dict[str, Any]:
    environment = view.follow("environment", _TABLES["Environment"])
    options = view.follow("options", _TABLES["ConversionOptions"])
    facts: dict[str, Any] = {}
    if environment is not None:
        kind = environment.value("model_type")
        facts["tensorflow_version"] = environment.text("tensorflow_version")[:MAX_TEXT]
        facts["api_version"] = environment.value("api_version")
        facts["source_format"] = _MODEL_TYPES[kind] if 0 <= kind < len(_MODEL_TYPES) else f"unknown ({kind})"
        facts["model_hash"] = environment.value("model_hash")
    if options is not None:
        modes = (options.values("model_optimization_modes") or ())[:MAX_ENTRIES]
        facts["optimizations"] = [_OPTIMIZATIONS.get(mode, f"unknown ({mode})") for mode in modes]
        for flag in ("allow_custom_ops", "enable_select_tf_ops", "force_select_tf_ops"):
            facts[flag] = options.value(flag)
    return facts


def _tree(view: View) -> dict[str, Any]:
    """Texts and numbers of a metadata table and of the tables below it; the tables form no cycles by their types."""
    facts: dict[str, Any] = {}
    for field in view.table.fields:
        if field.kind == "string" and view.locate(field) is not None:
            facts[field.name] = view.text(field.name)[:MAX_TEXT]
        elif field.kind == "scalar":
            facts[field.name] = view.value(field.name)
        elif field.kind == "tables" and field.table is not None:
            children = view.views(field.name, _TABLES[field.table], MAX_ENTRIES)
            if children:
                facts[field.name] = [_tree(child) for child in children]
    return facts


def archive_facts(data: bytes) -> list[dict[str, Any]]:
    """Members of a zip archive appended to the model (label and vocabulary files); text members with their lines.

    Only the first 64 KiB of a text are unpacked, so a zip bomb stays small.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [_member(archive, info) for info in archive.infolist()[:MAX_ENTRIES]]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, OverflowError):
        return []


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": info.filename[:MAX_TEXT], "bytes": info.file_size}
    if not info.filename.lower().endswith((".txt", ".csv", ".json")) or info.flag_bits & 1:
        return facts
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return facts
    try:
        with archive.open(info) as member:
            text = member.read(MAX_LABEL_BYTES).decode("utf-8", "replace")
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, zlib.error):
        return facts | {"lines": None}
    return facts | {"lines": [line[:MAX_TEXT] for line in text.splitlines()[:MAX_ENTRIES]]}
