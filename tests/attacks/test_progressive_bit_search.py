"""Progressive bit search: the bits it names are the bits of the file, and chance is chance on the runtime."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacks.attack_targets import Workbench, dataset, float_linear
from tinymlsec.attacks.fault._bit_trial import Trial, median_flips
from tinymlsec.attacks.fault._bottleneck import bottleneck_inputs, bottleneck_twin
from tinymlsec.attacks.fault.progressive_bit_search import progressive_bit_search
from tinymlsec.records import Basis, VerdictKind
from tinymlsec.target.target import Target
from tinymlsec.target.tflite.edit import flip_bits
from tinymlsec.target.tflite.reader import read_model

torch = pytest.importorskip("torch", reason="the lift needs PyTorch")

SMALL: dict[str, Any] = {"seeds": 2, "max_flips": 6, "search_batch": 64, "random_draws": 2}


def bottleneck(bench: Workbench, n: int = 600) -> Target:
    victim = bench.victim_of(bottleneck_twin())
    x = bottleneck_inputs(np.random.default_rng(1), n)
    return bench.target(bottleneck_twin(), dataset(x, victim.decisions(victim.scores(x))))


def template(bench: Workbench, n: int = 600) -> Target:
    """A classifier with a thousand weights a class, of which a few do not matter."""
    from tinymlsec.target.tflite.classifiers import linear_classifier
    from tinymlsec.target.tflite.writer import write_model

    rng = np.random.default_rng(3)
    weights = rng.choice([-1.0, 1.0], (2, 1024))
    y = rng.integers(0, 2, n)
    x = np.clip(40 * weights[y] + rng.integers(-20, 21, (n, 1024)), -128, 127).astype(np.int8)
    return bench.target(
        write_model(linear_classifier(weights, [0.0, 0.0], 1.0, 0, (1, 1024), softmax=False)), dataset(x, y)
    )


def test_a_model_with_a_bottleneck_is_at_chance_after_few_flips(bench: Workbench, tmp_path: Path) -> None:
    target = bottleneck(bench)
    seen = bench.run(progressive_bit_search, target, folder=tmp_path, **SMALL)
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.EXECUTED
    assert next(m.value for m in seen.metrics if m.name == "flips_to_chance") <= 4
    assert seen.facts["disagreements_with_runtime"] == 0
    assert seen.positive_control is not None
    assert seen.positive_control.succeeded
    assert seen.negative_control is not None
    assert seen.negative_control.succeeded


def test_flips_are_named_as_the_file_has_them_and_repeat_on_the_runtime(bench: Workbench, tmp_path: Path) -> None:
    target = bottleneck(bench)
    seen = bench.run(progressive_bit_search, target, folder=tmp_path, **SMALL)
    assert target.model is not None
    with np.load(tmp_path / seen.artifacts[0].sha256, allow_pickle=False) as kept:
        mine = kept["search"] == 0
        positions = kept["file_bit"][mine]
    assert len(set(positions)) == len(positions)  # nothing is flipped twice
    search = seen.facts["searches"][0]
    flipped = read_model(flip_bits(target.data, positions))
    for flip, position in zip(search["flips"], positions, strict=True):
        tensor = target.model.main.tensors[flip["tensor"]]
        before, after = (
            np.frombuffer(m.buffers[m.main.tensors[flip["tensor"]].buffer].data, np.uint8)
            for m in (target.model, flipped)
        )
        assert flip["file_offset"] == position // 8
        assert flip["bit"] == position % 8
        assert (before[flip["element"]] ^ after[flip["element"]]) & (1 << flip["bit"])
        assert flip["channel"] == np.unravel_index(flip["element"], tensor.shape)[0]


def test_the_first_of_two_steps_at_chance_is_counted(bench: Workbench) -> None:
    seen = bench.run(progressive_bit_search, bottleneck(bench), **SMALL)
    for search in seen.facts["searches"]:
        accuracy, bar, first = search["accuracy"], search["chance_with_margin"], search["flips_to_chance"]
        assert max(accuracy[first : first + 2]) <= bar
        assert len(accuracy) == first + 2
        assert not any(a <= bar and b <= bar for a, b in pairwise(accuracy[:first]))
        assert set(search["accuracy_on_runtime"]) == {"0", str(first), str(first + 1)}


def test_a_model_on_which_few_flips_do_little_is_resistant(bench: Workbench) -> None:
    seen = bench.run(progressive_bit_search, template(bench), **SMALL | {"max_flips": 3})
    assert seen.verdict.kind is VerdictKind.RESISTANT
    assert all(search["flips_to_chance"] is None for search in seen.facts["searches"])


def test_too_few_labels_or_no_integer_weights_are_no_verdict(bench: Workbench) -> None:
    few = bench.run(progressive_bit_search, bottleneck(bench, 520), **SMALL)
    assert few.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "520 labeled samples" in few.verdict.reason
    x = np.random.default_rng(0).uniform(-1, 1, (600, 16)).astype(np.float32)
    plain = bench.run(progressive_bit_search, bench.target(float_linear(), dataset(x, (x.sum(1) > 0).astype(np.int64))))
    assert plain.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "no int8 weights" in plain.verdict.reason


def test_same_seed_same_observation(bench: Workbench) -> None:
    first, again = (bench.run(progressive_bit_search, bottleneck(bench), 4, **SMALL) for _ in range(2))
    assert first == again


def test_the_median_counts_searches_without_success_as_infinite() -> None:
    def trial(flips: int | None) -> Trial:
        from tinymlsec.attacks.fault._bit_search import Descent

        return Trial(Descent((), (0.9,), flips, ""), 0.1, 500, {0: 0.9}, 0, (0.9,), ())

    assert median_flips([trial(3), trial(None), trial(5)]) == 5
    assert median_flips([trial(3), trial(None), trial(None)]) is None


def test_changes_of_bits_are_those_of_twos_complement(bench: Workbench) -> None:
    from tinymlsec.attacks._white_box import white_box
    from tinymlsec.attacks.fault._weight_map import WeightMap

    block = WeightMap(white_box(bench.victim_of(bottleneck_twin())).graph).blocks[1]
    codes = block.values.numpy().astype(np.int8)
    for bit in range(8):
        flipped = (codes.view(np.uint8) ^ np.uint8(1 << bit)).view(np.int8)
        assert (block.changes()[:, bit] == flipped.astype(int) - codes.astype(int)).all()


@pytest.mark.slow
def test_keyword_spotting_is_at_chance_within_twelve_flips(bench: Workbench, shared_data: Path) -> None:
    from tinymlsec.loading import Sources, load_target

    folder = shared_data / "mlperf_tiny_kws"
    target = load_target(Sources(model=folder / "kws_ref_model.tflite", data=folder / "kws01.npz"), bench.pool)
    seen = bench.run(progressive_bit_search, target)
    assert next(m.value for m in seen.metrics if m.name == "flips_to_chance") <= 12
    assert seen.facts["disagreements_with_runtime"] == 0
