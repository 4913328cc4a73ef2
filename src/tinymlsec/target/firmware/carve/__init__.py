"""Carving: models in firmware images, plain, under trivial keys, compressed or compiled in; and what else is there."""

from tinymlsec.target.firmware.carve.carve import Carved, Found, PackedStream, carve_image
from tinymlsec.target.firmware.carve.compiled import WeightArea, locate_models, weight_areas
from tinymlsec.target.firmware.carve.entropy import Content, EntropyMap, entropy_map
from tinymlsec.target.firmware.carve.located import Located

__all__ = [
    "Carved",
    "Content",
    "EntropyMap",
    "Found",
    "Located",
    "PackedStream",
    "WeightArea",
    "carve_image",
    "entropy_map",
    "locate_models",
    "weight_areas",
]
