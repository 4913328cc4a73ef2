"""Fixtures that several areas share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.devtools import Browser, find_browser

REPO = Path(__file__).resolve().parent.parent
SHARED_DATA = REPO.parent / "shared" / "data"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long campaigns run only where they are asked for by `-m`, or by naming them."""
    if config.option.markexpr or config.option.keyword:
        return
    named = {argument.split("::")[0] for argument in config.args if "::" in argument}
    for item in items:
        if "slow" in item.keywords and not any(str(item.path).endswith(name) for name in named):
            item.add_marker(pytest.mark.skip(reason="slow: run with `pytest -m slow`"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real models and data, which lies beside the repository on the developers' machines."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real models and data (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="module")
def shared_browser() -> Iterator[Browser]:
    found = find_browser()
    if found is None:
        pytest.skip("no Chromium on this machine")
    with Browser(found) as browser:
        yield browser
