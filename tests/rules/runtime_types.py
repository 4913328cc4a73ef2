"""Asks a runtime which types of data its kernels take: one small model for each operator and type, run once.

A type counts as not taken only where the runtime says so in words about types. A model that it refuses for another
reason, such as a scale that its kernel fixes, says nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from rules.corpus import one_op
from rules.corpus.one_op import Const, Feed, OneOp, Part, out
from tinymlsec.errors import OracleError, OracleRejected
from tinymlsec.scan.confirm import _pool
from tinymlsec.target.oracle import OraclePool
from tinymlsec.target.tflite.builder import TensorSpec

TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
SCALED = ("int8", "uint8", "int16")
UNARY = (
    "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG", "LOGICAL_NOT",
    "LOGISTIC", "LOG_SOFTMAX", "NEG", "RELU", "RELU6", "ROUND", "RSQRT", "SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH",
    "ZEROS_LIKE",
)  # fmt: skip
BINARY = ("ADD", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB")
COMPARING = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "NOT_EQUAL")
OTHERS = (
    one_op.ARG_MAX, one_op.POOL, one_op.BATCH_TO_SPACE, one_op.CONCAT, one_op.DEPTH_TO_SPACE, one_op.DIV,
    one_op.EXPAND_DIMS, one_op.GATHER, one_op.GATHER_ND, one_op.MEAN, one_op.PAD, one_op.SPACE_TO_BATCH,
    one_op.SPACE_TO_DEPTH, one_op.SPLIT, one_op.SPLIT_V, one_op.STRIDED,
)  # fmt: skip
_ABOUT_TYPES = re.compile(r"support|[Tt]ype|kTfLite")
_FIXED = ("scale", "zero_point", "zero point")


def models() -> list[OneOp]:
    """Float models, one an operator."""
    unary = [OneOp(name, (Feed((2, 4)),), (out((2, 4)),)) for name in UNARY]
    pairs = [OneOp(name, (Feed((2, 4)), Feed((2, 4))), (out((2, 4)),)) for name in BINARY]
    compared = [OneOp(name, (Feed((2, 4)), Feed((2, 4))), (out((2, 4), "bool"),)) for name in COMPARING]
    return [*unary, *pairs, *compared, *OTHERS]


def retyped(model: OneOp, dtype: str) -> OneOp:
    """The model with another type in place of float32."""
    return replace(
        model, inputs=tuple(_part(part, dtype) for part in model.inputs),
        outputs=tuple(_spec(spec, dtype) for spec in model.outputs),
    )  # fmt: skip


def _part(part: Part, dtype: str) -> Part:
    scale = 0.5 if dtype in SCALED else None
    if isinstance(part, Feed) and part.dtype == "float32":
        return Feed(part.shape, dtype, scale)
    if isinstance(part, Const) and np.asarray(part.values).dtype == np.float32:
        return Const(np.ones_like(part.values), dtype, scale)
    return part


def _spec(spec: TensorSpec, dtype: str) -> TensorSpec:
    if spec.dtype != "float32":
        return spec
    return TensorSpec(spec.shape, dtype, 0.5 if dtype in SCALED else None)


def taken(pool: OraclePool, model: OneOp) -> bool | None:
    """Whether a runtime runs it; None where it stops for something else than a type."""
    try:
        handle = pool.open(model.file())
        handle.run_all([np.zeros((1, *detail.shape), detail.dtype) for detail in handle.inputs])
    except OracleRejected as error:
        said = error.message
        return False if _ABOUT_TYPES.search(said) and not any(word in said for word in _FIXED) else None
    except OracleError:
        return None
    return True


def types_of(runtime: str) -> dict[str, list[str]]:
    """Operator -> types that are not refused, of those that were tried; operators that take none are left out."""
    found: dict[str, list[str]] = {}
    with _pool(runtime, None) as pool:
        for model in models():
            answers = {dtype: taken(pool, retyped(model, dtype)) for dtype in TYPES}
            if any(answers.values()):
                found[model.name] = [dtype for dtype, answer in answers.items() if answer is not False]
    return dict(sorted(found.items()))
