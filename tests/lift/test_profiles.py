"""The profiles of PC runtimes against LiteRT, which runs in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs tinymlsec[lift]")

from lift.models import load, random_codes, small_network  # noqa: E402
from tinymlsec.errors import UsageError  # noqa: E402
from tinymlsec.lift.graph import LiftedGraph  # noqa: E402
from tinymlsec.lift.profiles import profile_named  # noqa: E402
from tinymlsec.target.litert import litert_available, litert_pool  # noqa: E402
from tinymlsec.target.tflite.graph import Model  # noqa: E402

PROFILES = ("xnnpack", "ruy")
needs_litert = pytest.mark.skipif(not litert_available(), reason="needs tinymlsec[litert]")


def litert(content: bytes, codes: np.ndarray, profile: str) -> np.ndarray:
    """(n, ...) outputs of LiteRT."""
    with litert_pool(profile) as pool:
        return pool.open(content).run(codes)


def equal_rows(model: Model, theirs: np.ndarray, codes: np.ndarray, profile: str) -> float:
    """Share of inputs for which every output element is equal."""
    ours = LiftedGraph(model, profile).predict(codes).reshape(theirs.shape)
    return float((ours == theirs).reshape(len(theirs), -1).all(axis=1).mean())


@needs_litert
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["kws", "ic", "ad"])
def test_real_models(name: str, profile: str, shared_data: Path) -> None:
    model, content, codes = load(shared_data, name, 100)
    assert equal_rows(model, litert(content, codes, profile), codes, profile) >= 0.99


@needs_litert
def test_the_runtimes_disagree_and_the_profiles_tell_them_apart(shared_data: Path) -> None:
    model, content, codes = load(shared_data, "ic", 100)
    theirs = litert(content, codes, "xnnpack")
    assert equal_rows(model, theirs, codes, "tflm") < 0.8


@needs_litert
@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["vww", "micro_speech", "hello_world"])
def test_further_real_models(name: str, profile: str, shared_data: Path) -> None:
    model, content, codes = load(shared_data, name, 100)
    assert equal_rows(model, litert(content, codes, profile), codes, profile) >= 0.99


@needs_litert
@pytest.mark.parametrize("profile", PROFILES)
def test_a_small_network(profile: str) -> None:
    model = small_network(1).build()
    codes = random_codes(model, 200)
    assert equal_rows(model, litert(small_network(1).tobytes(), codes, profile), codes, profile) >= 0.99


def test_an_unknown_profile_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="tflm, ruy, xnnpack"):
        profile_named("cmsis")
