"""Weights without a model file: those of a given model, and stretches that are distributed as weights are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinymlsec.errors import ModelFileError
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.carve import Carved
from tinymlsec.target.firmware.carve.entropy import Content
from tinymlsec.target.firmware.carve.limits import DEFAULT_SECONDS
from tinymlsec.target.firmware.carve.located import Grams, Located, locate
from tinymlsec.target.tflite.reader import read_model

LEAST_AREA = 6_144
"""Bytes of a stretch that counts; shorter ones also occur in tables and code."""
MOST_MODELS = 16


@dataclass(frozen=True)
class WeightArea:
    """A stretch that is distributed as int8 weights are."""

    address: int
    size: int


def locate_models(carved: Carved, models: Sequence[bytes], seconds: float = DEFAULT_SECONDS) -> Iterator[Located]:
    """What lies in an image of models that are not in it as files.

    Args:
        carved: what was found in the image.
        models: model files; those that were carved are passed over.
        seconds: of CPU time.
    """
    known = {found.hit.data for found in carved.found}
    budget, grams = Budget(seconds), Grams(carved.runs)
    for data in [each for each in dict.fromkeys(models) if each not in known][:MOST_MODELS]:
        try:
            model = read_model(data)
        except ModelFileError:
            continue
        yield locate(model, grams, budget)


def weight_areas(carved: Carved, located: Sequence[Located] = ()) -> tuple[WeightArea, ...]:
    """Stretches like weights outside of all that was found, and none where a given model explains them."""
    if any(each.share > 0.5 for each in located):
        return ()
    taken = [(found.address, found.address + found.hit.stored) for found in carved.found]
    taken += [(stream.address, stream.address + stream.stored) for stream in carved.streams]
    areas = []
    for run, content in zip(carved.runs, carved.maps, strict=True):
        for area in content.areas:
            start, end = run.address + area.start, run.address + area.end
            free = not any(start < last and first < end for first, last in taken)
            if area.content is Content.WEIGHTS and end - start >= LEAST_AREA and free:
                areas.append(WeightArea(start, end - start))
    return tuple(areas)
