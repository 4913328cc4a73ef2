"""Network and training: Adam (Kingma and Ba, ICLR 2015) with cosine decay, some images shifted by up to one pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from dataset import PIXEL_MAX
from layers import AveragePool, Conv, Dense, Depthwise, Flatten, Layer, Weighted
from windows import Array


@dataclass(frozen=True)
class Recipe:
    """Everything training depends on besides the images."""

    seed: int = 1
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    shifted_share: float = 0.3


@dataclass
class Network:
    """A stack of layers from pixels in 0..1 to logits."""

    layers: list[Layer]

    @property
    def weighted(self) -> list[Weighted]:
        """The layers that learn."""
        return [layer for layer in self.layers if isinstance(layer, Weighted)]

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(p.size for layer in self.layers for p in layer.parameters)

    def forward(self, x: Array) -> Array:
        """Logits (n, 10) of images (n, 8, 8, 1) in 0..1."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def accuracy(self, pixels: Array, labels: Array) -> float:
        """Share of images in 0..16 that are answered correctly."""
        return float(np.mean(self.forward(pixels / np.float32(PIXEL_MAX)).argmax(1) == labels))


def build_network(rng: np.random.Generator) -> Network:
    """Two convolutions, one depthwise convolution, average pooling and a fully connected layer."""
    return Network(
        [
            Conv("conv2d", rng, kernel=3, inputs=1, outputs=16, stride=1),
            Conv("conv2d_1", rng, kernel=3, inputs=16, outputs=16, stride=2),
            Depthwise("depthwise_conv2d", rng, kernel=3, channels=16),
            AveragePool(),
            Flatten(),
            Dense("dense", rng, inputs=64, outputs=10),
        ]
    )


@dataclass
class Adam:
    """Adam with decoupled weight decay on weights (Loshchilov and Hutter, ICLR 2019), none on biases."""

    network: Network
    weight_decay: float
    step_count: int = 0
    moments: dict[tuple[int, int], tuple[Array, Array]] = field(default_factory=dict)

    def step(self, rate: float) -> None:
        """One update of every parameter from the gradients of the last backward pass."""
        self.step_count += 1
        for at, layer in enumerate(self.network.layers):
            for slot, gradient in enumerate(layer.gradients):
                parameter = layer.parameters[slot]
                first, second = self.moments.get((at, slot), (np.zeros_like(parameter), np.zeros_like(parameter)))
                first = np.float32(0.9) * first + np.float32(0.1) * gradient
                second = np.float32(0.999) * second + np.float32(0.001) * gradient**2
                self.moments[at, slot] = first, second
                size = rate * np.sqrt(1 - 0.999**self.step_count) / (1 - 0.9**self.step_count)
                if slot == 0:
                    parameter *= np.float32(1 - rate * self.weight_decay)
                parameter -= np.float32(size) * first / (np.sqrt(second) + np.float32(1e-7))


def shifted(x: Array, share: float, rng: np.random.Generator) -> Array:
    """A share of the images moved by -1, 0 or 1 pixel in both directions, with empty pixels at the edge.

    The digits fill the 8 x 8 frame, so moving all of them costs more strokes at the edge than it gains.
    """
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = np.where(rng.random(len(x)) < share, rng.integers(0, 3, (2, len(x))), 1)
    at = np.arange(8)
    image = np.arange(len(x))[:, None, None]
    moved: Array = padded[image, (rows[:, None] + at)[:, :, None], (columns[:, None] + at)[:, None, :]]
    return moved


def loss_gradient(logits: Array, labels: Array) -> Array:
    """Gradient of the mean cross-entropy for the logits."""
    exponent = np.exp(logits - logits.max(1, keepdims=True))
    share = exponent / exponent.sum(1, keepdims=True)
    share[np.arange(len(labels)), labels] -= 1
    return np.asarray(share / np.float32(len(labels)))


def train(x: Array, y: Array, recipe: Recipe) -> Network:
    """A trained network; the same images, recipe, processor and library versions give the same bits.

    Args:
        x: images (n, 8, 8, 1) float32 in 0..16.
        y: labels (n,).
        recipe: seed, length and rates.
    """
    rng = np.random.default_rng(recipe.seed)
    network = build_network(rng)
    adam = Adam(network, recipe.weight_decay)
    pixels = x / np.float32(PIXEL_MAX)
    steps = recipe.epochs * (len(y) // recipe.batch)
    for _ in range(recipe.epochs):
        order = rng.permutation(len(y))[: len(y) // recipe.batch * recipe.batch]
        for rows in order.reshape(-1, recipe.batch):
            gradient = loss_gradient(network.forward(shifted(pixels[rows], recipe.shifted_share, rng)), y[rows])
            for layer in reversed(network.layers):
                gradient = layer.backward(gradient)
            adam.step(recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * adam.step_count / steps)))
    return network
