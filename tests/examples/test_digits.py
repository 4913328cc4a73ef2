"""The bundled digits example: what is shipped, what it scores on the real runtime, and that it can be remade."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tinymlsec import examples
from tinymlsec.target.deployment import load_deployment
from tinymlsec.target.tflite.reader import read_model

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "digits"
BUNDLE = ROOT / "src" / "tinymlsec" / "examples" / "digits"

needs_runtime = pytest.mark.skipif(
    find_spec("tflite_micro") is None, reason="the tflite-micro runtime has no wheel for this platform"
)
needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn comes with tinymlsec[test]")

RUNTIME = """
import sys
import numpy as np
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1])
inputs = np.load(sys.argv[2])
outputs = []
for row in inputs:
    interpreter.set_input(row[None], 0)
    interpreter.invoke()
    outputs.append(interpreter.get_output(0)[0])
np.save(sys.argv[3], np.array(outputs))
"""


def run_on_runtime(model: Path, codes: np.ndarray, folder: Path) -> np.ndarray:
    inputs, outputs = folder / "inputs.npy", folder / "outputs.npy"
    np.save(inputs, codes)
    command = [sys.executable, "-c", RUNTIME, str(model), str(inputs), str(outputs)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return np.load(outputs)


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(examples.digits_data()), allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def codes(data: dict[str, np.ndarray]) -> np.ndarray:
    quantization = _input_quantization()
    exact = data["x"] / quantization.scale[0] + quantization.zero_point[0]
    return np.clip(np.rint(exact), -128, 127).astype(np.int8)


@pytest.fixture(scope="module")
def on_runtime(codes: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return run_on_runtime(BUNDLE / "digits.tflite", codes, tmp_path_factory.mktemp("runtime"))


def _input_quantization():
    graph = read_model(examples.digits_model()).main
    return graph.tensors[graph.inputs[0]].quantization


def test_shipped_sizes():
    assert 3000 < len(examples.digits_model()) < 40_000
    assert len(examples.digits_data()) < 200_000


def test_license_note_names_authors_license_and_source():
    note = examples.digits_license()
    for words in ("Alpaydin", "Kaynak", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/", "10.24432/C50P49"):
        assert words in note


def test_data_is_a_clean_split(data: dict[str, np.ndarray]):
    assert data["x"].shape == (590, 8, 8, 1)
    assert data["x"].dtype == np.float32
    assert data["x_train"].shape == (1207, 8, 8, 1)
    assert np.bincount(data["y"]).tolist() == [59] * 10
    assert data["class_names"].tolist() == [str(digit) for digit in range(10)]
    pixels = np.concatenate([data["x"], data["x_train"]])
    assert sorted(np.unique(pixels)) == list(range(17))
    held_out = {image.tobytes() for image in data["x"]}
    assert not any(image.tobytes() in held_out for image in data["x_train"])


def test_model_is_the_network_of_the_readme():
    model = read_model(examples.digits_model())
    graph = model.main
    names = [op.name for op in graph.operators]
    assert names == [
        "CONV_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "AVERAGE_POOL_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    weights = sum(len(graph_weights) for graph_weights in _weights(model))
    assert weights == 160 - 16 + 2320 - 16 + 160 - 16 + 640
    assert graph.tensors[graph.inputs[0]].shape == (1, 8, 8, 1)
    assert graph.tensors[graph.outputs[0]].shape == (1, 10)
    assert graph.tensors[graph.operators[0].inputs[1]].quantization.per_channel
    assert "NumPy" in model.description


def _weights(model):
    for op in model.main.operators:
        if len(op.inputs) == 3:
            yield bytes(model.buffers[model.main.tensors[op.inputs[1]].buffer].data)


def test_profile_follows_the_schema(tmp_path: Path):
    path = tmp_path / "deployment.toml"
    path.write_text(examples.digits_deployment(), encoding="utf-8")
    profile = load_deployment(path)
    assert profile.fact("sensor.high") == 16
    assert profile.fact("access.physical") == "public"


def test_paths_are_the_same_files():
    with examples.digits_paths() as paths:
        assert paths.model.read_bytes() == examples.digits_model()
        assert paths.data.read_bytes() == examples.digits_data()
        assert paths.deployment.read_text(encoding="utf-8") == examples.digits_deployment()


def test_found_in_a_zipped_package(tmp_path: Path):
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in [ROOT / "src/tinymlsec/__init__.py", *(BUNDLE.parent).rglob("*")]:
            if file.is_file() and "__pycache__" not in file.parts:
                target.write(file, file.relative_to(ROOT / "src"))
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tinymlsec import examples\n"
        "assert sys.argv[1] in examples.__file__\n"
        "with examples.digits_paths() as paths:\n"
        "    assert paths.model.read_bytes() == examples.digits_model()\n"
        "    print(len(examples.digits_model()), 'numpy' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(archive)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(len(examples.digits_model())), "False"]


@needs_runtime
def test_accuracy_on_the_runtime(on_runtime: np.ndarray, data: dict[str, np.ndarray]):
    assert np.mean(on_runtime.argmax(1) == data["y"]) >= 0.96


@needs_runtime
def test_reference_equals_the_runtime(on_runtime: np.ndarray, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from reference import Reference

    own = Reference(read_model(examples.digits_model())).run(codes)
    np.testing.assert_array_equal(own, on_runtime)


@needs_runtime
def test_reference_equals_the_runtime_on_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from reference import Reference

    noise = np.random.default_rng(0).integers(-128, 128, (500, 8, 8, 1)).astype(np.int8)
    own = Reference(read_model(examples.digits_model())).run(noise)
    np.testing.assert_array_equal(own, run_on_runtime(BUNDLE / "digits.tflite", noise, tmp_path))


def test_gradients_of_the_layers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from train import build_network, loss_gradient

    rng = np.random.default_rng(3)
    network = build_network(rng)
    for layer in network.weighted:
        layer.parameters = [p.astype(np.float64) + 0.05 * (p.ndim == 1) for p in layer.parameters]
    x, y = rng.random((4, 8, 8, 1)), rng.integers(0, 10, 4)

    def loss() -> float:
        logits = network.forward(x)
        return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(4), y]))

    gradient = loss_gradient(network.forward(x), y)
    for layer in reversed(network.layers):
        gradient = layer.backward(gradient)
    for layer in network.weighted:
        for parameter, found in zip(layer.parameters, layer.gradients, strict=True):
            at = tuple(rng.integers(0, size) for size in parameter.shape)
            values = []
            for step in (1e-6, -2e-6):
                parameter[at] += step
                values.append(loss())
            parameter[at] += 1e-6
            assert found[at] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)


def _make(folder: Path, *arguments: str) -> str:
    command = [sys.executable, str(SCRIPTS / "make.py"), "--out", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=ROOT).stdout


@needs_sklearn
def test_making_is_deterministic(tmp_path: Path):
    for name in ("once", "twice"):
        _make(tmp_path / name, "--epochs", "2")
    for file in ("digits.tflite", "digits.npz"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "twice" / file).read_bytes()


@pytest.mark.slow
@needs_runtime
@needs_sklearn
def test_remade_example_is_the_bundled_one(tmp_path: Path, data, codes: np.ndarray, on_runtime: np.ndarray):
    """Bytes are equal with the same library versions on the same kind of processor; elsewhere a point is allowed."""
    _make(tmp_path)
    with np.load(tmp_path / "digits.npz", allow_pickle=False) as remade:
        assert {name: remade[name].tobytes() for name in remade} == {name: data[name].tobytes() for name in data}
    if (tmp_path / "digits.tflite").read_bytes() != examples.digits_model():
        outputs = run_on_runtime(tmp_path / "digits.tflite", codes, tmp_path)
        shares = [np.mean(answer.argmax(1) == data["y"]) for answer in (outputs, on_runtime)]
        assert abs(shares[0] - shares[1]) <= 0.01
