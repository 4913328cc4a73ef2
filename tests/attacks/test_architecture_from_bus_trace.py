"""Layers recovered from accesses to external memory: small networks, the four real models, and what tells nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from attacks.attack_targets import MLPERF_TINY
from tinymlsec.attacks.side_channel._arch_models import control_model
from tinymlsec.attacks.side_channel._arch_recording import random_inputs
from tinymlsec.attacks.side_channel._arch_run import input_shape
from tinymlsec.attacks.side_channel._arch_truth import TrueLayer, compared
from tinymlsec.attacks.side_channel._bus_layers import borders, recognize
from tinymlsec.attacks.side_channel._bus_recording import BusTrace, record_bus
from tinymlsec.attacks.side_channel._bus_run import controls, scrambled, weights_in_the_clear
from tinymlsec.emulate.compilers import find_gcc, find_toolchain
from tinymlsec.emulate.cores import CORES
from tinymlsec.emulate.twin import Twin, build_twin
from tinymlsec.errors import InputError
from tinymlsec.target.tflite.builder import GraphBuilder

M4 = CORES["cortex-m4"]


@cache
def small(seed: int = 3) -> tuple[Twin, BusTrace, tuple[TrueLayer, ...]]:
    rng = np.random.default_rng(seed)
    twin = build_twin(control_model(rng), M4)
    trace, true = record_bus(twin, random_inputs(twin, rng), 10_000_000)
    return twin, trace, tuple(true)


def test_a_small_network_is_read_from_addresses_alone() -> None:
    twin, trace, true = small()
    rows = compared(true, recognize(trace.encrypted(), input_shape(twin)))
    assert [row.true.kind for row in rows] == [layer.kind for layer in true]
    assert all(row.kind and row.shape and row.macs for row in rows), rows


def test_weights_are_read_in_the_clear_where_data_is_not_encrypted() -> None:
    twin, trace, _ = small()
    right, total = weights_in_the_clear(trace, twin)
    assert total == right == sum(s.size for name, s in twin.image.symbols.items() if name.startswith("tms_w_"))
    assert weights_in_the_clear(trace.encrypted(), twin) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_addresses_tell_nothing(seed: int) -> None:
    twin, trace, true = small()
    rows = compared(true, recognize(scrambled(trace, np.random.default_rng(seed)), input_shape(twin)))
    assert not any(row.shape for row in rows)


def test_controls_do_what_they_must() -> None:
    positive, negative = controls(small()[0], np.random.default_rng(5))
    assert positive.succeeded
    assert negative.succeeded


def test_a_layer_ends_where_its_own_output_is_read() -> None:
    # three values are written, the first two are read and one is written right behind them
    addresses = np.array([100, 101, 102, 100, 101, 103], np.uint32)
    writes = np.array([1, 1, 1, 0, 0, 1], np.bool_)
    assert borders(BusTrace(addresses, writes)) == [(0, 3), (3, 6)]


def test_a_jump_of_writes_ends_a_layer() -> None:
    addresses = np.array([10, 100, 11, 101, 12, 50], np.uint32)
    writes = np.array([0, 1, 0, 1, 0, 1], np.bool_)
    assert borders(BusTrace(addresses, writes)) == [(0, 4), (4, 6)]


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_data_tells_a_maximum_from_a_mean(kind: str) -> None:
    rng = np.random.default_rng(1)
    builder = GraphBuilder("pool")
    x = builder.input((1, 6, 6, 5), scale=0.05, zero_point=-3)
    options: dict[str, int | str] = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2,
                                     "filter_width": 2}  # fmt: skip
    builder.output(builder.op(kind, [x], options=options))
    twin = build_twin(builder.tobytes(), M4)
    trace, true = record_bus(twin, random_inputs(twin, rng), 10_000_000)
    seen = compared(true, recognize(trace, input_shape(twin)))
    assert [row.shape for row in seen] == [True]
    encrypted = compared(true, recognize(trace.encrypted(), input_shape(twin)))
    assert [row.candidates for row in encrypted] == [True]


@pytest.mark.parametrize("empty", [True, False])
def test_bad_traces_are_refused(empty: bool) -> None:
    addresses = np.zeros(0 if empty else 3, np.uint32)
    with pytest.raises(InputError, match="bus trace"):
        BusTrace(addresses, np.zeros(0 if empty else 2, np.bool_))


def test_reads_without_writes_are_no_layers() -> None:
    assert recognize(BusTrace(np.arange(100, dtype=np.uint32), np.zeros(100, np.bool_)), (10,)) == []


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
@pytest.mark.parametrize("name", sorted(MLPERF_TINY))
def test_all_layers_of_the_real_models(name: str, compiler: str, shared_data: Path) -> None:
    """Bar: every layer of the four MLPerf Tiny models, with kind, shape and products, from addresses alone."""
    if compiler == "gcc" and find_gcc() is None:
        pytest.skip("gcc for Arm is not installed")
    file, layers = MLPERF_TINY[name]
    twin = build_twin((shared_data / file).read_bytes(), M4, toolchain=find_toolchain(compiler))
    trace, true = record_bus(twin, random_inputs(twin, np.random.default_rng(1)), 1 << 28)
    rows = compared(true, recognize(trace.encrypted(), input_shape(twin)))
    assert len(rows) == layers
    assert all(row.kind and row.shape and row.macs for row in rows)
    right, total = weights_in_the_clear(trace, twin)
    assert right == total > 0
