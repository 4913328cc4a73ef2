"""Fields and flags of a UF2 block."""

from __future__ import annotations

import numpy as np

BLOCK_SIZE = 512
MAX_PAYLOAD = 476
START_0, START_1, END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
NOT_FLASH, CONTAINER, FAMILY, MD5, TAGS = 0x1, 0x1000, 0x2000, 0x4000, 0x8000
MD5_SIZE = 24
"""At the end of the data: start and length of a region, and its checksum."""

BLOCK = np.dtype(
    [
        ("start0", "<u4"),
        ("start1", "<u4"),
        ("flags", "<u4"),
        ("address", "<u4"),
        ("payload", "<u4"),
        ("number", "<u4"),
        ("count", "<u4"),
        ("family", "<u4"),
        ("data", "u1", (MAX_PAYLOAD,)),
        ("end", "<u4"),
    ]
)
