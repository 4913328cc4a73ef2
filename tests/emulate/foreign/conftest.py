"""The firmwares of our own hand, built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulate.foreign.foreign_builds import TARGETS, build, gadget_header, interpreter_header, network


@pytest.fixture(scope="session")
def gadget_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gadget for a Cortex-M4, with symbols."""
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    return build(tmp_path_factory.mktemp("gadget"), "gadget", gadget_header(network()))


@pytest.fixture(scope="session")
def stripped_gadget_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without symbols."""
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    return build(tmp_path_factory.mktemp("gadget-stripped"), "gadget", gadget_header(network()), strip=True)


@pytest.fixture(scope="session")
def interpreter_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter for a Cortex-M4, with symbols."""
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    return build(tmp_path_factory.mktemp("interpreter"), "interpreter", interpreter_header(network()))


@pytest.fixture(scope="session")
def stripped_interpreter_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without symbols."""
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    folder = tmp_path_factory.mktemp("interpreter-stripped")
    return build(folder, "interpreter", interpreter_header(network()), strip=True)


@pytest.fixture(scope="session")
def broken_elfs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Firmware in which everything goes wrong, by core."""
    pytest.importorskip("ziglang", reason="needs tinymlsec[firmware]")
    folder = tmp_path_factory.mktemp("broken")
    return {core: build(folder, "broken", "", core=core) for core in TARGETS}
