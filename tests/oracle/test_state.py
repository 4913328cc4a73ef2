"""Models that keep state: every sample or sequence starts from the initial values."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from oracle.oracle_models import accumulator


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
