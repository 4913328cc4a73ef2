"""Targets for attacks: small models whose answers are known, on the real runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.attack_targets import Workbench
from tinymlsec.target.oracle import OraclePool, runtime_available


@pytest.fixture(scope="session")
def pool() -> Iterator[OraclePool]:
    available, why = runtime_available()
    if not available:
        pytest.skip(why)
    with OraclePool(workers=1) as pool:
        yield pool


@pytest.fixture(scope="session")
def bench(pool: OraclePool) -> Workbench:
    return Workbench(pool)
