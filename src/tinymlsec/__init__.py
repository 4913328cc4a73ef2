"""tinymlsec: security assessment of machine learning on microcontrollers.

The names below are the public API; each is imported when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinymlsec.assessment import Assessment, Options, Sources, assess, read_run
    from tinymlsec.emulate.measure_model import MeasureOptions, measure
    from tinymlsec.emulate.measure_records import Measurement
    from tinymlsec.evidence import Evidence, Observation
    from tinymlsec.registry import AttackConfig, attack, discover
    from tinymlsec.report import write_assessment
    from tinymlsec.target.tflite.reader import read_model, read_model_file
    from tinymlsec.target.tflite.writer import write_model

__version__ = "0.1.0"

_HOME = {
    "Assessment": "assessment", "Options": "assessment", "Sources": "assessment", "assess": "assessment",
    "read_run": "assessment", "Evidence": "evidence", "Observation": "evidence", "AttackConfig": "registry",
    "attack": "registry", "discover": "registry", "write_assessment": "report",
    "read_model": "target.tflite.reader", "read_model_file": "target.tflite.reader",
    "write_model": "target.tflite.writer", "measure": "emulate.measure_model",
    "MeasureOptions": "emulate.measure_model", "Measurement": "emulate.measure_records",
}  # fmt: skip

__all__ = [
    "Assessment", "AttackConfig", "Evidence", "MeasureOptions", "Measurement", "Observation", "Options", "Sources",
    "__version__", "assess", "attack", "discover", "measure", "read_model", "read_model_file", "read_run",
    "write_assessment", "write_model",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinymlsec' has no attribute {name!r}")
    return getattr(import_module(f"tinymlsec.{_HOME[name]}"), name)
