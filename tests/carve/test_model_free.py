"""Images without a model: nothing is found in 50 of them, whatever they are made of."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from carve.corpus import KINDS, as_file
from carve.encoders import encrypt
from carve.surroundings import code, firmware, image_of, tables, texts
from tinymlsec.scan.images import scan_image


def extra(number: int, rng: np.random.Generator) -> bytes:
    """What else lies in an image: packed pages, keys, sound, pictures, code of another machine, identifiers."""
    libraries = sorted(Path(np.__file__).parent.rglob("*.so")) or [Path(sys.executable)]
    library = libraries[number % len(libraries)].read_bytes()
    noise = rng.bytes(20_000)
    kinds = (
        noise,
        zlib.compress(texts(rng, 600)),
        gzip.compress(library[:60_000]),
        encrypt(texts(rng, 400), number),
        (8000 * rng.normal(size=20_000)).astype("<i2").tobytes(),
        rng.integers(0, 256, (80, 80, 3)).astype(np.uint8).tobytes(),
        library[4096:40_960],
        b"TFL3" * 500 + b"\x1c\0\0\0TFL3" * 200 + b"\x20\0\0\0ET12eh00" * 100,
        tables(rng, 4_000),
        code(rng, 20_000),
    )
    return kinds[number % len(kinds)]


@pytest.mark.parametrize("number", range(50))
def test_nothing_is_found_where_no_model_is(number: int) -> None:
    rng = np.random.default_rng(1000 + number)
    parts = [firmware(rng, int(rng.integers(8_192, 65_536))), extra(number, rng), firmware(rng, 8_192), b"\xff" * 3000]
    scan = scan_image(as_file(image_of(parts), KINDS[number % 4]))
    assert scan.contained == ()
    assert [f.id for f in scan.findings if f.id.startswith("CARVE")] == []
