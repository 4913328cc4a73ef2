"""Which models can be lifted, answered without PyTorch: planning asks this before anything heavy is imported."""

from __future__ import annotations

from importlib.util import find_spec

from tinymlsec.target.tflite.graph import Model

OPERATORS = frozenset(
    {
        "ADD",
        "ASSIGN_VARIABLE",
        "AVERAGE_POOL_2D",
        "CALL_ONCE",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEQUANTIZE",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PACK",
        "PAD",
        "PADV2",
        "QUANTIZE",
        "READ_VARIABLE",
        "RELU",
        "RELU6",
        "RESHAPE",
        "SHAPE",
        "SOFTMAX",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "TANH",
        "TRANSPOSE",
        "VAR_HANDLE",
    }
)
"""Names of the operators that the tables of `tinymlsec.lift.ops` cover; a test holds the two equal."""
HOW_TO_INSTALL = "pip install 'tinymlsec[lift]'"
STILL = "attacks that only ask the runtime still work"


def torch_installed() -> bool:
    """True where PyTorch can be imported; it is not imported for this."""
    return find_spec("torch") is not None


def obstacle(model: Model) -> str | None:
    """Why this model cannot be lifted, as far as names of operators tell; None where they do not speak against it.

    Types and options of each operator, and equality with the runtime, are checked when the graph is first asked for.
    """
    if not torch_installed():
        return f"needs tinymlsec[lift]: {HOW_TO_INSTALL}"
    ports = len(model.main.inputs), len(model.main.outputs)
    if ports != (1, 1):
        return f"only models with one input and one output are lifted; this one has {ports[0]} and {ports[1]}"
    missing = sorted({op.label[:40] for graph in model.subgraphs for op in graph.operators} - OPERATORS)
    if missing:
        return f"operators that are not lifted: {', '.join(missing[:8])} (tinymlsec list ops)"
    return None
