"""The layers of the example in float32 NumPy, each with its gradient. Images are (n, height, width, channels).

Weights are kept in the layout of the .tflite file, so that quantization needs no transposition.
"""

from __future__ import annotations

import numpy as np
from windows import Array, pad_same, scatter, windows


class Layer:
    """A step of the network; `parameters` and `gradients` are parallel lists, empty where nothing is learned."""

    name = ""

    def __init__(self) -> None:
        self.parameters: list[Array] = []
        self.gradients: list[Array] = []

    def forward(self, x: Array) -> Array:
        """The layer's output; keeps what `backward` needs."""
        raise TypeError(f"{type(self).__name__} has no forward step")

    def backward(self, gradient: Array) -> Array:
        """Gradient for the input of the last `forward`; fills `gradients`."""
        raise TypeError(f"{type(self).__name__} has no backward step")


class Weighted(Layer):
    """A layer with weights and one bias per output channel, and optionally a ReLU that the converter would fuse."""

    def __init__(self, name: str, weight: Array, channels: int, *, relu: bool) -> None:
        super().__init__()
        self.name, self.relu = name, relu
        self.parameters = [weight.astype(np.float32), np.zeros(channels, np.float32)]
        self.gradients = [np.zeros_like(p) for p in self.parameters]
        self.active: Array = np.zeros(0, bool)

    @property
    def weight(self) -> Array:
        """The weights in the layout of the .tflite file."""
        return self.parameters[0]

    @property
    def bias(self) -> Array:
        """One value per output channel."""
        return self.parameters[1]

    def activate(self, y: Array) -> Array:
        """The fused ReLU, or y itself."""
        if not self.relu:
            return y
        self.active = y > 0
        return y * self.active

    def through_activation(self, gradient: Array) -> Array:
        """Gradient before the fused ReLU."""
        return gradient * self.active if self.relu else gradient


class Conv(Weighted):
    """Convolution with SAME padding; weight (out, kernel, kernel, in)."""

    def __init__(
        self, name: str, rng: np.random.Generator, kernel: int, inputs: int, outputs: int, stride: int
    ) -> None:
        shape = (outputs, kernel, kernel, inputs)
        weight = rng.normal(0, np.sqrt(2 / (kernel * kernel * inputs)), shape)  # He et al., ICCV 2015
        super().__init__(name, weight, outputs, relu=True)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        seen = windows(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)
        self.columns = seen.reshape(*seen.shape[:3], -1)
        return self.activate(self.columns @ self.weight.reshape(len(self.weight), -1).T + self.bias)

    def backward(self, gradient: Array) -> Array:
        gradient = self.through_activation(gradient)
        flat = gradient.reshape(-1, gradient.shape[-1])
        columns = self.columns.reshape(len(flat), -1)
        self.gradients = [(flat.T @ columns).reshape(self.weight.shape), flat.sum(0)]
        back = (flat @ self.weight.reshape(len(self.weight), -1)).reshape(
            *gradient.shape[:3], self.kernel, self.kernel, self.shape[-1]
        )
        return scatter(back, self.shape, self.kernel, self.stride)


class Depthwise(Weighted):
    """One filter per channel with SAME padding; weight (1, kernel, kernel, channels)."""

    def __init__(self, name: str, rng: np.random.Generator, kernel: int, channels: int) -> None:
        weight = rng.normal(0, np.sqrt(2) / kernel, (1, kernel, kernel, channels))
        super().__init__(name, weight, channels, relu=True)
        self.kernel, self.stride = kernel, 1

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        self.seen = windows(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)
        return self.activate(np.einsum("nhwijc,ijc->nhwc", self.seen, self.weight[0]) + self.bias)

    def backward(self, gradient: Array) -> Array:
        gradient = self.through_activation(gradient)
        weight = np.einsum("nhwijc,nhwc->ijc", self.seen, gradient)
        self.gradients = [weight[None], gradient.sum((0, 1, 2))]
        return scatter(gradient[:, :, :, None, None] * self.weight[0], self.shape, self.kernel, self.stride)


class AveragePool(Layer):
    """Mean of each block of 2 x 2 pixels."""

    size = 2

    def forward(self, x: Array) -> Array:
        n, height, width, channels = x.shape
        blocks = x.reshape(n, height // self.size, self.size, width // self.size, self.size, channels)
        return np.asarray(blocks.mean((2, 4)))

    def backward(self, gradient: Array) -> Array:
        return gradient.repeat(self.size, 1).repeat(self.size, 2) / np.float32(self.size**2)


class Flatten(Layer):
    """(n, ...) to (n, features)."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient: Array) -> Array:
        return gradient.reshape(self.shape)


class Dense(Weighted):
    """Fully connected layer without activation; weight (out, in)."""

    def __init__(self, name: str, rng: np.random.Generator, inputs: int, outputs: int) -> None:
        super().__init__(name, rng.normal(0, np.sqrt(1 / inputs), (outputs, inputs)), outputs, relu=False)

    def forward(self, x: Array) -> Array:
        self.input = x
        return self.activate(x @ self.weight.T + self.bias)

    def backward(self, gradient: Array) -> Array:
        self.gradients = [gradient.T @ self.input, gradient.sum(0)]
        return gradient @ self.weight
