"""Files to scan: order, names, links, special files, limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinymlsec.errors import InputError
from tinymlsec.scan.collect import MAX_DEPTH, collect


def names(*paths: Path) -> list[str]:
    return [item.shown for item in collect(paths).files]


def test_folders_to_their_bottom_in_the_order_of_names(project: Path) -> None:
    (project / "a" / "b").mkdir(parents=True)
    (project / "a" / "b" / "x.bin").write_bytes(b"x")
    assert names(project) == ["a/b/x.bin", "models/bad.tflite", "models/good.tflite", "models/notes.txt"]


@pytest.mark.parametrize("given", ["models", "./models", "models/../models", "{here}/models"])
def test_the_same_names_however_the_folder_is_written(project: Path, given: str) -> None:
    assert names(Path(given.format(here=project)))[0] == "models/bad.tflite"


def test_outside_of_the_working_folder_the_name_of_the_folder_leads(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("elsewhere") / "zoo"
    other.mkdir()
    (other / "m.tflite").write_bytes(b"x")
    assert names(other) == ["zoo/m.tflite"]
    assert names(other / "m.tflite") == ["m.tflite"]


def test_equal_names_from_outside_keep_their_paths(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = []
    for name in ("one", "two"):
        files.append(tmp_path_factory.mktemp(name) / "m.tflite")
        files[-1].write_bytes(b"x")
    assert names(*files) == [file.as_posix() for file in files]


def test_a_file_counts_once(project: Path) -> None:
    assert names(Path("models/bad.tflite"), Path("models"), project / "models").count("models/bad.tflite") == 1


def test_links_are_not_followed_out(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.tflite").write_bytes(b"x")
    (project / "models" / "file.tflite").symlink_to(outside / "secret.tflite")
    (project / "models" / "folder").symlink_to(outside)
    (project / "models" / "again.tflite").symlink_to("good.tflite")
    (project / "models" / "loop").symlink_to(project / "models")
    found = collect([Path("models")])
    assert [item.shown for item in found.files] == ["models/bad.tflite", "models/good.tflite", "models/notes.txt"]
    assert [name for name, _ in found.skipped] == ["models/file.tflite", "models/folder"]


def test_a_link_that_is_given_is_followed(project: Path) -> None:
    (project / "link.tflite").symlink_to("models/bad.tflite")
    assert names(Path("link.tflite")) == ["link.tflite"]


def test_special_files_are_refused(project: Path) -> None:
    os.mkfifo(project / "models" / "pipe.tflite")
    assert collect([Path("models")]).skipped == [("models/pipe.tflite", "not a regular file")]
    with pytest.raises(InputError, match="neither a file nor a folder"):
        collect([project / "models" / "pipe.tflite"])


def test_what_does_not_exist_is_told(project: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        collect([Path("nothing.tflite")])


def test_limits_are_errors_and_no_short_lists(project: Path) -> None:
    with pytest.raises(InputError, match="too many files"):
        collect([Path("models")], limit=2)
    deep = project / "deep"
    for _ in range(MAX_DEPTH + 2):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "m.tflite").write_bytes(b"x")
    found = collect([project / "deep"])
    assert not found.files
    assert "deep" in found.failed[0][1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_a_failure(project: Path) -> None:
    (project / "models").chmod(0)
    try:
        assert collect([project]).failed[0][0] == "models"
    finally:
        (project / "models").chmod(0o700)


def test_folders_of_tools_are_left_out(project: Path) -> None:
    (project / ".git").mkdir()
    (project / ".git" / "x.tflite").write_bytes(b"x")
    assert ".git/x.tflite" not in names(project)
