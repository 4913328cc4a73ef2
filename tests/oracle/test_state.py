"""Models that keep state: every sample or sequence starts from the initial values."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from oracle.oracle_models import accumulator
from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.state import starts_elsewhere


def test_sequences_start_from_the_initial_state(pair):
    x = np.arange(2 * 7 * 5, dtype=np.float32).reshape(7, 5, 2)
    handle = pair.open(accumulator(), stateful=True)
    for _ in range(2):
        assert np.array_equal(handle.run_sequences(x), np.cumsum(x, axis=1))


def test_samples_of_a_stateful_model_start_from_the_initial_state(pair):
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    handle = pair.open(accumulator(), stateful=True)
    assert np.array_equal(handle.run(x), x)


def test_without_the_flag_state_carries_over(pool):
    x = np.ones((4, 2), np.float32)
    assert np.array_equal(pool.open(accumulator()).run(x)[:, 0], [1, 2, 3, 4])


def test_sequences_without_steps(pool):
    handle = pool.open(accumulator(), stateful=True)
    assert handle.run_sequences(np.zeros((3, 0, 2), np.float32)).shape == (3, 0, 2)


def starting_from(first: int | None) -> bytes:
    """Adds its int8 input to what it remembers; CALL_ONCE sets the first value, the zero point is 7."""
    builder = GraphBuilder("accumulator")
    x = builder.input((1, 3), "int8", 0.5, 7)
    if first is not None:
        once = builder.subgraph("first value")
        builder.op_many("CALL_ONCE", [], [], {"init_subgraph_index": once.index})
        value = once.constant(np.full((1, 3), first, np.int8), 0.5, 7)
        once.op_many("ASSIGN_VARIABLE", [once.variable_handle("sum"), value], [])
    handle = builder.variable_handle("sum")
    new = builder.op("ADD", [builder.op("READ_VARIABLE", [handle], (1, 3), "int8", 0.5, 7), x], scale=0.5, zero_point=7)
    builder.op_many("ASSIGN_VARIABLE", [handle, new], [])
    builder.output(new)
    return builder.tobytes()


@pytest.mark.parametrize(("first", "elsewhere"), [(None, False), (7, False), (-40, True)])
def test_first_values_of_the_model_come_back(pair, first, elsewhere):
    """The runtime's own reset leaves the zero point, whatever CALL_ONCE assigned."""
    data = starting_from(first)
    assert starts_elsewhere(read_model(data)) is elsewhere
    handle = pair.open(data, stateful=True, fresh=elsewhere)
    x = np.full((5, 4, 3), 9, np.int8)  # two above the zero point, four steps
    begin = 7 if first is None else first
    expected = np.broadcast_to((begin + 2 * np.arange(1, 5))[None, :, None], x.shape)
    for _ in range(2):
        assert np.array_equal(handle.run_sequences(x), expected)


def frames_of(wav: Path, preprocessor) -> np.ndarray:
    """Features of a recording as the wake word models take them: (steps, 3, 40), int8."""
    with wave.open(str(wav)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    windows = np.lib.stride_tricks.sliding_window_view(sound, 480)[::160]
    features = preprocessor.run_sequences(windows[None])[0]
    return features[: len(features) // 3 * 3].reshape(-1, 3, 40)


@pytest.mark.parametrize("name", ["alexa", "vad"])
def test_reset_equals_a_new_interpreter(pair, real_model, shared_data, name):
    """These models initialise their int8 variables by CALL_ONCE, and all of that must come back."""
    from tflite_micro import runtime

    preprocessor = pair.open(real_model("tflm_micro_speech/audio_preprocessor_int8.tflite"), stateful=True)
    x = frames_of(shared_data / "microwakeword/wav/alexa_1.wav", preprocessor)
    data = real_model(f"microwakeword/{name}.tflite")
    direct, passes = runtime.Interpreter.from_bytes(data), []
    for _ in range(2):
        outputs = []
        for step in x:
            direct.set_input(step[None], 0)
            direct.invoke()
            outputs.append(int(direct.get_output(0)[0, 0]))
        passes.append(outputs)
    assert max(passes[0]) > 200, "the recording holds the wake word"
    assert passes[1] != passes[0], "these inputs do not show whether state was set back"
    results = pair.open(data, stateful=True).run_sequences(np.repeat(x[None], 4, axis=0))
    assert (results[..., 0] == passes[0]).all()
