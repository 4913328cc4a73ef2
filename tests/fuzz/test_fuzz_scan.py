"""Some hundred damaged inputs for every parser of the scanner; many more by fuzz_atheris.py."""

from __future__ import annotations

import numpy as np
import pytest

from fuzz.campaign import run_campaign
from fuzz.scan_targets import TARGETS

COUNT = {"image": 40, "rules": 150, "reader": 300}
MEGABYTES = 512


@pytest.mark.parametrize("name", list(TARGETS))
def test_damage_ends_in_an_answer_or_an_input_error(name: str) -> None:
    target, rng = TARGETS[name], np.random.default_rng(7)
    for data in target.seeds()[:30]:
        target.use(data)
    summary = run_campaign(target.mutator(rng).next, target.use, COUNT.get(name, 200), name, None, "")
    assert summary["failures"] == []
    assert int(str(summary["peak_megabytes"])) < MEGABYTES
