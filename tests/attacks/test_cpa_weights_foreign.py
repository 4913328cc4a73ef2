"""Weights of firmware that is not ours: a kernel whose sums begin with the bias, and pairs of products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")

from emulate.foreign.foreign_builds import build, digits, interpreter_header, model_file, network
from tinymlsec.attacks.side_channel._chain import recover
from tinymlsec.attacks.side_channel._extraction import LayerResult, Strength, attack_channel
from tinymlsec.attacks.side_channel._features import bits, loaded_word
from tinymlsec.attacks.side_channel._macs import Macs, macs_of
from tinymlsec.attacks.side_channel._points import Point
from tinymlsec.attacks.side_channel._weights_foreign import ForeignBench, Kernel
from tinymlsec.emulate.foreign.description import Description
from tinymlsec.emulate.foreign.examine import Question, examine, parsed
from tinymlsec.emulate.foreign.session import Session
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model

DENSE = 1


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Description]:
    """The interpreter without symbols, and the description that is found for it."""
    elf = build(tmp_path_factory.mktemp("victim"), "interpreter", interpreter_header(network()), strip=True)
    return elf, parsed(examine(Question(elf)).suggestion)


def kernel_of(session: Session) -> Kernel:
    """The first dense layer, from where its kernel is called to where it returns."""
    layer = session.layers()[DENSE]
    stop = session.enter(layer, digits(1)).stop
    assert stop is not None
    return Kernel(DENSE, layer.invoke, stop, 1, False, layer.hit, bias_first=True)


def victim() -> tuple[Model, Macs]:
    model = read_model(model_file(network()))
    return model, macs_of(model, model.main.operators[DENSE])


def test_a_dense_layer_of_foreign_firmware_falls(firmware: tuple[Path, Description]) -> None:
    model, macs = victim()
    rng = np.random.default_rng(3)
    inputs = rng.integers(-128, 128, (600, 1, macs.length)).astype(np.int8)
    with Session.open(*firmware) as device, Session.open(*firmware) as own:
        bench = ForeignBench(device, own, kernel_of(device), 1, Leakage())
        layer = LayerResult(macs, bench.points(macs, rng))
        assert all(layer.profile.steps)
        found = [attack_channel(bench, model, layer, c, inputs, Strength(600, 1.0, 16), rng) for c in (2, 5)]
    assert all(channel.exact.all() for channel in found)
    assert all(channel.bias_exact for channel in found)


def test_the_device_keeps_its_weights_while_the_own_board_is_profiled(firmware: tuple[Path, Description]) -> None:
    with Session.open(*firmware) as device, Session.open(*firmware) as own:
        before = device.infer(digits(3))
        bench = ForeignBench(device, own, kernel_of(device), 1, Leakage())
        bench.points(victim()[1], np.random.default_rng(0))
        assert np.array_equal(device.infer(digits(3)), before)
        assert not np.array_equal(own.infer(digits(3)), before)


def test_a_layer_without_weights_is_refused(firmware: tuple[Path, Description]) -> None:
    with Session.open(*firmware) as session, pytest.raises(UsageError, match="no layer 7 with weights"):
        ForeignBench(session, session, Kernel(7, 0, 0, 1, False), 1, Leakage())


def test_windows_are_counted_over_pixels_and_channels() -> None:
    macs = victim()[1]
    together = Kernel(0, 0x100, 0x200, 2, False, 0)
    assert together.window(12, macs, 3) == "pc:0x00000100-0x00000200#6"
    apart = Kernel(0, 0x100, 0x100, 1, True)
    assert apart.window(2, macs, 3) == f"pc:0x00000100-0x00000100#{2 * macs.channels + 4}"


def test_pairs_run_over_rows_where_the_input_was_made_one_column() -> None:
    """27 products of a 3 x 3 x 3 window: six fours, then three alone, and not rows of nine."""
    macs = victim()[1]
    column = Macs(0, "CONV_2D", (0, 0), 0, 1, None, macs.inputs[:, :27], macs.weights[:, :27], 0, run=9)
    groups = Kernel(0, 0, 0, 2, False, dsp=True).groups(column)
    assert groups[:2] == ((0, 2), (1, 3))
    assert groups[4:6] == ((8, 10), (9, 11))
    assert groups[-3:] == ((24,), (25,), (26,))
    assert sorted(k for group in groups for k in group) == list(range(27))


Sums = tuple[dict[int, np.ndarray], np.ndarray, np.ndarray, list[list[Point]], list[tuple[int, ...]]]


def biased(each: int, bias: int, sigma: float) -> Sums:
    """Traces, factors, weights, points and groups of a made-up sum that begins with a bias."""
    rng = np.random.default_rng((each, abs(bias)))
    n, k = 900, 8
    weights, factors = rng.integers(-60, 60, k).astype(np.int32), rng.integers(-200, 56, (n, k)).astype(np.int32)
    weights[:2] = -9, 4  # small ones: their sums are near the bias, or far below it
    groups = [tuple(range(i, i + each)) for i in range(0, k, each)]
    sums = bias + np.cumsum([(factors[:, list(g)] * weights[list(g)]).sum(1) for g in groups], axis=0).astype(np.int32)
    shown = {i: bits(np.ascontiguousarray(row)) for i, row in enumerate(sums)}
    loads = {100 + i: bits(loaded_word(weights[None, list(g)])) for i, g in enumerate(groups)}
    traces = {at: (seen + sigma * rng.standard_normal(n)).astype(np.float32) for at, seen in (shown | loads).items()}
    steps = [
        [Point(i, "hw_sum", 1.0, 0.0, 0.0, 1.0), Point(100 + i, "hw_weight", 1.0, 0.0, 0.0, 1.0)]
        for i in range(len(groups))
    ]
    return traces, factors, weights, steps, groups


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("bias", [-143, 9000])
def test_an_unknown_bias_before_the_first_product(each: int, bias: int) -> None:
    traces, factors, weights, steps, groups = biased(each, bias, 5.0)
    chain = recover(traces, factors, steps, 5.0, 16, groups, starts=1 << 15)
    assert (chain.weights == weights).all()
    assert chain.start == bias
    assert (chain.sums == bias + factors @ weights).all()


def test_a_bias_that_is_taken_for_zero_is_fatal() -> None:
    traces, factors, weights, steps, groups = biased(1, 9000, 5.0)
    assert (recover(traces, factors, steps, 5.0, 16, groups).weights == weights).sum() <= 2
