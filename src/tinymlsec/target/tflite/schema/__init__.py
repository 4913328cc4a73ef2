"""The TensorFlow Lite schema as data: names, tables, scalar types. Used alike by the reader and the writer.

>>> table("Conv2DOptions").by_name["stride_w"].slot
1
>>> enum_name("BuiltinOperator", 3)
'CONV_2D'
"""

from __future__ import annotations

from tinymlsec.target.tflite.schema.names import ENUMS, enum_name, enum_names, enum_number, enum_storage
from tinymlsec.target.tflite.schema.scalars import (
    BITS,
    SCALARS,
    TENSOR_TYPES,
    Scalar,
    byte_size,
    element_dtype,
    tensor_type_name,
    tensor_type_number,
)
from tinymlsec.target.tflite.schema.tables import OPTION_UNIONS, Field, Kind, Table, options_union, parse_table, table

FILE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every .tflite file of schema version 3."""

SCHEMA_VERSION = 3
"""The only value of Model.version that today's runtimes accept."""

__all__ = [
    "BITS",
    "ENUMS",
    "FILE_IDENTIFIER",
    "OPTION_UNIONS",
    "SCALARS",
    "SCHEMA_VERSION",
    "TENSOR_TYPES",
    "Field",
    "Kind",
    "Scalar",
    "Table",
    "byte_size",
    "element_dtype",
    "enum_name",
    "enum_names",
    "enum_number",
    "enum_storage",
    "options_union",
    "parse_table",
    "table",
    "tensor_type_name",
    "tensor_type_number",
]
