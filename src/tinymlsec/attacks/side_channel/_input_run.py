"""Input recovery on a target: secret inputs, curve, controls, decisions on what was recovered, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.analysis.intervals import Interval, Share, bootstrap, share_of
from tinymlsec.attacks._asking import random_codes
from tinymlsec.attacks.side_channel._input_controls import controls
from tinymlsec.attacks.side_channel._input_layer import FirstLayer, code_table, first_layer
from tinymlsec.attacks.side_channel._input_pictures import pictures_of
from tinymlsec.attacks.side_channel._input_recovery import Noisy, Recovery
from tinymlsec.attacks.side_channel._input_scores import (
    Guess,
    Quality,
    Rows,
    gain,
    guess_from,
    of_guess,
    of_recovered,
    uniform_guess,
)
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.errors import CapabilityMissing
from tinymlsec.records import Artifact, Control, Curve, CurvePoint

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._input_decode import Rest
    from tinymlsec.attacks.side_channel.input_from_trace import InputFromTraceConfig
    from tinymlsec.context import Context
    from tinymlsec.figures import Pictures
    from tinymlsec.target.space import Codes
    from tinymlsec.target.target import Target

FEWEST = 3
"""Inputs that are recovered at least, however large they are."""
CURVED, CURVED_VALUES = 3, 1500
"""Inputs behind each point of a curve at most, and values in all where inputs are large."""
TRACES, OF_LARGE = (1, 3, 10, 30, 100), (1, 10, 100)
"""Traces of an inference at which the curves are drawn; fewer where one input has more values than are to be read."""
FEW_DATA = 10
"""Inputs of the data, beside those attacked, from which a guess is made."""


@dataclass(frozen=True)
class Done:
    """Everything that the attack saw."""

    found: Quality
    guessed: Quality
    gain: tuple[float, Interval]
    """Share of the guess's error that the traces take away."""
    decided: Share | None
    """Inputs on which the model decides on the recovered input as on the true one."""
    decided_guess: Share | None
    size: int
    curves: tuple[Curve, ...]
    pictures: tuple[Pictures, ...]
    positive: Control
    negative: Control
    artifacts: tuple[Artifact, ...]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Secrets:
    """What is attacked."""

    inputs: Codes
    """(n, ...) of the model."""
    fed: Rows
    """(n, size) of the layer."""
    guess: Guess
    """What is known without traces."""
    prior: NDArray[np.float64]
    """What the attack takes for known."""
    table: NDArray[np.int64]
    """(256,) codes of the layer by code of the model."""
    codes: NDArray[np.int64]
    """(256,) codes of the model."""
    source: str
    """Where the inputs are from."""


def run(target: Target, config: InputFromTraceConfig, context: Context) -> Done:
    """The attack.

    Raises:
        CapabilityMissing: the first layer cannot be followed; says why.
    """
    model = target.model
    assert model is not None
    layer, streams = first_layer(model), context.rng.spawn(5)
    if layer.name == "DEPTHWISE_CONV_2D" and config.style != "plain" and len(layer.windows[0].channels) == 1:
        raise CapabilityMissing(
            "depthwise first layers of several input channels are only covered in the plain style", found=config.style
        )
    twin, leakage = target.twin(config.style), Leakage(config.leakage)
    secrets = _secrets(target, layer, config, context, streams[0])
    positive, negative = controls(twin.core, leakage, config.style, streams[1])
    context.progress(0, len(secrets.fed), "profiling an identical build")
    with Recovery(twin, layer, leakage, config.channels, config.beam, streams[2]) as recovery:
        noisy = Noisy(config.snr, config.traces)
        clean, found, curved = [], [], max(1, min(CURVED, CURVED_VALUES // layer.size))
        for number, secret in enumerate(secrets.fed):
            context.progress(number, len(secrets.fed), f"input {number + 1} of {len(secrets.fed)}")
            signal = recovery.measured(secret)
            found.append(recovery.recover(signal, noisy, secrets.prior, streams[3]).codes)
            clean += [signal] if number < curved else []
        recovered = np.stack(found)
        curves = _curves(recovery, clean, secrets, config, streams[3], context)
        facts = _facts(recovery, secrets, config)
    scores, guessed = of_recovered(secrets.fed, recovered), of_guess(secrets.fed, secrets.guess)
    decided, decided_guess = _decided(target, secrets, recovered)
    shape = model.main.tensors[layer.input_tensor].shape
    return Done(
        scores, guessed, gain(scores, guessed, streams[4]), decided, decided_guess, layer.size, curves,
        pictures_of(secrets.fed, recovered, secrets.guess, shape, noisy), positive, negative,
        (
            context.save_arrays(
                "inputs-from-traces.npz", "Codes of the first layer's input: true and recovered.",
                true=secrets.fed.astype(np.int8), recovered=recovered.astype(np.int8),
            ),
        ),
        facts,
    )  # fmt: skip


def _secrets(
    target: Target, layer: FirstLayer, config: InputFromTraceConfig, context: Context, rng: np.random.Generator
) -> _Secrets:
    """Inputs to be recovered: of the data where there is some, else random ones."""
    victim, model = target.require_victim(), target.model
    assert model is not None
    if not victim.space.is_grid:
        raise CapabilityMissing("the model computes in floating point: there are no codes to recover")
    codes = np.arange(round(victim.space.low), round(victim.space.high) + 1)
    if len(codes) > 256:
        raise CapabilityMissing("inputs of 16 bits are not covered", found=victim.space.code_dtype)

    def ask(data: bytes, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        return context.victim_of(data).raw(inputs)

    table = code_table(model, target.data, layer, codes.astype(victim.space.code_dtype), ask)
    count = max(FEWEST, min(config.inputs, config.values // layer.size))
    if target.dataset is None:
        inputs, source = random_codes(rng, victim.space, count), "random codes"
        fed, guess = _fed(inputs, codes, table), uniform_guess(layer.size)
    else:
        order = rng.permutation(target.dataset.n)
        inputs, source = target.dataset.x[order[:count]], "the data"
        fed, others = _fed(inputs, codes, table), _fed(target.dataset.x[order[count:]], codes, table)
        guess = guess_from(others) if len(others) >= FEW_DATA else uniform_guess(layer.size)
    prior = guess.prior if config.prior == "data" else uniform_guess(layer.size).prior
    return _Secrets(inputs, fed, guess, prior, table, codes, source)


def _fed(inputs: Codes, codes: NDArray[np.int64], table: NDArray[np.int64]) -> Rows:
    """What the layer is fed."""
    fed: Rows = table[inputs.reshape(len(inputs), -1).astype(np.int64) - codes[0]]
    return fed


def _curves(
    recovery: Recovery,
    clean: list[Rest],
    secrets: _Secrets,
    config: InputFromTraceConfig,
    rng: np.random.Generator,
    context: Context,
) -> tuple[Curve, ...]:
    """Share of exact values against averaged traces, at the ratio and, of inputs that are not large, a tenth of it."""
    true = secrets.fed[: len(clean)]
    guessed = float(of_guess(true, secrets.guess).exact.mean())
    curves = []
    large = true.shape[1] > config.values
    ratios, counts = ((config.snr,), OF_LARGE) if large else ((config.snr, config.snr / 10), TRACES)
    for number, snr in enumerate(ratios):
        points = []
        for place, traces in enumerate(counts):
            done = number * len(counts) + place
            context.progress(done, len(ratios) * len(counts), f"curve at a ratio of {snr:g}")
            noisy = Noisy(snr, traces)
            codes = np.stack([recovery.recover(signal, noisy, secrets.prior, rng).codes for signal in clean])
            share = of_recovered(true, codes).exact
            low, high = bootstrap(share, rng)
            points.append(CurvePoint(x=traces, y=float(share.mean()), low=low, high=high, n=len(share)))
        curves.append(
            Curve(
                title=f"Input values recovered exactly, signal-to-noise ratio {snr:g}",
                x_label="traces of the same inference", metric="inputs_recovered", points=tuple(points), log_x=True,
                chance=guessed,
            )
        )  # fmt: skip
    return tuple(curves)


def _decided(target: Target, secrets: _Secrets, recovered: Rows) -> tuple[Share | None, Share | None]:
    """How often the model decides alike on the recovered input, and on the guess; None where it takes no decision."""
    victim = target.require_victim()
    if not victim.task.decides:
        return None, None
    true = victim.decisions(victim.scores(secrets.inputs))
    guess = np.tile(secrets.guess.middle, (len(true), 1))
    shares = []
    for fed in (recovered, guess):
        inputs = _inputs(fed, secrets).reshape(secrets.inputs.shape).astype(secrets.inputs.dtype)
        same = victim.decisions(victim.scores(inputs)) == true
        shares.append(share_of(int(same.sum()), len(same)))
    return shares[0], shares[1]


def _inputs(fed: Rows, secrets: _Secrets) -> Rows:
    """Codes of the model that lead to, or nearest to, codes of the layer."""
    every = np.arange(-128, 128)
    nearest = np.abs(every[:, None] - secrets.table[None, :]).argmin(1)
    inputs: Rows = secrets.codes[nearest[fed + 128]]
    return inputs


def _facts(recovery: Recovery, secrets: _Secrets, config: InputFromTraceConfig) -> dict[str, Any]:
    plan, layer, shapes = recovery.plan, recovery.layer, recovery.bench.shapes
    given = ["weights", "an identical build with inputs of their own"]
    given += [f"distribution of {secrets.guess.source}"] if config.prior == "data" else []
    return {
        "given": given,
        "layer": {"operator": layer.op, "name": layer.name, "values": layer.size, "windows": len(layer.windows)},
        "channels": int(shapes[0].bundles.size),
        "samples": sum(len(s.spoken) * len(s.windows) * len(s.bundles) for s in shapes),
        "kinds_of_samples": {
            "one value": len(plan.values), "distance of two values": len(plan.two),
            "packed values": len(plan.packed), "sums": len(plan.sums), "not used": plan.unused + recovery.bench.poor,
        },
        "never_multiplied": int((~layer.covered).sum()),
        "sigma": recovery.bench.named**0.5 / config.snr**0.5,
        "guess": secrets.guess.source,
        "inputs_of": secrets.source,
    }  # fmt: skip
