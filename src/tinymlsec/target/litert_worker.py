"""The process in which LiteRT runs, and the only place where it does.

It speaks the protocol of the oracle's worker and is confined like it; only the runtime differs. LiteRT is what runs the
same file on PCs and phones, and so what a model is usually tested with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tinymlsec.target.oracle_worker import serve_runtime


class LiteRt:
    """LiteRT under the names that the worker uses of tflite-micro.

    Args:
        delegate: True for LiteRT's default on PCs (XNNPACK), False for its own kernels (ruy).
    """

    def __init__(self, delegate: bool) -> None:
        from ai_edge_litert import interpreter

        resolvers = interpreter.OpResolverType
        self.resolver = resolvers.AUTO if delegate else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.make = interpreter.Interpreter
        self.Interpreter = self

    def from_bytes(self, data: bytes, arena_size: int) -> LiteRtModel:
        """Loads a model; LiteRT sizes its memory itself."""
        return LiteRtModel(self.make(model_content=data, num_threads=1, experimental_op_resolver_type=self.resolver))


class LiteRtModel:
    """One interpreter of LiteRT with the calls of tflite-micro's."""

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        interpreter.allocate_tensors()
        self.inputs, self.outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def get_input_details(self, index: int) -> Mapping[str, Any]:
        """Shape, type and scale of an input."""
        return dict(self.inputs[index])

    def get_output_details(self, index: int) -> Mapping[str, Any]:
        """Shape, type and scale of an output."""
        return dict(self.outputs[index])

    def set_input(self, value: NDArray[Any], index: int) -> None:
        """Sets an input."""
        self.interpreter.set_tensor(self.inputs[index]["index"], value)

    def invoke(self) -> None:
        """Runs the model once."""
        self.interpreter.invoke()

    def get_output(self, index: int) -> NDArray[Any]:
        """A copy of an output."""
        value: NDArray[Any] = self.interpreter.get_tensor(self.outputs[index]["index"])
        return value

    def reset(self) -> None:
        """Sets variables back to their initial values."""
        self.interpreter.reset_all_variables()


def main(argument: str) -> None:
    """Entry point with LiteRT's default, XNNPACK."""
    serve_runtime(argument, lambda: LiteRt(delegate=True))


def main_without_delegate(argument: str) -> None:
    """Entry point with LiteRT's own kernels."""
    serve_runtime(argument, lambda: LiteRt(delegate=False))
