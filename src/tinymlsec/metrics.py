"""The one list of metrics, with unit and direction. Extend it, never bypass it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way is better for the defender."""

    HIGHER = "higher_is_better"
    LOWER = "lower_is_better"
    NEUTRAL = "neutral"


@dataclass(frozen=True)
class MetricSpec:
    """Unit, direction and meaning of a metric."""

    unit: str
    direction: Direction
    text: str


_UP, _DOWN, _NEUTRAL = Direction.HIGHER, Direction.LOWER, Direction.NEUTRAL

METRICS: dict[str, MetricSpec] = {
    "clean_accuracy": MetricSpec("share", _UP, "share of unattacked inputs answered correctly"),
    "robust_accuracy": MetricSpec("share", _UP, "share of inputs still answered correctly under attack"),
    "accuracy": MetricSpec("share", _UP, "share of inputs answered correctly in the named condition"),
    "attack_success_rate": MetricSpec("share", _DOWN, "share of attempts that reached the attacker's goal"),
    "queries": MetricSpec("inferences", _UP, "inferences the attacker needed or spent"),
    "fidelity": MetricSpec("share", _NEUTRAL, "share of inputs answered as the original answers them"),
    "layers_recovered": MetricSpec("share", _DOWN, "share of layers the attacker knows, in the named respect"),
    "weights_recovered": MetricSpec("share", _DOWN, "share of weight values the attacker holds exactly"),
    "traces_to_success": MetricSpec("traces", _UP, "traces until the named goal"),
    "guessing_entropy": MetricSpec("bits", _UP, "remaining uncertainty about the secret"),
    "max_abs_t": MetricSpec("t", _DOWN, "largest absolute Welch t statistic (TVLA)"),
    "max_abs_r": MetricSpec("r", _DOWN, "largest absolute correlation of a prediction with a sample of the traces"),
    "snr": MetricSpec("ratio", _DOWN, "signal-to-noise ratio of the leakage"),
    "tpr_at_fpr": MetricSpec("share", _DOWN, "true-positive rate at the named false-positive rate"),
    "auc": MetricSpec("share", _DOWN, "area under the receiver operating characteristic of the attacker"),
    "flips_to_chance": MetricSpec("bits", _UP, "flipped bits until held-out accuracy is at chance"),
    "sdc_rate": MetricSpec("share", _DOWN, "share of faults that changed a decision silently"),
    "detection_rate": MetricSpec("share", _UP, "share of attacks that were detected"),
    "false_alarm_rate": MetricSpec("share", _DOWN, "share of harmless inputs that raised an alarm"),
    "cycles": MetricSpec("cycles", _DOWN, "processor cycles"),
    "energy_uj": MetricSpec("uJ", _DOWN, "energy"),
    "ram_bytes": MetricSpec("bytes", _DOWN, "random-access memory"),
    "flash_bytes": MetricSpec("bytes", _DOWN, "program memory"),
    "bits_per_query": MetricSpec("bits", _DOWN, "information leaked by one query"),
    "psnr_db": MetricSpec("dB", _DOWN, "likeness of what the attacker recovered to the original"),
    "inputs_recovered": MetricSpec("share", _DOWN, "share of input values that the attacker holds exactly"),
    "input_error": MetricSpec("input steps", _UP, "mean absolute error of what the attacker recovered of an input"),
    "correlation": MetricSpec("coefficient", _DOWN, "correlation of what the attacker recovered with the original"),
    "detector_auc": MetricSpec(
        "share", _UP, "area under the receiver operating characteristic of the model as a detector"
    ),
    "mae": MetricSpec("output units", _DOWN, "mean absolute error of the output"),
    "threshold": MetricSpec("output units", _NEUTRAL, "decision threshold in force"),
    "parameters": MetricSpec("values", _NEUTRAL, "weights and biases the file holds"),
    "file_bytes": MetricSpec("bytes", _NEUTRAL, "size of the model file"),
    "perturbation": MetricSpec("input steps", _UP, "largest change of one input value"),
}
