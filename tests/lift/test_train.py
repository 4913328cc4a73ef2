"""Training without TensorFlow: deterministic, within the file's scales, from scratch, and against an adversary."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tinymlsec import examples
from tinymlsec.errors import UsageError
from tinymlsec.target.tflite.reader import read_model
from tinymlsec.target.tflite.writer import write_model

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift import training_data  # noqa: E402 - after the check for PyTorch
from tinymlsec.lift.adversary import Adversary, robust_share, worst_inputs  # noqa: E402
from tinymlsec.lift.augment import Augment, augmented  # noqa: E402
from tinymlsec.lift.border import forward_from_codes  # noqa: E402
from tinymlsec.lift.float_twin import FloatTwin  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.rewrite import change_between  # noqa: E402
from tinymlsec.lift.students import GraphStudent, TwinStudent  # noqa: E402
from tinymlsec.lift.threads import deterministic  # noqa: E402
from tinymlsec.lift.train import Epoch, ScratchConfig, TrainConfig, fine_tune, from_scratch  # noqa: E402

ROOT = Path(__file__).parents[2]
INT8 = (-128, 127)
needs_runtime = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="no tflite-micro for this platform")


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    return training_data.digits()


def _scores(model: bytes):
    graph = LiftedGraph(read_model(model))
    return lambda x: forward_from_codes(graph, x)


def _tensors(data: dict[str, np.ndarray], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(data["x"][:count].astype(np.float32)), torch.from_numpy(data["y"][:count])


SHORT = ScratchConfig(
    real=TrainConfig(epochs=12, learning_rate=1e-2, augment=Augment(1, 0.3)),
    integer=TrainConfig(epochs=1, learning_rate=1e-3),
)


@needs_runtime
def test_digits_from_scratch(data):
    """590 held-out images, seed 1; 96 % is asked of the int8 file."""
    seen: list[Epoch] = []
    trained = from_scratch(examples.digits_model(), data["x_train"], data["y_train"], SHORT, seen.append)
    outputs = training_data.runtime_outputs(trained.model, data["x"])
    assert training_data.accuracy(outputs, data["y"]) >= 0.96
    np.testing.assert_array_equal(outputs, training_data.lifted_outputs(trained.model, data["x"]))
    change = change_between(read_model(examples.digits_model()), read_model(trained.model))
    assert min(change.weight_share, change.scale_share) > 0.9
    assert seen == trained.history
    assert [(e.stage, e.number) for e in seen] == [("real", n) for n in range(1, 13)] + [("integers", 1)]
    assert seen[11].loss < seen[0].loss


def test_the_same_recipe_gives_the_same_bytes(data):
    config = ScratchConfig(
        real=TrainConfig(epochs=1, augment=Augment(1, 0.5, mirror=True), adversary=Adversary(8, 2)),
        integer=TrainConfig(epochs=1, optimizer="sgd", adversary=Adversary(8, 2)),
    )
    x, y = data["x_train"][:200], data["y_train"][:200]
    once, twice = (from_scratch(examples.digits_model(), x, y, config).model for _ in range(2))
    other = ScratchConfig(TrainConfig(**{**vars(config.real), "seed": 2}), integer=config.integer)
    assert once == twice
    assert from_scratch(examples.digits_model(), x, y, other).model != once


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_fine_tuning_repairs_damaged_weights_and_keeps_scales(data, optimizer):
    """A model whose first filters are noise learns again; nothing but weights and biases moves."""
    plain = examples.digits_model()
    graph = LiftedGraph(read_model(plain))
    student = GraphStudent(graph)
    index = graph.model.main.operators[1].inputs[1]
    noise = torch.randint(-25, 26, student.held[index].shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        student.held[index].copy_(noise)
    damaged = write_model(student.model())
    rate = {"adam": 3e-3, "sgd": 1e-2}[optimizer]
    config = TrainConfig(epochs=4, learning_rate=rate, optimizer=optimizer)
    repaired = fine_tune(damaged, data["x_train"], data["y_train"], config).model
    before, after = (
        training_data.accuracy(training_data.lifted_outputs(m, data["x"]), data["y"]) for m in (damaged, repaired)
    )
    change = change_between(read_model(damaged), read_model(repaired))
    assert after > before + 0.2, (before, after)
    assert after > 0.85
    assert change.scales_changed == 0
    assert change.weight_values_changed > 0


def test_latent_weights_stay_within_their_type(data):
    graph = LiftedGraph(read_model(examples.digits_model()))
    student = GraphStudent(graph)
    for parameter in student.parameters:
        parameter.data += 1e9
    student.settle()
    for tensor, parameter in student.held.items():
        assert float(parameter.detach().max()) <= student.bounds[tensor][1]
    read = graph.model.main.operators[0].inputs[1]
    assert student._codes(read).max() == 127


def test_gradients_reach_every_parameter(data):
    graph = LiftedGraph(read_model(examples.digits_model()))
    student = GraphStudent(graph)
    x, y = _tensors(data, 32)
    torch.nn.functional.cross_entropy(student.scores(x), y).backward()
    student.collect()
    assert len(student.parameters) == 8
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in student.parameters)
    twin = TwinStudent(FloatTwin(graph.model))
    torch.nn.functional.cross_entropy(twin.scores(x), y).backward()
    for tensor, exact in student.latent.items():
        real = twin.twin.real[str(tensor)]
        cosine = torch.cosine_similarity(exact.grad.double().ravel(), real.grad.double().ravel(), 0)
        assert float(cosine) > 0.9, exact.shape


def test_folding_normalization_keeps_the_function(data):
    twin = FloatTwin(read_model(examples.digits_model()), normalize=True).train()
    x = torch.from_numpy(data["x_train"][:256].astype(np.float32) + 128) * 16 / 255
    for _ in range(30):
        twin(x)
    twin.eval()
    with torch.no_grad():
        for norm in twin.norms.values():
            norm.weight.uniform_(0.5, 2.0)
            norm.bias.uniform_(-1, 1)
        expected = twin(x)
        found = FloatTwin(twin.model, twin.folded()).eval()(x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_adversary_stays_in_its_box_and_does_harm(data, loss):
    scores, (x, y) = _scores(examples.digits_model()), _tensors(data, 100)
    found = worst_inputs(scores, x, y, Adversary(24, 7, loss=loss), INT8, torch.Generator().manual_seed(1))
    assert float((found - x).abs().max()) == 24
    assert float(found.min()) >= -128
    assert float(found.max()) <= 127
    assert torch.equal(found, found.round())
    assert (scores(found).argmax(1) == y).float().mean() < 0.6
    assert (scores(x).argmax(1) == y).float().mean() > 0.95


def test_robust_share_counts_every_step_and_falls_with_the_radius(data):
    scores, (x, y) = _scores(examples.digits_model()), _tensors(data, 100)
    shares = [robust_share(scores, x, y, Adversary(r, 10 if r else 0, loss="margin"), INT8) for r in (0, 8, 24)]
    clean = float((scores(x).argmax(1) == y).float().mean())
    last = worst_inputs(scores, x, y, Adversary(24, 10, loss="margin"), INT8, torch.Generator().manual_seed(1))
    assert shares[0] == pytest.approx(clean)
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] <= float((scores(last).argmax(1) == y).float().mean())


def test_radius_grows_along_the_ramp():
    adversary = Adversary(24, ramp=0.5)
    assert [adversary.at(p).radius for p in (0.0, 0.25, 0.5, 1.0)] == [0, 12, 24, 24]
    assert Adversary(24).at(0.0).radius == 24


def test_shifts_and_mirror_images():
    x = torch.arange(2 * 3 * 3, dtype=torch.float32).reshape(2, 3, 3, 1)
    shifts = augmented(x.repeat(200, 1, 1, 1), Augment(shift=1), -9.0, torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(x[0], (0, 0, 1, 1, 1, 1), value=-9.0)
    possible = {tuple(padded[r : r + 3, c : c + 3].ravel().tolist()) for r in range(3) for c in range(3)}
    assert {tuple(image.ravel().tolist()) for image in shifts[::2]} == possible
    mirrored = augmented(x.repeat(50, 1, 1, 1), Augment(mirror=True), -9.0, torch.Generator().manual_seed(1))
    seen = {tuple(image.ravel().tolist()) for image in mirrored[::2]}
    assert seen == {tuple(x[0].ravel().tolist()), tuple(x[0].flip(1).ravel().tolist())}


def test_settings_of_pytorch_come_back():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    inside = []

    @deterministic()
    def fails() -> None:
        inside.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert inside == [(1, True)]
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


@pytest.mark.parametrize(
    ("shape", "labels", "config"),
    [
        ((10, 7, 8, 1), 10, TrainConfig()),
        ((10, 8, 8, 1), 9, TrainConfig()),
        ((1, 8, 8, 1), 1, TrainConfig()),
        ((10, 8, 8, 1), 10, TrainConfig(epochs=0)),
    ],
)
def test_data_that_do_not_fit_are_refused(shape, labels, config):
    with pytest.raises(UsageError, match="cannot be trained on"):
        fine_tune(examples.digits_model(), np.zeros(shape, np.int8), np.zeros(labels, np.int64), config)


def test_divergence_is_told(data):
    config = ScratchConfig(real=TrainConfig(epochs=8, learning_rate=1e30, optimizer="sgd"), normalize=False)
    with pytest.raises(UsageError, match="diverged"):
        from_scratch(examples.digits_model(), data["x_train"][:200], data["y_train"][:200], config)


@needs_runtime
def test_hardened_digits_are_accurate_and_harder_to_attack(data):
    """590 held-out images, PGD-20 on the margin of the logits, seed 1: plain against hardened."""
    plain, hardened = examples.digits_model(), examples.digits_hardened_model()
    outputs = training_data.runtime_outputs(hardened, data["x"])
    assert len(hardened) < 40_000
    assert training_data.accuracy(outputs, data["y"]) >= 0.96
    np.testing.assert_array_equal(outputs, training_data.lifted_outputs(hardened, data["x"]))
    x, y = _tensors(data, 590)
    for radius, gain in ((8, 0.05), (16, 0.2), (24, 0.4)):
        pgd = Adversary(radius, 20, loss="margin")
        weak, strong = (robust_share(_scores(model), x, y, pgd, INT8) for model in (plain, hardened))
        assert strong - weak >= gain, radius


def test_hardened_script_gives_the_same_bytes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Once in a process of its own, once in this one."""
    script = ROOT / "examples" / "digits" / "make_hardened.py"
    command = [sys.executable, str(script), "--out", str(tmp_path), "--epochs", "1", "--no-report"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    made = (tmp_path / "digits_hardened.tflite").read_bytes()
    monkeypatch.syspath_prepend(str(script.parent))
    import make_hardened

    assert made == make_hardened.make(examples.digits_model(), make_hardened.load(), make_hardened.recipe(1, 1))
    assert "adversarially" in read_model(made).description


@pytest.mark.slow
def test_remade_hardened_model_is_the_bundled_one(tmp_path: Path, data):
    """Bytes are equal with the same PyTorch on the same kind of processor; elsewhere a point is allowed."""
    command = [
        sys.executable,
        str(ROOT / "examples" / "digits" / "make_hardened.py"),
        "--out",
        str(tmp_path),
        "--no-report",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    remade = (tmp_path / "digits_hardened.tflite").read_bytes()
    if remade != examples.digits_hardened_model():
        shares = [
            training_data.accuracy(training_data.lifted_outputs(model, data["x"]), data["y"])
            for model in (remade, examples.digits_hardened_model())
        ]
        assert abs(shares[0] - shares[1]) <= 0.01


@needs_runtime
@pytest.mark.slow
def test_image_classification_from_scratch(shared_data: Path):
    """ResNet-8's graph on 3,000 JPEG images, tested on 2,000; chance is 10 %. Fewer epochs than in docs/training.md."""
    pytest.importorskip("PIL", reason="needs Pillow")
    topology = (shared_data / "mlperf_tiny_ic" / "pretrainedResnet_quant.tflite").read_bytes()
    x, y = training_data.images(shared_data / "cifar10_jpeg" / "cifar10_jpeg_train3000.zip")
    augment = Augment(shift=3, mirror=True)
    config = ScratchConfig(
        real=TrainConfig(epochs=20, learning_rate=5e-3, weight_decay=5e-2, label_smoothing=0.1, augment=augment),
        integer=TrainConfig(epochs=1, learning_rate=2e-4, augment=augment),
    )
    trained = from_scratch(topology, x, y, config)
    held, labels = training_data.images(shared_data / "cifar10_jpeg" / "cifar10_jpeg_test2000.zip")
    outputs = training_data.runtime_outputs(trained.model, held)
    assert training_data.accuracy(outputs, labels) > 0.40
    np.testing.assert_array_equal(outputs, training_data.lifted_outputs(trained.model, held))
