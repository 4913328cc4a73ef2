"""Values and names as C text."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymlsec.emulate.codegen.text import LONGEST_NAME, c_float, c_int, c_long, c_values, safe

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?f")


@given(st.integers(0, 2**32 - 1))
def test_real_numbers_are_exact(bits: int) -> None:
    value = np.uint32(bits).view(np.float32)
    text = c_float(float(value))
    if not np.isfinite(value):
        assert text == {"nan": "(0.0f / 0.0f)", "inf": "(1.0f / 0.0f)", "-inf": "(-1.0f / 0.0f)"}[str(value)]
        return
    assert NUMBER.fullmatch(text)
    assert "." in text or "e" in text, "an integer with an f is no C"
    assert np.float32(text[:-1]).view(np.uint32) == bits


@pytest.mark.parametrize(("value", "text"), [(1.0, "1.0f"), (0.1, "0.1f"), (-0.0, "-0.0f"), (1e-7, "1.0e-07f")])
def test_real_numbers_are_short(value: float, text: str) -> None:
    assert c_float(value) == text


@given(st.integers(-(2**31), 2**31 - 1))
def test_integers(value: int) -> None:
    assert eval(c_int(value)) == value
    assert c_int(value).lstrip("-").isdigit() or value == -(2**31)


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "INT64_C(5)"), (-5, "(-INT64_C(5))"), (-(2**63), "INT64_MIN"), (2**31, "INT64_C(2147483648)")],
)
def test_long_integers(value: int, text: str) -> None:
    assert c_long(value) == text


@given(st.text(max_size=200))
def test_names_stay_in_their_comment(name: str) -> None:
    shown = safe(name)
    assert len(shown) <= LONGEST_NAME
    assert re.fullmatch(r"[A-Za-z0-9._/-]*", shown)


def test_lines_of_numbers() -> None:
    text = c_values(np.arange(-300, 300, dtype=np.int16))
    assert [int(word) for word in text.replace("\n", "").split(",")] == list(range(-300, 300))
    assert max(map(len, text.splitlines())) <= 120
    assert c_values(np.array([True, False])).split() == ["1,", "0"]
    assert c_values(np.array([2**32 - 1], np.uint32)).strip() == "4294967295u"
