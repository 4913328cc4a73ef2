"""Layers recovered by following the code through a trace: search, names, counts, small networks, the real models."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")

from attacks.attack_targets import MLPERF_TINY
from tinymlsec.attacks.side_channel._arch_geometry import Guess, Shape
from tinymlsec.attacks.side_channel._arch_models import control_model
from tinymlsec.attacks.side_channel._arch_reader import PathReader, RhythmReader, build_reader
from tinymlsec.attacks.side_channel._arch_recording import random_inputs, record
from tinymlsec.attacks.side_channel._arch_run import controls, disturbed, guesses_of, input_shape
from tinymlsec.attacks.side_channel._arch_search import Architecture
from tinymlsec.attacks.side_channel._arch_truth import Row, TrueLayer, compared, true_layers
from tinymlsec.attacks.side_channel._path_counts import Known, candidates, counts_of, windowed_counts
from tinymlsec.attacks.side_channel._path_layers import Chain, Stretch, recognize
from tinymlsec.attacks.side_channel._path_names import CALL, Names, _normal
from tinymlsec.attacks.side_channel._path_rules import (
    HIGHEST,
    LOWEST,
    Rules,
    _counting,
    binned,
    build_rules,
    emission_of,
)
from tinymlsec.attacks.side_channel._path_viterbi import VALUES, Graph, follow
from tinymlsec.emulate.compilers import find_gcc, find_toolchain
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.leakage import Leakage
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.errors import CapabilityMissing, MachineError
from tinymlsec.target.tflite.builder import GraphBuilder

M4 = CORES["cortex-m4"]
GCC = pytest.mark.skipif(find_gcc() is None, reason="gcc for Arm is not installed")


@cache
def rules(compiler: str = "gcc", leakage: str = "hamming_weight", core: str = "cortex-m4", seed: int = 1) -> Rules:
    return build_rules(CORES[core], Leakage(leakage), np.random.default_rng(seed), find_toolchain(compiler))


# The search


def graph_of(states: int, rng: np.random.Generator) -> Graph:
    """Random ways on, some states leading to a few others, and random looks."""
    ways = [np.sort(rng.choice(states, rng.integers(1, 4), replace=False)) for _ in range(states)]
    first = np.concatenate([[0], np.cumsum([len(w) for w in ways])]).astype(np.int32)
    cost = np.concatenate([np.full(len(w), -np.log(len(w))) for w in ways]).astype(np.float32)
    emission = np.log(rng.dirichlet(np.full(VALUES, 0.05), states) + 1e-6).T.astype(np.float32)
    return Graph(first, np.concatenate(ways).astype(np.int32), cost, np.ascontiguousarray(emission), 0)


def slow_follow(graph: Graph, samples: NDArray[np.uint8]) -> tuple[list[int], float]:
    """Viterbi's algorithm written out, without a beam."""
    score = np.full(graph.states, -np.inf)
    score[graph.start] = 0.0
    backs = []
    for value in samples:
        new, back = np.full(graph.states, -np.inf), np.zeros(graph.states, int)
        for state in range(graph.states):
            for edge in range(graph.first[state], graph.first[state + 1]):
                target = graph.next[edge]
                reached = score[state] + graph.cost[edge] + graph.emission[value, target]
                if reached > new[target]:
                    new[target], back[target] = reached, state
        backs.append(back)
        score = new
    state = int(np.argmax(score))
    path = [state]
    for back in reversed(backs[1:]):
        path.append(int(back[path[-1]]))
    return path[::-1], float(score.max())


def score_of(graph: Graph, path: NDArray[np.uint16], samples: NDArray[np.uint8]) -> float:
    total, before = 0.0, graph.start
    for state, value in zip(path.tolist(), samples.tolist(), strict=True):
        ways = graph.next[graph.first[before] : graph.first[before + 1]]
        edge = graph.first[before] + int(np.flatnonzero(ways == state)[0])
        total += float(graph.cost[edge]) + float(graph.emission[value, state])
        before = state
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_likeliest_way_against_the_algorithm_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graph_of(30, rng)
    samples = rng.integers(0, VALUES, 400).astype(np.uint8)
    expected, best = slow_follow(graph, samples)
    path = follow(graph, samples)
    assert score_of(graph, path, samples) == pytest.approx(best, rel=1e-4)
    assert np.mean(path == expected) > 0.95


def test_a_long_trace_is_followed_in_windows_as_a_whole() -> None:
    """Across the places where a window is written out no way is taken that does not exist."""
    rng = np.random.default_rng(7)
    graph = graph_of(20, rng)
    state, states, samples = 0, [], []
    for _ in range(300_000):
        state = int(rng.choice(graph.next[graph.first[state] : graph.first[state + 1]]))
        states.append(state)
    weights = np.cumsum(np.exp(graph.emission.astype(np.float64)), axis=0)
    draws = rng.random(len(states))
    samples = [int(np.searchsorted(weights[:, s], d * weights[-1, s])) for s, d in zip(states, draws, strict=True)]
    path = follow(graph, np.array(samples, np.uint8))
    assert np.mean(path == states) > 0.9
    possible = {(s, int(t)) for s in range(20) for t in graph.next[graph.first[s] : graph.first[s + 1]]}
    assert set(zip(path[:-1].tolist(), path[1:].tolist(), strict=True)) <= possible


def test_a_dead_end_is_an_error() -> None:
    emission = np.zeros((VALUES, 2), np.float32)
    graph = Graph(np.array([0, 1, 1], np.int32), np.array([1], np.int32), np.zeros(1, np.float32), emission, 0)
    with pytest.raises(MachineError, match="cannot be followed"):
        follow(graph, np.zeros(5, np.uint8))


def test_a_graph_of_another_size_than_its_looks_is_refused() -> None:
    graph = Graph(np.zeros(4, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros((VALUES, 2)), 0)
    with pytest.raises(MachineError, match="a graph"):
        follow(graph, np.zeros(5, np.uint8))


# What own builds teach


def test_looks_are_distributions_also_under_noise() -> None:
    histogram = np.zeros((3, HIGHEST))
    histogram[0, 0], histogram[1, 7], histogram[2, [3, 30]] = 100, 50, 10
    for sigma in (0.0, 2.5):
        told = np.exp(emission_of(histogram, sigma))
        assert told.sum(axis=0) == pytest.approx(1.0, abs=2e-3)
        assert np.argmax(told[:, 1]) == 7 - LOWEST
    quiet = emission_of(histogram, 0.0)
    assert quiet[5 - LOWEST, 0] < quiet[5 - LOWEST, 1] - 3, "what never writes a register has no other value"


def test_samples_become_bins_that_end() -> None:
    found = binned(np.array([-1e9, -64.0, 0.4, 83.0, 1e9], np.float32))
    assert found.tolist() == [0, 0, -LOWEST, 83 - LOWEST, VALUES - 1]


def test_a_count_that_two_instructions_share_is_found() -> None:
    wanted = np.array([5, 9, 14])
    visits = np.array([[1, 4, 0, 6], [1, 8, 0, 9], [1, 13, 0, 9]])
    assert _counting(visits, wanted)[0].tolist() == [0, 1]
    assert _counting(np.column_stack([visits, wanted]), wanted).tolist() == [[4]]
    assert not len(_counting(visits, np.array([100, 3, 2])))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("movs", "r3, #0x40"), ("mov.w", "r3, #0x100")),
        (("subs", "r1, #4"), ("add.w", "r1, #0x10c")),
        (("bl", "#0x8001034"), ("bl", "#0x8000e28")),
        (("bne.w", "#0x8001034"), ("bne", "#0x8000e28")),
        (("ldr", "r4, [pc, #0x24]"), ("ldr", "r4, [pc, #0x28]")),
    ],
)
def test_constants_do_not_make_other_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert _normal(*one) == _normal(*other)


def test_other_registers_and_instructions_do() -> None:
    texts = [("ldr", "r4, [r0, #4]"), ("ldr", "r5, [r0, #4]"), ("str", "r4, [r0, #4]"), ("bic", "r4, r0, #4")]
    assert len({_normal(*text) for text in texts}) == len(texts)


def test_names_hold_across_builds() -> None:
    """A larger layer adds no code: what it runs was named by the smaller one, but for what its values decide."""
    names, made = Names(), []
    for units in (5, 9):
        twin = build_twin(dense_chain((8, units)), M4, toolchain=find_toolchain("zig"))
        recording = record(twin, random_inputs(twin, np.random.default_rng(1)), Leakage(), pcs=True)
        found = names.of(twin, recording.pcs)
        made.append(names.within("layer", "pixel").tolist())
        entry = twin.image.symbols[twin.program.layers[0].symbol].address
        assert found[np.flatnonzero(recording.pcs == entry)[0] - 1] == names.numbers[CALL]
    assert made[0] == made[1] != []


# Counts and shapes


LAYERS = [
    (Guess("CONV_2D", (49, 10, 1), (10, 4), 2, "SAME"), 64),
    (Guess("CONV_2D", (8, 6, 5), (1, 1), 1, "SAME"), 12),
    (Guess("DEPTHWISE_CONV_2D", (24, 24, 16), (3, 3), 2, "SAME"), 16),
    (Guess("DEPTHWISE_CONV_2D", (9, 7, 3), (3, 3), 1, "VALID"), 3),
    (Guess("AVERAGE_POOL_2D", (8, 8, 4), (2, 2), 2, "VALID"), 4),
    (Guess("MAX_POOL_2D", (25, 5, 6), (25, 5), 1, "VALID"), 6),
]


@pytest.mark.parametrize(("guess", "channels"), LAYERS)
def test_shapes_follow_from_counts(guess: Guess, channels: int) -> None:
    counts = windowed_counts(guess, channels)
    exact = {known.output for far, known in candidates(guess.kind, guess.source, counts) if far == 0}
    assert exact == {guess.output(channels)}


def test_counts_against_a_layer_written_out() -> None:
    guess = Guess("CONV_2D", (6, 5, 3), (3, 2), 2, "SAME")
    products = runs = 0
    for v in guess.rows:
        for h in guess.columns:
            runs += 7 * v.inside
            products += 7 * v.inside * h.inside * 3
    counts = windowed_counts(guess, 7)
    assert (counts["runs"], counts["products"]) == (runs, products)
    assert counts["bottom"] == 3 * 1


@pytest.mark.parametrize("kind", ["ADD", "SOFTMAX", "MEAN", "FULLY_CONNECTED", "RESHAPE"])
def test_layers_without_a_window(kind: str) -> None:
    source: Shape = (4, 5, 6) if kind in ("ADD", "MEAN", "RESHAPE") else (120,)
    output = {"MEAN": (6,), "FULLY_CONNECTED": (9,), "RESHAPE": (120,)}.get(kind, source)
    (far, known), *rest = candidates(kind, source, counts_of(Known(kind, source, output)))
    assert (far, known.output, rest) == (0, output, [])


# Small networks


def dense_chain(sizes: tuple[int, ...]) -> bytes:
    builder, rng = GraphBuilder("dense chain"), np.random.default_rng(3)
    x = builder.input((1, sizes[0]), scale=0.05, zero_point=-3)
    for depth, units in pairwise(sizes):
        weights = builder.constant(rng.integers(-127, 128, (units, depth)).astype(np.int8), scale=0.008)
        bias = builder.constant(rng.integers(-500, 500, units).astype(np.int32), scale=0.0004)
        options: dict[str, int | str] = {"fused_activation_function": "RELU"}
        x = builder.op("FULLY_CONNECTED", [x, weights, bias], None, None, 0.06, -128, options=options)
    builder.output(x)
    return builder.tobytes()


def traced(
    data: bytes, compiler: str, leakage: str = "hamming_weight", core: str = "cortex-m4"
) -> tuple[Twin, NDArray[np.float32], tuple[TrueLayer, ...]]:
    twin = build_twin(data, CORES[core], toolchain=find_toolchain(compiler))
    inputs = random_inputs(twin, np.random.default_rng(5))
    return twin, record(twin, inputs, Leakage(leakage)).samples, tuple(true_layers(twin, inputs))


@cache
def small(
    seed: int = 3, leakage: str = "hamming_weight", core: str = "cortex-m4"
) -> tuple[Twin, NDArray[np.float32], tuple[TrueLayer, ...]]:
    return traced(control_model(np.random.default_rng(seed)), "gcc", leakage, core)


def right(rows: list[Row]) -> int:
    return sum(row.kind and row.shape and row.macs for row in rows)


def read(known: Rules, twin: Twin, samples: NDArray[np.float32], sigma: float = 0.0) -> Architecture:
    return recognize(known, samples, input_shape(twin), sigma)


def test_dense_layers_by_zig() -> None:
    """The one kind of network whose generated code zig writes alike for all sizes."""
    twin, samples, true = traced(dense_chain((40, 33, 7, 120, 4)), "zig")
    found = read(rules("zig"), twin, samples)
    assert found.whole
    assert right(compared(true, guesses_of(found))) == len(true) == 4


@GCC
@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (4, 5, 6, 7))])
def test_a_small_network_is_read(seed: int) -> None:
    twin, samples, true = small(seed)
    found = read(rules(), twin, samples)
    assert found.whole
    assert right(compared(true, guesses_of(found))) == len(true)


@GCC
@pytest.mark.slow
@pytest.mark.parametrize("leakage", ["hamming_distance", "bus", "mixed"])
def test_other_leakage_models(leakage: str) -> None:
    twin, samples, true = small(3, leakage)
    assert right(compared(true, guesses_of(read(rules("gcc", leakage), twin, samples)))) == len(true)


@GCC
@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m7", "cortex-m33"])
def test_other_cores(core: str) -> None:
    twin, samples, true = small(3, core=core)
    assert right(compared(true, guesses_of(read(rules("gcc", core=core), twin, samples)))) == len(true)


@GCC
def test_a_little_noise_does_not_matter_and_much_does() -> None:
    twin, samples, true = small()
    shares = []
    for snr in (100.0, 0.3):
        noisy, _ = disturbed(samples.copy(), snr, 1, np.random.default_rng(2))
        sigma = float(np.sqrt(samples.var() / snr))
        shares.append(right(compared(true, guesses_of(read(rules(), twin, noisy, sigma)))))
    assert shares[0] == len(true)
    assert shares[1] < len(true)


@GCC
@pytest.mark.parametrize("what", ["noise", "constant", "shuffled", "pieces"])
def test_what_is_no_trace_tells_nothing(what: str) -> None:
    twin, samples, _ = small()
    rng = np.random.default_rng(4)
    made = {
        "noise": rng.normal(samples.mean(), samples.std(), len(samples)),
        "constant": np.full(len(samples), 7.0),
        "shuffled": rng.permutation(samples),
        "pieces": np.concatenate(rng.permutation(samples[: len(samples) // 50 * 50].reshape(-1, 50))),
    }[what]
    assert read(rules(), twin, made.astype(np.float32)).layers == ()


@GCC
def test_a_trace_that_ends_early_is_explained_only_so_far() -> None:
    twin, samples, true = small()
    found = read(rules(), twin, samples[: true[2].start + 100].copy())
    assert [layer.kind for layer in found.layers[:2]] == [true[0].kind, true[1].kind]
    assert all(layer.kind != true[2].kind or layer.output != true[2].output for layer in found.layers[2:])


@GCC
def test_rules_of_another_compiler_tell_nothing() -> None:
    twin, samples, true = small()
    assert right(compared(true, guesses_of(read(rules("zig"), twin, samples)))) == 0


def test_a_layer_whose_samples_do_not_look_like_it_is_not_taken() -> None:
    known = rules("zig")
    visits = np.zeros(len(known.names), np.int64)
    visits[known.marks["FULLY_CONNECTED"]] = 1
    for name, count in counts_of(Known("FULLY_CONNECTED", (8,), (5,))).items():
        visits[known.counters["FULLY_CONNECTED"][name].ravel()] = count
    stretch = Stretch(0, 500, visits)
    assert Chain(known, (8,)).take(stretch, 0.1)
    assert not Chain(known, (8,)).take(stretch, 4.0)
    assert not Chain(known, (9,)).take(stretch, 0.1), "no dense layer of nine values makes so many products"


# The way that the attack takes


def test_zig_keeps_a_rhythm_and_is_read_by_it() -> None:
    made = build_reader("auto", M4, Leakage(), np.random.default_rng(1), find_toolchain("zig"))
    assert isinstance(made, RhythmReader)
    assert not made.missing


def test_code_of_other_machines_is_not_followed() -> None:
    with pytest.raises(CapabilityMissing, match="only code for Arm"):
        build_reader("path", CORES["rv32imc"], Leakage(), np.random.default_rng(1), find_toolchain("zig"))


@GCC
def test_gcc_keeps_none_and_its_code_is_followed() -> None:
    made = build_reader("auto", M4, Leakage(), np.random.default_rng(1), find_toolchain("gcc"))
    assert isinstance(made, PathReader)
    positive, negative = controls(made, small()[0], Leakage(), find_toolchain("gcc"), np.random.default_rng(8))
    assert positive.succeeded, positive.detail
    assert negative.succeeded, negative.detail


# The real models


@GCC
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", sorted(MLPERF_TINY))
def test_all_layers_of_the_real_models_by_gcc(name: str, seed: int, shared_data: Path) -> None:
    """Bar: kind, shape and products of every layer from one noise-free trace, whatever values own models had."""
    file, layers = MLPERF_TINY[name]
    twin, samples, true = traced((shared_data / file).read_bytes(), "gcc")
    rows = compared(true, guesses_of(read(rules(seed=seed), twin, samples)))
    assert right(rows) == len(rows) == layers
