"""Fixtures of the tests of generated code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulate.codegen_host import HostRunner
from tinymlsec.target.oracle import OraclePool


@pytest.fixture(scope="module")
def pool() -> Iterator[OraclePool]:
    with OraclePool(1) as made:
        yield made


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostRunner]:
    made = HostRunner(tmp_path_factory.mktemp("host"))
    yield made
    made.close()
