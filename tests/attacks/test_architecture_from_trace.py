"""Layers recovered from one trace: loop nests, small networks, the four real models, and traces that tell nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.attack_targets import MLPERF_TINY
from tinymlsec.attacks.side_channel._arch_geometry import Guess, guesses
from tinymlsec.attacks.side_channel._arch_layer import Found
from tinymlsec.attacks.side_channel._arch_models import control_model
from tinymlsec.attacks.side_channel._arch_nest import Nest, NotALoop, learn
from tinymlsec.attacks.side_channel._arch_profile import Profile, build_profile
from tinymlsec.attacks.side_channel._arch_reader import RhythmReader
from tinymlsec.attacks.side_channel._arch_recording import random_inputs, record
from tinymlsec.attacks.side_channel._arch_run import controls, disturbed, guesses_of, input_shape
from tinymlsec.attacks.side_channel._arch_scores import correlation, sliding
from tinymlsec.attacks.side_channel._arch_search import Architecture, Recognizer, _Search
from tinymlsec.attacks.side_channel._arch_train import ends_of_train
from tinymlsec.attacks.side_channel._arch_truth import Row, TrueLayer, compared, true_layers
from tinymlsec.emulate.compilers import find_gcc, find_toolchain
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.errors import InputError

M4 = CORES["cortex-m4"]


@cache
def profile(leakage: str = "hamming_weight", compiler: str = "zig") -> Profile:
    return build_profile(M4, Leakage(leakage), np.random.default_rng(1), find_toolchain(compiler))


@cache
def small(seed: int = 3, leakage: str = "hamming_weight") -> tuple[Twin, NDArray[np.float32], tuple[TrueLayer, ...]]:
    rng = np.random.default_rng(seed)
    twin = build_twin(control_model(rng), M4, toolchain=find_toolchain("zig"))
    inputs = random_inputs(twin, rng)
    return twin, record(twin, inputs, Leakage(leakage)).samples, tuple(true_layers(twin, inputs))


@cache
def recognizer(leakage: str = "hamming_weight") -> Recognizer:
    """One for all tests: it keeps the layers that it built for the shapes of the small network."""
    return Recognizer(profile(leakage), np.random.default_rng(2))


def recognized(twin: Twin, samples: NDArray[np.float32], leakage: str = "hamming_weight") -> Architecture:
    answers = int(np.prod(twin.program.outputs[0].shape))
    return recognizer(leakage).recognize(samples, input_shape(twin), answers)


# Loop nests


def runs_of(counts: tuple[int, ...]) -> NDArray[np.int32]:
    """A kernel with an outer loop over rows, an inner one over products, and a peeled first round."""
    outer, inner = counts
    made = [1, 2]
    for _ in range(outer):
        made += [3, *[4, 5] * inner, 6]
    return np.array([*made, 7], np.int32)


def test_a_nest_tells_runs_that_it_was_not_learned_from() -> None:
    nest = learn({(a, b): runs_of((a, b)) for a in (1, 2) for b in (1, 2)})
    assert isinstance(nest, Nest)
    for counts in ((1, 1), (3, 1), (4, 7), (9, 30)):
        assert np.array_equal(nest.steps(counts), runs_of(counts))


def test_what_follows_its_data_is_no_loop() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(NotALoop, match="loop counts"):
        learn({(n,): rng.integers(0, 50, 10 + 3 * n).astype(np.int32) for n in (1, 2)})


def test_fewer_rounds_than_learned_are_refused() -> None:
    nest = learn({(a, b): runs_of((a, b)) for a in (2, 3) for b in (1, 2)})
    assert isinstance(nest, Nest)
    with pytest.raises(NotALoop, match="too few rounds"):
        nest.steps((1, 1))


@pytest.mark.slow
def test_rules_are_made_again_from_other_values() -> None:
    """Control flow does not depend on weights: rules from other own models are the same but for their levels."""
    other = build_profile(M4, Leakage(), np.random.default_rng(99), find_toolchain("zig"))
    for kind, kernel in profile().kernels.items():
        counts = (5, 3, 4) if kind != "FULLY_CONNECTED" else (5, 12)
        assert np.array_equal(
            kernel.steps((1, 0, 2, 1), counts) if kernel.borders else kernel.steps((0, 0, 0, 0), counts),
            other.kernels[kind].steps((1, 0, 2, 1), counts) if kernel.borders else
            other.kernels[kind].steps((0, 0, 0, 0), counts),
        )  # fmt: skip
    assert correlation(profile().levels, other.levels) > 0.95
    assert not profile().missing


# Geometry


def test_shapes_and_products_of_a_layer() -> None:
    guess = Guess("CONV_2D", (49, 10, 1), (10, 4), 2, "SAME")
    assert guess.output(64) == (25, 5, 64)
    assert guess.macs(64) == 320_000
    assert guess.view(0, 0) == ((4, 0, 1, 0), (6, 3))


def test_no_two_guesses_come_to_the_same() -> None:
    seen = [(g.kind, g.window, g.rows, g.columns) for g in guesses((5, 5, 2))]
    assert len(seen) == len(set(seen)) > 50


# Scores


@pytest.mark.parametrize("size", [50, 20_000])
def test_sliding_correlation_against_the_definition(size: int) -> None:
    rng = np.random.default_rng(3)
    samples, template = rng.normal(5, 2, size + 300).astype(np.float32), rng.normal(0, 1, size).astype(np.float32)
    fits = sliding(samples, template)
    for at in (0, 17, 300):
        assert fits[at] == pytest.approx(np.corrcoef(samples[at : at + size], template)[0, 1], abs=1e-5)


def test_a_constant_stretch_correlates_with_nothing() -> None:
    assert not sliding(np.ones(100, np.float32), np.arange(10, dtype=np.float32)).any()


def test_the_end_of_a_train() -> None:
    rng = np.random.default_rng(4)
    along = rng.normal(0, 1, (1, 200)).astype(np.float32)
    along[0, :57] += 8
    assert ends_of_train(along, 8.0, 1.0)[0].channels in (56, 57, 58)


def test_a_train_with_shorter_rounds_is_followed() -> None:
    rng = np.random.default_rng(5)
    along = rng.normal(0, 1, (3, 100)).astype(np.float32)
    along[0, :20] += 8
    along[1, 20:60] += 8
    train = ends_of_train(along, 8.0, 1.0)[0]
    assert train.channels in (59, 60, 61)
    assert train.flat == (20,)


# Small networks


def shapes_right(rows: list[Row]) -> int:
    return sum(row.kind and row.shape and row.macs for row in rows)


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (4, 5, 6))])
def test_a_small_network_is_read_from_one_trace(seed: int) -> None:
    twin, samples, true = small(seed)
    found = recognized(twin, samples.copy())
    assert found.whole
    assert shapes_right(compared(true, guesses_of(found))) == len(true)


@pytest.mark.slow
def test_another_leakage_model() -> None:
    twin, samples, true = small(3, "hamming_distance")
    noisy, _ = disturbed(samples.copy(), 20.0, 1, np.random.default_rng(1))
    rows = compared(true, guesses_of(recognized(twin, noisy, "hamming_distance")))
    assert shapes_right(rows) >= len(true) - 2


def test_controls_do_what_they_must() -> None:
    rng, zig = np.random.default_rng(8), find_toolchain("zig")
    positive, negative = controls(RhythmReader(profile(), rng), small()[0], Leakage(), zig, rng)
    assert positive.succeeded, positive.detail
    assert negative.succeeded, negative.detail


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_noise_around_a_constant_tells_nothing(seed: int) -> None:
    twin, samples, _ = small()
    noise = np.random.default_rng(seed).normal(samples.mean(), samples.std(), len(samples)).astype(np.float32)
    assert recognized(twin, noise).layers == ()


def test_a_constant_trace_tells_nothing() -> None:
    twin, samples, _ = small()
    assert recognized(twin, np.full(len(samples), 7.0, np.float32)).layers == ()


def test_shuffled_segments_do_not_make_the_network() -> None:
    twin, samples, true = small()
    pieces = np.array_split(samples, 400)
    order = np.random.default_rng(1).permutation(len(pieces))
    found = recognized(twin, np.concatenate([pieces[k] for k in order]))
    assert shapes_right(compared(true, guesses_of(found))) <= 1


def test_a_trace_that_ends_early_is_explained_only_so_far() -> None:
    twin, samples, true = small()
    found = recognized(twin, samples[: true[2].start + 100].copy())
    assert [layer.kind for layer in found.layers] == [true[0].kind, true[1].kind]
    assert not found.whole


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.array([1.0, np.nan], np.float32), np.zeros((2, 2), np.float32)]
)
def test_bad_traces_are_refused(samples: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="a trace"):
        disturbed(samples, 0.0, 1, np.random.default_rng(1))


def test_the_noise_has_the_ratio_that_is_asked_for() -> None:
    signal = np.random.default_rng(2).normal(3, 4, 200_000).astype(np.float32)
    made, words = disturbed(signal.copy(), 0.1, 1, np.random.default_rng(3))
    assert np.var(signal) / np.var(made - signal) == pytest.approx(0.1, rel=0.02)
    assert "ratio 0.1" in words


# Ways that turn out to be wrong


def layer(start: int, output: int, end: int, fit: float) -> Found:
    return Found("CONV_2D", (4, 4, 8), (4, 4, output), 0, start, end, fit, 100_000)


class Scripted(_Search):
    """A search that is told what it finds at each place."""

    def __init__(self, places: dict[int, list[Found]]) -> None:
        super().__init__(np.zeros(4000, np.float32), profile(), recognizer().whole, (4, 4, 8), None)
        self.places = places

    def _candidates(self) -> list[Found]:
        return list(self.places.get(self.at, []))


def outputs_of(search: _Search) -> list[int]:
    while not search.done and search.step():
        pass
    return [layer.output[-1] for layer in search.layers]


def test_a_layer_is_taken_back_where_nothing_fits_behind_it() -> None:
    good = {0: [layer(0, 8, 1000, 0.8)], 1000: [layer(1000, 7, 2000, 0.8), layer(1000, 9, 2500, 0.78)]}
    places = {**good, 2000: [layer(2000, 1, 2100, 0.45)], 2500: [layer(2500, 10, 4000, 0.8)]}
    assert outputs_of(Scripted(places)) == [8, 9, 10]
    assert outputs_of(Scripted({**places, 2000: []})) == [8, 9, 10]


def test_a_layer_two_before_is_taken_back() -> None:
    first = [layer(0, 8, 1000, 0.8), layer(0, 9, 1500, 0.79)]
    places = {0: first, 1000: [layer(1000, 7, 2000, 0.75)], 1500: [layer(1500, 10, 3000, 0.8)]}
    places |= {2000: [], 3000: [layer(3000, 11, 4000, 0.8)]}
    assert outputs_of(Scripted(places)) == [9, 10, 11]


def test_the_way_stays_where_another_is_not_better() -> None:
    places = {0: [layer(0, 8, 1000, 0.8)], 1000: [layer(1000, 7, 2000, 0.8), layer(1000, 9, 2500, 0.5)]}
    places |= {2000: [layer(2000, 10, 4000, 0.6)], 2500: [layer(2500, 11, 4000, 0.8)]}
    assert outputs_of(Scripted(places)) == [8, 7, 10]


# The real models


def real(shared_data: Path, name: str, compiler: str, rules: str, snr: float, noise: int = 5) -> list[Row]:
    file, layers = MLPERF_TINY[name]
    twin = build_twin((shared_data / file).read_bytes(), M4, toolchain=find_toolchain(compiler))
    inputs = random_inputs(twin, np.random.default_rng(1))
    samples, _ = disturbed(record(twin, inputs, Leakage()).samples, snr, 1, np.random.default_rng(noise))
    answers = int(np.prod(twin.program.outputs[0].shape))
    recognizer = Recognizer(profile(compiler=rules), np.random.default_rng(3))
    rows = compared(true_layers(twin, inputs), guesses_of(recognizer.recognize(samples, input_shape(twin), answers)))
    assert len(rows) == layers
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MLPERF_TINY))
def test_all_layers_of_the_real_models_without_noise(name: str, shared_data: Path) -> None:
    """Bar: kind, shape and products of every layer from one trace, zig, Cortex-M4, plain kernels."""
    rows = real(shared_data, name, "zig", "zig", 0.0)
    assert all(row.candidates for row in rows), [row for row in rows if not row.candidates]
    assert shapes_right(rows) == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [5, 31, 41])
def test_95_percent_of_layers_at_a_ratio_of_a_tenth(noise: int, shared_data: Path) -> None:
    """Bar: kind, shape and products of 95 % of the 70 layers of the four models, each from a single trace.

    Noise 5 and 31 were looked at while the search was changed; no choice depended on 41.
    """
    rows = [row for name in sorted(MLPERF_TINY) for row in real(shared_data, name, "zig", "zig", 0.1, noise)]
    assert len(rows) == 70
    assert shapes_right(rows) >= 0.95 * len(rows)


@pytest.mark.slow
def test_rules_of_another_compiler_recognize_next_to_nothing(shared_data: Path) -> None:
    """Not a bar but a limit that the page states: rules hold for one compiler."""
    if find_gcc() is None:
        pytest.skip("gcc for Arm is not installed")
    assert shapes_right(real(shared_data, "ad", "gcc", "zig", 0.0)) == 0
