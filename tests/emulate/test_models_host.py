"""The C of whole models, built for this host, against the runtime: every byte of every output and of every layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emulate.codegen_host import HostRunner
from emulate.codegen_models import MODELS, RealModel, layers_on_runtime, on_runtime, real_model, real_numbers
from tinymlsec.emulate.codegen import Program, Style, generate
from tinymlsec.errors import UnsupportedModelError
from tinymlsec.target.oracle import OraclePool, runtime_available
from tinymlsec.target.tflite.reader import read_model_file

pytestmark = pytest.mark.skipif(not runtime_available()[0], reason=runtime_available()[1])
TRAPPING = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
"""Ends the process at overflows, shifts and accesses that C leaves undefined; without a library."""
LAYER_INPUTS = {"kws": 8, "ic": 2, "vww": 2, "alexa": 6, "vad": 6}
"""Inputs (or streams) whose layers are compared by default; 16 for the others."""


@pytest.mark.parametrize("name", MODELS)
def test_outputs_equal_the_runtime_in_every_style(
    name: str, shared_data: Path, pool: OraclePool, runner: HostRunner
) -> None:
    real = real_model(shared_data, name)
    expected = on_runtime(real, pool)
    assert np.unique(expected).size > 2, "these inputs do not move the outputs"
    for style in Style:
        (found,) = runner.run(generate(real.model, style), [real.inputs], steps=real.steps)
        assert np.count_nonzero(found.reshape(expected.shape) != expected) == 0, style


@pytest.mark.parametrize("name", MODELS)
def test_layers_equal_the_runtime(name: str, shared_data: Path, pool: OraclePool, runner: HostRunner) -> None:
    real = real_model(shared_data, name).first(LAYER_INPUTS.get(name, 16))
    assert layers_that_differ(real, generate(real.model, Style.DSP), pool, runner) == {}


@pytest.mark.slow
@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("name", MODELS)
def test_layers_equal_the_runtime_in_full(
    name: str, style: Style, shared_data: Path, pool: OraclePool, tmp_path: Path
) -> None:
    """All inputs, in code that stops at whatever C leaves undefined."""
    real, trapping = real_model(shared_data, name), HostRunner(tmp_path, TRAPPING)
    try:
        assert layers_that_differ(real, generate(real.model, style), pool, trapping) == {}
    finally:
        trapping.close()


def layers_that_differ(real: RealModel, program: Program, pool: OraclePool, runner: HostRunner) -> dict[int, int]:
    """Tensor -> bytes that differ. What a layer leaves is read before the next one runs: its memory is shared."""
    found = runner.layers(program, [real.inputs], steps=real.steps)
    made = {tensor for op in real.model.main.operators if op.name != "VAR_HANDLE" for tensor in op.outputs}
    assert set(found) == made, "tensors that no layer leaves in the arena"
    expected = layers_on_runtime(real, pool, list(found))
    pairs = zip(found.items(), expected, strict=True)
    counts = {tensor: int(np.count_nonzero(ours != theirs)) for (tensor, ours), theirs in pairs}
    return {tensor: count for tensor, count in counts.items() if count}


def test_a_model_of_real_numbers(shared_data: Path, pool: OraclePool, runner: HostRunner) -> None:
    """Equal to the last bit up to the last layer, whose exponentials are our own."""
    real = real_numbers(shared_data, 4)
    assert set(layers_that_differ(real, generate(real.model), pool, runner)) <= set(real.model.main.outputs)
    expected = on_runtime(real, pool)
    (found,) = runner.run(generate(real.model), [real.inputs])
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6, atol=1e-9)


def test_a_model_with_signal_operators_is_refused_by_name(shared_data: Path) -> None:
    model, _ = read_model_file(shared_data / "tflm_micro_speech" / "audio_preprocessor_int8.tflite")
    with pytest.raises(UnsupportedModelError, match=r"operator 0 \(SignalWindow\).*not covered") as caught:
        generate(model)
    assert "list ops" in str(caught.value)


def test_a_changed_weight_is_noticed(shared_data: Path, pool: OraclePool, runner: HostRunner) -> None:
    """The comparison would fail for a program of which one bit is wrong."""
    real = real_model(shared_data, "kws").first(2)
    program = generate(real.model, Style.DSP)
    tables = program.files["tms_tables.c"]
    start = tables.index("{", tables.index("const int8_t tms_w_004[")) + 1
    value = tables[start:].split(",")[0].strip()
    changed = tables[:start] + tables[start:].replace(value, str(int(value) ^ 1), 1)
    damaged = replace(program, files={**program.files, "tms_tables.c": changed})
    wrong = layers_that_differ(real, damaged, pool, runner)
    assert real.model.main.operators[4].outputs[0] in wrong
    assert real.model.main.operators[3].outputs[0] not in wrong
