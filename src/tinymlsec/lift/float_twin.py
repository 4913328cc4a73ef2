"""The float twin: the same graph computed in real numbers, for training from scratch and for calibration.

It takes its topology from any .tflite file, quantized or not, and has one parameter for each weight and bias, in the
file's shape and in real units. Batch normalization can stand behind every convolution while it learns (Ioffe and
Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", ICML 2015);
`FloatTwin.folded` multiplies it into the weights, so that the file's operators are enough again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinymlsec.errors import UnsupportedModelError
from tinymlsec.lift.border import core_entry, logits_tensor
from tinymlsec.lift.float_kernels import KERNELS, Call, activate
from tinymlsec.lift.layers import Layer, Weights, layers, own_weights, real_value
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Model, Operator
from tinymlsec.target.tflite.graph import Tensor as TensorInfo


class FloatTwin(nn.Module):
    """A model's graph on real numbers.

    Args:
        model: the topology. Activations must have a leading dimension of 1.
        weights: real weights by tensor number; None for those that the file holds.
        normalize: put batch normalization behind every CONV_2D and DEPTHWISE_CONV_2D that has a bias.

    Raises:
        UnsupportedModelError: an operator that the twin does not know, or a leading dimension other than 1.
    """

    def __init__(self, model: Model, weights: Weights | None = None, *, normalize: bool = False) -> None:
        super().__init__()
        self.model, self.graph = model, model.main
        self.layers = {layer.op.index: layer for layer in layers(model)}
        _check(model)
        self.entry, self.logits = core_entry(model), logits_tensor(model)
        values = own_weights(model) if weights is None else weights
        self.real = nn.ParameterDict({str(t): nn.Parameter(torch.tensor(v)) for t, v in sorted(values.items())})
        self.constants = {t.index: torch.tensor(real_value(model, t)) for t in self._constant_tensors()}
        self.norms = nn.ModuleDict(
            {str(i): nn.BatchNorm1d(self._channels(layer)) for i, layer in self.layers.items() if self._has_norm(layer)}
            if normalize
            else {}
        )

    def _constant_tensors(self) -> list[TensorInfo]:
        held = {t for op in self.graph.operators for t in op.inputs if t >= 0} - {int(name) for name in self.real}
        return [self.graph.tensors[t] for t in sorted(held) if constant(self.model, self.graph.tensors[t]) is not None]

    def _channels(self, layer: Layer) -> int:
        return self.graph.tensors[layer.weight].shape[layer.axis]

    def _has_norm(self, layer: Layer) -> bool:
        return layer.op.name != "FULLY_CONNECTED" and layer.bias is not None

    def initialize(self, generator: torch.Generator) -> None:
        """New weights: normal with the variance that keeps the size of activations under ReLU (He, Zhang, Ren and Sun,
        "Delving deep into rectifiers", ICCV 2015); biases zero."""
        for layer in self.layers.values():
            weight = self.real[str(layer.weight)]
            fan_in = weight.numel() // self._channels(layer)
            with torch.no_grad():
                weight.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
                if layer.bias is not None:
                    self.real[str(layer.bias)].zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Scores before the last SOFTMAX or LOGISTIC.

        Args:
            x: (n, *sample shape) float32, real units.

        Returns:
            (n, k) float32.
        """
        wanted: list[Tensor] = []

        def keep(tensor: int, value: Tensor) -> None:
            if tensor == self.logits:
                wanted.append(value)

        self.visit(x, keep)
        return wanted[0].reshape(len(x), -1)

    def visit(self, x: Tensor, see: Callable[[int, Tensor], None]) -> None:
        """Run the graph and show every computed value, the input's first.

        Args:
            x: (n, *sample shape) float32, real units.
            see: called with tensor number and value (n, ...).
        """
        value = x.reshape(len(x), *self.graph.tensors[self.entry].shape[1:])
        values = {**self.constants, **{int(t): p for t, p in self.real.items()}, self.entry: value}
        see(self.entry, value)
        for op in self.graph.operators:
            if op.inputs and all(t in values for t in op.inputs if t >= 0) and op.outputs[0] not in values:
                values[op.outputs[0]] = self._compute(op, values)
                see(op.outputs[0], values[op.outputs[0]])

    def _compute(self, op: Operator, values: dict[int, Tensor]) -> Tensor:
        inputs = [values[t] for t in op.inputs if t >= 0]
        integers = [_integers(self.graph.tensors[t], values[t]) for t in op.inputs if t >= 0]
        x = KERNELS[op.name](Call(op, inputs, integers, self.graph.tensors[op.outputs[0]].shape))
        if str(op.index) in self.norms:
            x = self.norms[str(op.index)](x.reshape(-1, x.shape[-1])).reshape(x.shape)
        return activate(x, int(op.options.get("fused_activation_function") or 0))  # type: ignore[arg-type]

    @torch.no_grad()
    def folded(self) -> dict[int, NDArray[np.float32]]:
        """Real weights and biases by tensor number, with batch normalization multiplied in (its running averages)."""
        result = {int(t): p.detach().clone() for t, p in self.real.items()}
        for index, layer in self.layers.items():
            norm = dict(self.norms.items()).get(str(index))
            if isinstance(norm, nn.BatchNorm1d) and layer.bias is not None:
                assert norm.running_mean is not None
                assert norm.running_var is not None
                factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                shape = [1] * result[layer.weight].ndim
                shape[layer.axis] = -1
                result[layer.weight] *= factor.reshape(shape)
                result[layer.bias] = (result[layer.bias] - norm.running_mean) * factor + norm.bias
        return {t: value.numpy() for t, value in result.items()}


def _integers(tensor: TensorInfo, value: Tensor) -> tuple[int, ...] | None:
    """Axes, paddings and shapes; biases, which are int32 as well, have scales."""
    if tensor.dtype not in ("int32", "int64") or (tensor.quantization is not None and tensor.quantization.scale.size):
        return None
    return tuple(int(v) for v in value.reshape(-1))


def _check(model: Model) -> None:
    for op in model.main.operators:
        shape = model.main.tensors[op.outputs[0]].shape if op.outputs else ()
        if op.name not in KERNELS or len(op.outputs) != 1 or shape[:1] != (1,):
            raise UnsupportedModelError(
                f"operator {op.index} ({op.label[:80]}) has no float twin",
                offset=op.offset,
                found=f"output {shape}",
                expected="one output with a leading 1, from " + ", ".join(KERNELS),
                next_step="fine-tune the integer graph with its scales as they are, or use another topology",
            )
