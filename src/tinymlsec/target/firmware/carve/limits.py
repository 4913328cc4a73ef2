"""Upper bounds of what is looked at and unpacked in one image, all in one place."""

from __future__ import annotations

DEFAULT_SECONDS = 1.0
"""CPU seconds that the searches beyond the plain one may take in one image."""
MAX_MODEL_BYTES = 16 << 20
"""A model ends at most so far from its first byte; the flash of a microcontroller holds less."""
MAX_FOUND = 64
"""Models kept of one image."""
MAX_IDENTIFIERS = 100_000
"""Places with a file identifier that are looked at; a root table is looked for at all of them at once."""
MAX_PARSES = 2_000
"""Places with a plausible root table whose tables are followed."""
MAX_SPANS = 400_000
"""Tables, vectors and fields of one model that are followed to find its end; a large real one has 20,000."""

MAX_UNPACKED = 8 << 20
"""Bytes that one compressed stream is unpacked to; the rest of it is not looked at, and that is said."""
MAX_UNPACKED_TOTAL = 24 << 20
"""Likewise for all streams of one image."""
MAX_STREAMS = 4_096
"""Compressed streams that are unpacked in one image."""
MIN_UNPACKED = 256
"""Bytes that a stream must give; no model is smaller, and bytes taken for a stream by chance give less."""
MAX_XOR_PLACES = 20_000
"""Places that fit a key of one length, checked for a root table one by one."""

MAX_GAP = 4_096
"""Gap between two runs of data that is taken for erased flash which the file left out."""
MAX_FILL = 4 << 20
"""Bytes of erased flash that are added in all."""
