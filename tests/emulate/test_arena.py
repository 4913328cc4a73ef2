"""The planner of the activation arena."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.models import FILES
from tinymlsec.emulate.codegen import generate
from tinymlsec.emulate.codegen.arena import ALIGNMENT, Block, lower_bound, place
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.tflite.reader import read_model_file

MOST_OVER = 1.10
HEAD_SECTIONS = {"ic": 49_152, "kws": 16_000, "ad": 768}
"""Bytes of the runtime's own plan."""


def _block(number: int, numbers: tuple[int, int, int]) -> Block:
    return Block(number, numbers[0], numbers[1], numbers[1] + numbers[2])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(-1, 12), st.integers(0, 6)), max_size=24))
def test_what_lives_at_the_same_time_lies_apart(numbers: list[tuple[int, int, int]]) -> None:
    blocks = [_block(k, each) for k, each in enumerate(numbers)]
    found = place(blocks)
    for a in blocks:
        assert 0 <= found.offsets[a.id] <= found.bytes - a.bytes
        assert found.offsets[a.id] % ALIGNMENT == 0
        for b in blocks:
            if a.id < b.id and a.first <= b.last and b.first <= a.last:
                low, high = sorted((a, b), key=lambda block: found.offsets[block.id])
                assert found.offsets[low.id] + low.bytes <= found.offsets[high.id]
    assert found.bytes >= found.bound == lower_bound(blocks)


def test_the_bound_is_the_busiest_operator() -> None:
    blocks = [Block(0, 100, 0, 2), Block(1, 50, 1, 1), Block(2, 200, 2, 4), Block(3, 10, 9, 9)]
    assert lower_bound(blocks) == 112 + 208
    rng = np.random.default_rng(1)
    drawn = [Block(k, int(rng.integers(1, 999)), int(f), int(f) + 3) for k, f in enumerate(rng.integers(0, 20, 30))]
    slow = max(sum(b.size for b in drawn if b.first <= t <= b.last) for t in range(30))
    assert lower_bound(drawn) == slow


def test_a_chain_needs_its_two_largest_neighbors() -> None:
    sizes = [640, 320, 960, 16, 480]
    found = place([Block(k, size, k - 1, k) for k, size in enumerate(sizes)])
    assert found.bytes == found.bound == 320 + 960


def test_no_blocks_need_no_bytes() -> None:
    assert place([]).bytes == 0


@pytest.mark.parametrize("name", HEAD_SECTIONS)
def test_arena_of_real_models(name: str, shared_data: Path) -> None:
    model, _ = read_model_file(shared_data / FILES[name])
    plan = generate(model).arena
    assert plan.bytes <= MOST_OVER * HEAD_SECTIONS[name]
    assert plan.ratio <= MOST_OVER


def _twice(reader_of_both: bool) -> Model:
    """x -> RELU -> y, then y + x where x is read again, else y + y."""
    builder = GraphBuilder()
    x = builder.input((1, 64), "int8", 0.5)
    y = builder.op("RELU", [x], scale=0.5)
    builder.output(builder.op("ADD", [y, x if reader_of_both else y], scale=1.0, options={}))
    return builder.build()


@pytest.mark.parametrize(("reader_of_both", "expected"), [(False, 64), (True, 128)])
def test_only_what_is_not_read_again_is_written_over(reader_of_both: bool, expected: int) -> None:
    program = generate(_twice(reader_of_both))
    assert program.arena.bytes == expected
    relu = program.layers[0]
    assert (relu.inputs[0].offset == relu.outputs[0].offset) is not reader_of_both


def test_an_input_under_another_shape_is_not_written_over_while_it_is_read() -> None:
    """The reshaped tensor is the input's memory: RELU must not write there, the addition still reads it."""
    builder = GraphBuilder()
    x = builder.input((1, 64), "int8", 0.5)
    flat = builder.op("RESHAPE", [x, builder.ints(8, 8)], options={"new_shape": (8, 8)})
    y = builder.op("RELU", [flat], scale=0.5)
    back = builder.op("RESHAPE", [y, builder.ints(1, 64)], options={"new_shape": (1, 64)})
    builder.output(builder.op("ADD", [back, x], scale=1.0, options={}))
    program = generate(builder.build())
    assert program.layers[0].outputs[0].offset == program.layers[0].inputs[0].offset
    assert program.layers[1].outputs[0].offset != program.layers[1].inputs[0].offset
