"""The measurement that `tinymlsec measure` left in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tinymlsec.emulate.measure_records import Measurement

if TYPE_CHECKING:
    from tinymlsec.run_record import RunRecord

FILE = "measurement.json"
MAX_BYTES = 8 << 20


def measurement_in(folder: Path | None, run: RunRecord) -> tuple[Measurement | None, str]:
    """The measurement of this run's model on this run's device, or why it is not shown.

    Args:
        folder: the run folder; None for a run that was kept in memory.
        run: what was assessed.

    Returns:
        the record and "", None and a sentence, or None and "" where there is no file.
    """
    path = None if folder is None else folder / FILE
    if path is None or not path.is_file():
        return None, ""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        found = Measurement.model_validate_json(data if len(data) <= MAX_BYTES else b"")
    except (OSError, ValidationError):
        return None, f"{FILE} is no measurement of this version and is not shown; run tinymlsec measure again."
    if run.model is None or found.model_digest != run.model.sha256:
        return None, f"{FILE} is of another model and is not shown."
    if found.device != run.device_id:
        return None, f"{FILE} is of another device than the one that was assessed and is not shown."
    return found, ""
