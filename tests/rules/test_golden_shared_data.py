"""All findings on the real models, compared with a file that was reviewed by hand, line by line.

After a change that is meant: `python tests/rules/test_golden_shared_data.py` writes the file anew; read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinymlsec.records import Finding
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.models import open_model, scan_model

GOLDEN = Path(__file__).with_name("golden_shared_data.json")


def findings_of(path: Path) -> list[dict[str, Any]]:
    """What is compared of each finding on one file."""
    scan = scan_model(open_model(path.read_bytes(), name=path.name, runtime=load_runtime()))
    assert scan.failures == ()
    assert scan.incomplete == ()
    return [_line(finding) for finding in scan.findings]


def _line(finding: Finding) -> dict[str, Any]:
    place = finding.location.model_dump(exclude_none=True)
    told = {"id": finding.id, "severity": finding.severity.value, "confidence": finding.confidence.value}
    return {**told, **place, "message": finding.message, **({"cve": list(finding.cve)} if finding.cve else {})}


def all_findings(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Findings by file, for every model below a folder."""
    return {path.relative_to(folder).as_posix(): findings_of(path) for path in sorted(folder.rglob("*.tflite"))}


def test_findings_on_the_real_models_are_those_that_were_reviewed(shared_data: Path) -> None:
    found, golden = all_findings(shared_data), json.loads(GOLDEN.read_text())
    assert sorted(found) == sorted(golden)
    for name, lines in golden.items():
        assert found[name] == lines, name


@pytest.mark.parametrize("severity", ["medium", "high", "critical"])
def test_no_real_model_is_alarming(severity: str) -> None:
    """They are public models that run; what is said of them are remarks, and one float model that TFLM cannot run."""
    golden = json.loads(GOLDEN.read_text())
    assert [line for lines in golden.values() for line in lines if line["severity"] == severity] == []


if __name__ == "__main__":
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"

    GOLDEN.write_text(json.dumps(all_findings(shared), indent=1, ensure_ascii=False) + "\n")
