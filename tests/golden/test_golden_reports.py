"""The fixed report against the files of this folder.

`TINYMLSEC_UPDATE_GOLDEN=1 pytest tests/golden` writes them anew; read the difference before you commit it.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import pytest

from report.report_sample import run_record
from report.threat_sample import FEW, sample_report
from tinymlsec.report.write import FORMATS
from tinymlsec.run_record import RunStatus

HERE = Path(__file__).parent


def comparable(name: str, text: str) -> str:
    """The page without style sheet, script and drawings, which have tests of their own, and one element a line."""
    if name != "html":
        return text
    text = re.sub(r"(<style>|<script>).*?(</style>|</script>)", r"\1\2", text, flags=re.DOTALL)
    text = re.sub(r"sha256-[^']+", "sha256-", text)
    text = re.sub(r"(<svg [^>]*>.*?</desc>).*?</svg>", r"\1</svg>", text, flags=re.DOTALL)
    return re.sub(r"\n\s*\n+", "\n", text.replace("><", ">\n<"))


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("status", [RunStatus.COMPLETE, RunStatus.INTERRUPTED])
def test_as_kept(name: str, status: RunStatus) -> None:
    planned = () if status is RunStatus.COMPLETE else ("square", "never-reached")
    report = sample_report(FEW, run_record(status, planned=planned))
    text = comparable(name, FORMATS[name](report))
    kept = HERE / f"{status.value}.{name}"
    if os.environ.get("TINYMLSEC_UPDATE_GOLDEN"):
        kept.write_text(text, encoding="utf-8")
    old = kept.read_text(encoding="utf-8")
    changes = list(difflib.unified_diff(old.splitlines(), text.splitlines(), "kept", "now", n=1, lineterm=""))
    assert not changes, "\n".join(changes[:60])
