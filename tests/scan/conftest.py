"""A project folder with models, and a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from scan.scan_sample import case


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TINYMLSEC_CACHE", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with one good model, one with a finding of OPT-01, and a text."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "bad.tflite").write_bytes(case("OPT-01").bad)
    (models / "good.tflite").write_bytes(case("OPT-01").good)
    (models / "notes.txt").write_text("words\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
