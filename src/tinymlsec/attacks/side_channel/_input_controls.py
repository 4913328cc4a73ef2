"""Controls of input recovery: a layer that leaks loudly, and traces in which nothing speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.attacks.side_channel._input_layer import first_layer
from tinymlsec.attacks.side_channel._input_recovery import Noisy, Recovery
from tinymlsec.attacks.side_channel._input_scores import of_guess, of_recovered, uniform_guess
from tinymlsec.errors import CapabilityMissing
from tinymlsec.records import Control, Metric

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import Core
    from tinymlsec.emulate.leakage import Leakage

SIDE, DEPTH, FILTERS = 8, 2, 8
INPUTS, BEAM = 3, 64
LOUD = Noisy(snr=100.0)
ENOUGH = 0.95
"""Share of the loud twin's values that must be exact."""
LUCK = 0.05
"""Share of values that may be right in noise alone; 1 in 256 is expected."""


def small_convolution(rng: np.random.Generator) -> bytes:
    """A model of one convolution, 3 x 3 over 8 x 8 x 2 with a border, 8 filters of random weights."""
    from tinymlsec.target.tflite.builder import GraphBuilder

    builder = GraphBuilder("convolution control twin")
    x = builder.input((1, SIDE, SIDE, DEPTH), scale=0.05, zero_point=-3)
    weights = builder.constant(rng.integers(-127, 128, (FILTERS, 3, 3, DEPTH)).astype(np.int8), scale=0.01)
    bias = builder.constant(rng.integers(-500, 500, FILTERS).astype(np.int32), scale=0.0005)
    options = {"padding": 0, "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1}
    builder.output(builder.op("CONV_2D", [x, weights, bias], scale=0.1, zero_point=5, options=options))
    return builder.tobytes()


def controls(core: Core, leakage: Leakage, style: str, rng: np.random.Generator) -> tuple[Control, Control]:
    """Both of them on the same twin: once as it is, once with its signal replaced by a constant."""
    from tinymlsec.emulate.codegen.style import Style
    from tinymlsec.emulate.twin import build_twin

    twin = build_twin(small_convolution(rng), core, style=Style(style))
    layer = first_layer(twin.model)
    secret = rng.integers(-128, 128, (INPUTS, layer.size))
    guess = uniform_guess(layer.size)
    try:
        with Recovery(twin, layer, leakage, FILTERS, BEAM, rng) as recovery:
            loud = [recovery.recover(recovery.measured(x), LOUD, guess.prior, rng).codes for x in secret]
            silence = recovery.silenced()
            quiet = [recovery.recover(silence, LOUD, guess.prior, rng).codes for _ in secret]
    except CapabilityMissing as error:
        return _blind(error.message)
    found, luck, guessed = (of_recovered(secret, np.stack(loud)), of_recovered(secret, np.stack(quiet)),
                            of_guess(secret, guess))  # fmt: skip
    share, lucky, n = float(found.exact.mean()), float(luck.exact.mean()), secret.size
    return (
        Control(
            kind="positive", twin=f"convolution with {FILTERS} filters over {SIDE} x {SIDE} x {DEPTH} at a "
            f"signal-to-noise ratio of {LOUD.snr:g}", succeeded=share >= ENOUGH,
            detail=f"{round(share * n)} of {n} values exact from one trace each",
            metrics=(Metric.of("inputs_recovered", share, n=n),),
        ),
        Control(
            kind="negative", twin="the same layer with a constant signal under the noise",
            succeeded=lucky <= LUCK and luck.error.mean() > 0.9 * guessed.error.mean(),
            detail=f"{round(lucky * n)} of {n} values by luck; error {luck.error.mean():.1f} steps, "
            f"{guessed.error.mean():.1f} for the best guess",
            metrics=(Metric.of("inputs_recovered", lucky, n=n),),
        ),
    )  # fmt: skip


def _blind(words: str) -> tuple[Control, Control]:
    return (
        Control(kind="positive", twin="convolution control twin", succeeded=False, detail=words),
        Control(kind="negative", twin="convolution control twin", succeeded=True, detail=words),
    )
