"""The cache of trained fixtures: found by recipe, verified when read, never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tinymlsec.lift import fixtures
from tinymlsec.lift.fixtures import Fixture, Recipe, cached, data_digest, recipe_for

RECIPE = Recipe("test", "a" * 64, "b" * 64, {"epochs": 3, "rate": 0.5}, seed=1)


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Fixture:
        self.calls += 1
        return Fixture(b"model %d" % self.calls, {"accuracy": 0.5, "n": 10})


def test_made_once_then_read(tmp_path: Path):
    maker = Maker()
    assert (
        cached(RECIPE, maker, tmp_path)
        == cached(RECIPE, maker, tmp_path)
        == Fixture(b"model 1", {"accuracy": 0.5, "n": 10})
    )
    assert maker.calls == 1
    assert sorted(path.suffix for path in (tmp_path / "fixtures").iterdir()) == [".json", ".tflite"]


@pytest.mark.parametrize(
    "changed",
    [
        Recipe("other", "a" * 64, "b" * 64, {"epochs": 3, "rate": 0.5}, 1),
        Recipe("test", "c" * 64, "b" * 64, {"epochs": 3, "rate": 0.5}, 1),
        Recipe("test", "a" * 64, "c" * 64, {"epochs": 3, "rate": 0.5}, 1),
        Recipe("test", "a" * 64, "b" * 64, {"epochs": 4, "rate": 0.5}, 1),
        Recipe("test", "a" * 64, "b" * 64, {"epochs": 3, "rate": 0.5}, 2),
        Recipe("test", "a" * 64, "b" * 64, {"epochs": 3, "rate": 0.5}, 1, fixtures.CODE_VERSION + 1),
    ],
    ids=["name", "model", "data", "config", "seed", "code"],
)
def test_every_part_of_the_recipe_counts(tmp_path: Path, changed: Recipe):
    maker = Maker()
    cached(RECIPE, maker, tmp_path)
    assert cached(changed, maker, tmp_path).model == b"model 2"


def test_order_of_keys_does_not_count():
    assert Recipe("test", "a" * 64, "b" * 64, {"rate": 0.5, "epochs": 3}, 1).digest == RECIPE.digest


def _files(folder: Path) -> tuple[Path, Path]:
    return tuple(folder / "fixtures" / f"{RECIPE.digest}{end}" for end in (".tflite", ".json"))


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda model, note: model.write_bytes(b"model 2"),
        lambda model, note: model.unlink(),
        lambda model, note: note.unlink(),
        lambda model, note: note.write_bytes(b"{"),
        lambda model, note: note.write_bytes(b"[" * 100_000),
        lambda model, note: note.write_bytes(b"\xff\xfe"),
        lambda model, note: note.write_bytes(b" " * (fixtures.MAX_JSON_BYTES + 1)),
        lambda model, note: _edit(note, sha256="0" * 64),
        lambda model, note: _edit(note, facts=[1]),
        lambda model, note: _edit(note, recipe={}),
    ],
)
def test_what_does_not_verify_is_made_again(tmp_path: Path, damage):
    maker = Maker()
    cached(RECIPE, maker, tmp_path)
    damage(*_files(tmp_path))
    assert cached(RECIPE, maker, tmp_path).model == b"model 2"
    assert cached(RECIPE, maker, tmp_path).model == b"model 2"
    assert maker.calls == 2


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert cached(RECIPE, Maker(), blocked).model == b"model 1"


def test_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TINYMLSEC_CACHE", str(tmp_path / "own"))
    assert fixtures.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("TINYMLSEC_CACHE")
    assert fixtures.cache_folder() == tmp_path / "tinymlsec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert fixtures.cache_folder() == tmp_path / "home" / ".cache" / "tinymlsec"


def test_data_digest_sees_type_shape_and_values():
    x = np.arange(6, dtype=np.int8)
    same, others = data_digest(x), [x.astype(np.int16), x.reshape(2, 3), x[::-1], x + np.int8(1)]
    assert same == data_digest(x.copy())
    assert len({same, *(data_digest(other) for other in others)}) == 5


def test_recipe_of_a_configuration():
    recipe = recipe_for("digits", b"model", (np.zeros(3),), RECIPE, seed=4)
    assert recipe.config["config"] == {"epochs": 3, "rate": 0.5}
    assert recipe.seed == 4
    assert len(recipe.digest) == 64
