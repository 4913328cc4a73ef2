"""Small models and firmwares whose timing is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinymlsec.attacks.side_channel._timing_twins import (
    _CLAMP,
    _MASKED,
    _SCALED,
    _SIGNED,
    FIXED,
    REQUANTIZE,
    rebuilt,
)
from tinymlsec.context import Context
from tinymlsec.evidence import Observation
from tinymlsec.registry import Attack, EffortLevel
from tinymlsec.target.data import Dataset
from tinymlsec.target.device import Device, load_device
from tinymlsec.target.space import input_space
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.classifiers import dense_int8
from tinymlsec.target.tflite.reader import read_model

M4, M0, M3, RISCV = "stm32l4r5zi", "rp2040", "stm32f103c8", "esp32-c3"
SIGN_BRANCH = {REQUANTIZE: (_SCALED, _SIGNED.replace("TMS_DELAY", "40"))}
NO_BRANCH = {FIXED: (_CLAMP, _MASKED)}


def dense() -> bytes:
    """Two dense layers, 16 to 32 to 4, with random weights: no operator that needs a choice."""
    builder, rng = GraphBuilder("dense"), np.random.default_rng(3)
    x = builder.input((1, 16), "int8", 0.05, 3)
    hidden = dense_int8(
        builder, x, rng.normal(0, 1, (32, 16)), rng.normal(0, 0.1, 32), output_scale=0.05, output_zero_point=-128,
        activation="RELU", name="hidden",
    )  # fmt: skip
    out = dense_int8(
        builder, hidden, rng.normal(0, 1, (4, 32)), np.zeros(4), output_scale=0.2, output_zero_point=0, name="out"
    )
    builder.output(out)
    return builder.tobytes()


def softmax() -> bytes:
    """The same with a softmax at its end, whose exponentials and normalization have choices."""
    builder, rng = GraphBuilder("softmax"), np.random.default_rng(3)
    x = builder.input((1, 16), "int8", 0.05, 3)
    scores = dense_int8(
        builder, x, rng.normal(0, 1, (4, 16)), np.zeros(4), output_scale=0.1, output_zero_point=0, name="scores"
    )
    builder.output(builder.op("SOFTMAX", [scores], scale=1 / 256, zero_point=-128, options={"beta": 1.0}))
    return builder.tobytes()


def pooled() -> bytes:
    """An average over 3 x 3 places: a division by 9."""
    builder = GraphBuilder("pooled")
    x = builder.input((1, 6, 6, 2), "int8", 0.05, 3)
    options = {"padding": 1, "stride_w": 3, "stride_h": 3, "filter_width": 3, "filter_height": 3,
               "fused_activation_function": "NONE"}  # fmt: skip
    builder.output(builder.op("AVERAGE_POOL_2D", [x], scale=0.05, zero_point=3, options=options))
    return builder.tobytes()


def target_of(data: bytes, device: str | Device = M4, samples: Dataset | None = None, style: str = "plain",
              changes: Any = None) -> Target:  # fmt: skip
    """A target; with changed kernels where `changes` says so."""
    model = read_model(data)
    board = load_device(device) if isinstance(device, str) else device
    target = Target("test", data, model, input_space(model), dataset=samples, device=board)
    if changes is not None:
        target.__dict__["_twins"] = {style: rebuilt(target.twin(style), changes)}
    return target


def run(attack: Attack[Any], target: Target, seed: int = 0, **config: Any) -> Observation:
    """The attack at a quick effort."""

    def nobody(data: bytes) -> Any:
        raise AssertionError("no victim is asked")

    settings = attack.configure(EffortLevel.QUICK, config)
    return attack(target, settings, Context(np.random.default_rng(seed), nobody))
