"""Small files that ask for minutes or gigabytes get seconds and megabytes; see `hostile_firmware`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from firmware import hostile_firmware

SECONDS = 15.0
"""Of processor time; the slowest takes 3 s, and machines differ."""
MORE_KIB = 400 << 10
"""Beyond the file itself."""
LARGE = ("elf: names", "elf: segment of", "uf2: half a million", "raw: 256")
"""Files of 200 MiB and more."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith(LARGE) else [])
        for name in hostile_firmware.HOSTILE
    ],
)
def test_hostile_file_is_read_or_refused_soon_and_in_little_memory(name: str) -> None:
    command = [sys.executable, str(Path(hostile_firmware.__file__)), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["outcome"].startswith(("read: ", "refused: "))
    assert told["seconds"] < SECONDS, told
    assert told["more_kib"] is None or told["more_kib"] < MORE_KIB, told
