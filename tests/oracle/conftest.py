"""Shared by the oracle's tests: pools, patched workers, and real models where they are at hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tinymlsec.target.oracle import Limits, OraclePool, runtime_available
from tinymlsec.target.oracle_launch import search_path

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    available, reason = runtime_available()
    for item in items:
        if not available and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def pool() -> Iterator[OraclePool]:
    """One worker that no test harms."""
    with OraclePool(1) as made:
        yield made


@pytest.fixture(scope="session")
def pair() -> Iterator[OraclePool]:
    """Two workers that no test harms."""
    with OraclePool(2) as made:
        yield made


@pytest.fixture
def brisk() -> Iterator[OraclePool]:
    """One worker with short patience, for tests that harm it."""
    with OraclePool(1, Limits(seconds_per_call=1.5)) as made:
        yield made


@pytest.fixture
def real_model(shared_data: Path) -> Callable[[str], bytes]:
    """Bytes of a real model."""
    return lambda name: (shared_data / name).read_bytes()


@pytest.fixture
def patched_worker() -> Callable[[str], list[str]]:
    """Command of a real worker that runs some code of the test before every batch."""

    def command(code: str) -> list[str]:
        lines = (
            "import os, sys, json",
            "sys.path[:0] = json.loads(sys.argv[1])",
            "import tinymlsec.target.oracle_worker as worker",
            "original = worker.Worker.run",
            "def run(self, request, payload):",
            *(f"    {line}" for line in code.splitlines()),
            "    return original(self, request, payload)",
            "worker.Worker.run = run",
            "worker.main(sys.argv[2])",
        )
        import tinymlsec

        root = str(Path(tinymlsec.__file__).parents[1])
        return [sys.executable, "-I", "-B", "-c", "\n".join(lines), json.dumps([root, *search_path()])]

    return command
