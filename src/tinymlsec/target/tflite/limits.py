"""Upper bounds of what the reader takes in, all in one place.

They are far above any model that fits a microcontroller (those have a few hundred tensors at most) and low enough that
a hostile file can neither hang the process nor take more than a few hundred megabytes.
"""

from __future__ import annotations

MAX_FILE_BYTES = 1 << 30
"""A file larger than this is refused before it is read."""

MAX_SUBGRAPHS = 4_096
MAX_TENSORS = 32_768
"""In all subgraphs together."""
MAX_OPERATORS = 32_768
"""In all subgraphs together."""
MAX_OPCODES = 4_096
MAX_BUFFERS = 65_536
MAX_METADATA = 4_096
MAX_SIGNATURES = 4_096
MAX_PORTS = 4_096
"""Inputs, and outputs, of one subgraph."""
MAX_SIGNATURE_TENSORS = 32_768
"""Named inputs and outputs of all signatures together."""

MAX_RANK = 32
"""Dimensions of one tensor; runtimes stop at 8 or fewer, NumPy 1 at 32."""

MAX_TABLES = 1_000_000
"""Tables and vector entries that the layout of a file may list."""

WORK_FACTOR = 8
WORK_FLOOR = 1 << 16
WORK_CEILING = 8 << 20


def work_budget(file_bytes: int) -> int:
    """Units of work (about a byte turned into a Python object each) that a file of that size may cost.

    An honest file costs about one unit a byte outside its weights. Tables that all point at the same bytes cost more,
    so they run into this bound however they are nested.
    """
    return min(WORK_FACTOR * file_bytes + WORK_FLOOR, WORK_CEILING)
