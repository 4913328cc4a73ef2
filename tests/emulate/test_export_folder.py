"""Where export-c writes: as a whole into a free place, or a clear error and nothing at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tinymlsec.emulate.codegen.project import write_project
from tinymlsec.errors import InputError

FILES = {"src/a.c": "int a;\n", "README.md": "# a\n"}


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_an_empty_folder(tmp_path: Path, there: bool) -> None:
    place = tmp_path / "out"
    if there:
        place.mkdir()
    write_project(FILES, place)
    assert (place / "src/a.c").read_text() == "int a;\n"
    assert names(tmp_path) == {"out", "out/src", "out/src/a.c", "out/README.md"}


def test_places_that_are_taken(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "nowhere").symlink_to("no such place")
    before = names(tmp_path)
    for name, words in (("full", "not empty"), ("file", "is a file"), ("link", "is a link"), ("nowhere", "is a link")):
        with pytest.raises(InputError, match=words):
            write_project(FILES, tmp_path / name)
    assert names(tmp_path) == before


@pytest.mark.parametrize("place", ["x" * 300, "no/folder/here", "file/below"])
def test_places_that_cannot_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_project(FILES, tmp_path / place)
    assert caught.value.exit_code == 2
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("ending", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_write_that_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    whole = Path.write_text

    def full(path: Path, *arguments: object, **options: object) -> int:
        if path.name == "README.md":
            raise ending
        return whole(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError if isinstance(ending, OSError) else KeyboardInterrupt):
        write_project(FILES, tmp_path / "out")
    assert names(tmp_path) == set()
