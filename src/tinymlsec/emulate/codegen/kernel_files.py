"""Files of the kernels that a model needs, with the headers that those include.

A file that differs between styles is kept as <stem>.<style>.h here and handed out as <stem>.h.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tinymlsec.emulate.codegen.style import Style

FOLDER = Path(__file__).parent / "kernels"
ALWAYS = ("memory", "runtime")
_INCLUDE = re.compile(r'^#include "([a-z0-9_]+)\.h"', re.MULTILINE)


def kernel_files(stems: Sequence[str], style: Style) -> dict[str, str]:
    """Text of kernels/<stem>.h and .c by path, and of all that they include.

    Args:
        stems: families.
        style: of inner loops.
    """
    found: dict[str, str] = {}
    wanted = [*ALWAYS, *stems]
    while wanted:
        stem = wanted.pop()
        if f"kernels/{stem}.h" in found:
            continue
        texts = {f"kernels/{stem}.{kind}": _text(stem, style, kind) for kind in ("h", "c")}
        found |= {path: text for path, text in texts.items() if text}
        wanted += [name for text in texts.values() for name in _INCLUDE.findall(text)]
    return dict(sorted(found.items()))


@cache
def _text(stem: str, style: Style, kind: str) -> str:
    paths = (FOLDER / f"{stem}.{style.value}.{kind}", FOLDER / f"{stem}.{kind}")
    return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), "")
