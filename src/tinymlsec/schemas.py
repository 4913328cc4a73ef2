"""JSON Schema of the records, for those who read run folders and reports with other tools."""

from __future__ import annotations

from typing import Any

from tinymlsec.compare.records import Comparison
from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.evidence import Evidence
from tinymlsec.field_docs import described
from tinymlsec.run_record import RunRecord
from tinymlsec.scan.records import ScanReport
from tinymlsec.threat.records import ThreatAssessment


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) of each record that crosses a border: run, evidence, threat, measurement,
    scan, comparison."""
    return {
        "run": described(RunRecord).model_json_schema(mode="serialization"),
        "evidence": described(Evidence).model_json_schema(mode="serialization"),
        "threat": described(ThreatAssessment).model_json_schema(mode="serialization"),
        "measurement": described(Measurement).model_json_schema(mode="serialization"),
        "scan": described(ScanReport).model_json_schema(mode="serialization"),
        "comparison": described(Comparison).model_json_schema(mode="serialization"),
    }
