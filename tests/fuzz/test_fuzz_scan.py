"""Some hundred damaged inputs for every parser of the scanner; many more by fuzz_atheris.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fuzz.blind import BlindMutator
from fuzz.campaign import run_campaign
from fuzz.mutate import Mutator
from fuzz.scan_targets import TARGETS

COUNT = {"image": 40, "rules": 150, "reader": 300}
MEGABYTES = 512


@dataclass(frozen=True)
class Sound:
    data: bytes


@pytest.mark.parametrize("name", list(TARGETS))
def test_damage_ends_in_an_answer_or_an_input_error(name: str) -> None:
    target, rng = TARGETS[name], np.random.default_rng(7)
    seeds = target.seeds()
    for data in seeds[:30]:
        target.use(data)
    knowing = name in ("reader", "rules")
    mutator = Mutator(seeds[:20], rng) if knowing else BlindMutator([Sound(data) for data in seeds], rng)
    summary = run_campaign(mutator.next, target.use, COUNT.get(name, 200), name, None, "")
    assert summary["failures"] == []
    assert int(str(summary["peak_megabytes"])) < MEGABYTES
