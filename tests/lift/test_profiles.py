"""The profiles of PC runtimes against LiteRT, which runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.models import load, random_codes, small_network  # noqa: E402
from tinymlsec.errors import UsageError  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.profiles import profile_named  # noqa: E402
from tinymlsec.target.tflite.graph import Model  # noqa: E402

WORKER = Path(__file__).parent / "litert_worker.py"
RESOLVERS = {"xnnpack": "BUILTIN", "ruy": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
needs_litert = pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="needs tinymlsec[litert]")


def litert(content: bytes, codes: np.ndarray, profile: str, folder: Path) -> np.ndarray:
    """(n, ...) outputs of LiteRT."""
    (folder / "model.tflite").write_bytes(content)
    np.save(folder / "in.npy", codes, allow_pickle=False)
    files = [str(folder / name) for name in ("model.tflite", "in.npy", "out.npy")]
    done = subprocess.run(
        [sys.executable, str(WORKER), *files, RESOLVERS[profile]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "out.npy", allow_pickle=False)


def equal_rows(model: Model, theirs: np.ndarray, codes: np.ndarray, profile: str) -> float:
    """Share of inputs for which every output element is equal."""
    ours = LiftedGraph(model, profile).predict(codes).reshape(theirs.shape)
    return float((ours == theirs).reshape(len(theirs), -1).all(axis=1).mean())


@needs_litert
@pytest.mark.parametrize("profile", RESOLVERS)
@pytest.mark.parametrize("name", ["kws", "ic", "ad"])
def test_real_models(name: str, profile: str, shared_data: Path, tmp_path: Path) -> None:
    model, content, codes = load(shared_data, name, 100)
    assert equal_rows(model, litert(content, codes, profile, tmp_path), codes, profile) >= 0.99


@needs_litert
def test_the_runtimes_disagree_and_the_profiles_tell_them_apart(shared_data: Path, tmp_path: Path) -> None:
    model, content, codes = load(shared_data, "ic", 100)
    theirs = litert(content, codes, "xnnpack", tmp_path)
    assert equal_rows(model, theirs, codes, "tflm") < 0.8


@needs_litert
@pytest.mark.slow
@pytest.mark.parametrize("profile", RESOLVERS)
@pytest.mark.parametrize("name", ["vww", "micro_speech", "hello_world"])
def test_further_real_models(name: str, profile: str, shared_data: Path, tmp_path: Path) -> None:
    model, content, codes = load(shared_data, name, 100)
    assert equal_rows(model, litert(content, codes, profile, tmp_path), codes, profile) >= 0.99


@needs_litert
@pytest.mark.parametrize("profile", RESOLVERS)
def test_a_small_network(profile: str, tmp_path: Path) -> None:
    model = small_network(1).build()
    codes = random_codes(model, 200)
    assert equal_rows(model, litert(small_network(1).tobytes(), codes, profile, tmp_path), codes, profile) >= 0.99


def test_an_unknown_profile_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="tflm, ruy, xnnpack"):
        profile_named("cmsis")
