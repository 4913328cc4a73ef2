"""The tables a .tflite file is made of: model, subgraphs, tensors, operators and their helpers.

One line a table; the notation is explained in :mod:`tinymlsec.target.tflite.schema.tables`.
Source: the field list of the public TensorFlow Lite schema, version 3 (2.18), as the `tflite` package publishes it; a
test compares every slot, type and default with that package.
"""

from __future__ import annotations

STRUCTURE: dict[str, str] = {
    "Model": (
        "version:u32 operator_codes:[OperatorCode] subgraphs:[SubGraph] description:str buffers:[Buffer] "
        "metadata_buffer:[i32] metadata:[Metadata] signature_defs:[SignatureDef]"
    ),
    "OperatorCode": "deprecated_builtin_code:i8 custom_code:str version:i32=1 builtin_code:BuiltinOperator",
    "SubGraph": "tensors:[Tensor] inputs:[i32] outputs:[i32] operators:[Operator] name:str debug_metadata_index:i32=-1",
    "Tensor": (
        "shape:[i32] type:TensorType buffer:u32 name:str quantization:QuantizationParameters is_variable:bool "
        "sparsity:SparsityParameters shape_signature:[i32] has_rank:bool variant_tensors:[VariantSubType]"
    ),
    "QuantizationParameters": (
        "min:[f32] max:[f32] scale:[f32] zero_point:[i64] details_type:QuantizationDetails details:union "
        "quantized_dimension:i32"
    ),
    "CustomQuantization": "custom:[u8]",
    "SparsityParameters": "traversal_order:[i32] block_map:[i32] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": (
        "format:DimensionType dense_size:i32 array_segments_type:SparseIndexVector array_segments:union "
        "array_indices_type:SparseIndexVector array_indices:union"
    ),
    "Int32Vector": "values:[i32]",
    "Uint16Vector": "values:[u16]",
    "Uint8Vector": "values:[u8]",
    "VariantSubType": "shape:[i32] type:TensorType has_rank:bool",
    "Operator": (
        "opcode_index:u32 inputs:[i32] outputs:[i32] builtin_options_type:BuiltinOptions builtin_options:union "
        "custom_options:[u8] custom_options_format:CustomOptionsFormat mutating_variable_inputs:[bool] "
        "intermediates:[i32] large_custom_options_offset:u64 large_custom_options_size:u64 "
        "builtin_options_2_type:BuiltinOptions2 builtin_options_2:union debug_metadata_index:i32=-1"
    ),
    "Buffer": "data:[u8] offset:u64 size:u64",
    "Metadata": "name:str buffer:u32",
    "TensorMap": "name:str tensor_index:u32",
    "SignatureDef": "inputs:[TensorMap] outputs:[TensorMap] signature_key:str - subgraph_index:u32",
}
