"""Upper bounds of what the loaders of firmware take in, all in one place.

Far above any microcontroller (the largest have a few MiB of flash, debug information makes their ELF files a few tens
of MiB) and low enough that a hostile file can neither hang the process nor take its memory.
"""

from __future__ import annotations

ADDRESS_SPACE = 1 << 32

MAX_FILE_BYTES = 256 << 20
"""A file larger than this is refused before it is read."""
MAX_TEXT_BYTES = 64 << 20
"""Most bytes of an Intel HEX file, whose lines cost time each."""
MAX_RECORDS = 1_500_000
"""Lines of an Intel HEX file; about 5 s. The largest file that is taken has as many of the usual 16 bytes."""
MAX_MEMORY = 64 << 20
"""Most bytes that all segments may take in memory together; also the longest span that is written as one binary."""

MAX_SEGMENTS = 256
"""Program headers of an ELF file."""
MAX_PIECES = 65_536
"""Separate runs of data of a HEX or UF2 file; honest ones have a few."""
MAX_SECTIONS = 16_384
MAX_SYMBOLS = 500_000
"""Symbols of an ELF file; firmware has some ten thousand."""
MAX_NOTE_SECTIONS = 64
"""Sections that are looked into for a build id."""
MAX_TABLE_GUESSES = 1_024
"""Segments that are looked at for a vector table where nothing names one."""

MAX_NAME = 4_096
"""Bytes kept of one name of a symbol, section or source file; mangled names of C++ templates are the longest."""
NAMES_FLOOR = 1 << 20
NAMES_FACTOR = 4
"""Names may share bytes of the string table; together they have at most this many times its size, and the floor."""
NAMES_MOST = 64 << 20
"""Most bytes of all names of one string table, whatever its size."""

MAX_LINE_BYTES = 8 << 20
"""Most bytes of DWARF line programs that are run; about 3 s."""
MAX_LINE_ROWS = 2_000_000
"""Lines of all tables together."""
MAX_LINE_TABLES = 65_536
"""Line tables; there is one for every source file that was compiled."""
MAX_LINE_FILES = 1_000_000
"""Files and folders that all line tables name together; every table names the headers that it included."""
MAX_LINE_NOTES = 32
"""Notes on damaged line tables that are kept."""
MAX_DEBUG_BYTES = 64 << 20
"""Most bytes of a section of names of debug information, or that a compressed one may unpack to."""

MAX_VECTORS = 256
"""Entries kept of a vector table; Armv7-M knows 16 + 240 (v8-M 480, the first tell enough)."""


def names_budget(table_bytes: int) -> int:
    """Bytes that all names taken from a string table of that size may have together."""
    return min(NAMES_FACTOR * table_bytes + NAMES_FLOOR, NAMES_MOST)
