"""Shape inference: what shape each operator's outputs must have, given its inputs, constants and options.

A microcontroller runtime trusts the output shapes that a file declares; where they disagree with what the kernel
computes, it reads or writes past a buffer. So the shapes are worked out here from first principles and compared.
"""

from __future__ import annotations

from tinymlsec.target.tflite.shapes.core import (
    MAX_ELEMENTS,
    InferredShape,
    InferredShapes,
    Shape,
    ShapeError,
)
from tinymlsec.target.tflite.shapes.infer import (
    OperatorShapes,
    ShapeMismatch,
    check_shapes,
    infer_model,
    infer_output_shapes,
    known_operators,
)

__all__ = [
    "MAX_ELEMENTS",
    "InferredShape",
    "InferredShapes",
    "OperatorShapes",
    "Shape",
    "ShapeError",
    "ShapeMismatch",
    "check_shapes",
    "infer_model",
    "infer_output_shapes",
    "known_operators",
]
