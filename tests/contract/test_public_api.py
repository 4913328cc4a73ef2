"""The public names exist, and importing the package imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tinymlsec


@pytest.mark.parametrize("name", tinymlsec.__all__)
def test_name_exists(name: str) -> None:
    assert getattr(tinymlsec, name)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = tinymlsec.no_such_thing


def test_import_is_light() -> None:
    code = "import sys, tinymlsec; print([m for m in ('numpy', 'pydantic', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
