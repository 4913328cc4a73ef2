"""What holds for every built-in attack: light to import, documented, configurable."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tinymlsec.field_docs import field_texts
from tinymlsec.registry import Attack, EffortLevel, discover

ATTACKS = list(discover().attacks.values())


def test_the_first_three_attacks_are_there() -> None:
    assert {"static-extraction", "random-bit-flips", "square"} <= {spec.id for spec in ATTACKS}


def test_importing_the_attacks_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tinymlsec.registry import discover; assert len(discover().attacks) >= 3;"
        "heavy = {'numpy', 'torch', 'matplotlib', 'jinja2', 'cvss', 'tflite_micro'} & set(sys.modules);"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("spec", ATTACKS, ids=lambda spec: spec.id)
def test_the_docstring_is_a_documentation_page(spec: Attack[Any]) -> None:
    for section in ("What it does", "Why it works on a microcontroller", "Method", "Controls", "Limits"):
        assert f"## {section}" in spec.doc
    assert "Source:" in spec.doc
    assert spec.controls


@pytest.mark.parametrize("spec", ATTACKS, ids=lambda spec: spec.id)
def test_every_setting_is_documented_and_every_effort_configures(spec: Attack[Any]) -> None:
    assert field_texts(spec.config).keys() == spec.config.model_fields.keys()
    quick, standard, thorough = (spec.configure(level) for level in EffortLevel)
    work = next((name for name in ("samples", "traces", "seconds") if name in spec.config.model_fields), None)
    if work is None:  # rules look at all that is there, whatever the effort
        assert spec.family == "rules"
        assert quick == standard == thorough
        return
    amounts = [getattr(config, work) for config in (quick, standard, thorough)]
    assert amounts == sorted(amounts)
