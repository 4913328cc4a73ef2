"""What was assessed, as metrics, findings and facts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tinymlsec.attacks.side_channel._assess_points import WorstPoint, worst_points
from tinymlsec.attacks.side_channel._assess_test import Ratio, WindowTest, traces_needed
from tinymlsec.attacks.side_channel._assess_values import KINDS
from tinymlsec.attacks.side_channel._assess_verdict import leaking, smallest_difference
from tinymlsec.records import Confidence, Finding, Location, Metric, Severity

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._assess_run import Assessed

WIDE = 1.96
"""Standard deviations on both sides of a 95 % interval; t has one."""
MOST_FINDINGS, MOST_ROWS, MOST_POINTS = 20, 100, 3
CWE = ("CWE-1300", "CWE-203")
ORDER_WORDS = ("means", "variances")
_FIXES = {
    "inputs": "mask activations or shuffle the order in which pixels and channels are computed; test again",
    "weights": "mask weights or shuffle the order of the products, and keep sums off registers that were just written "
    "with public values; test again",
}


def metrics(found: Assessed) -> tuple[Metric, ...]:
    """Largest t of each test and order, traces needed, ratios of each kind of value, and the ratio that was set."""
    made: list[Metric] = []
    for varied in found.against:
        for order, words in enumerate(ORDER_WORDS):
            window = max(found.of(varied), key=lambda w, order=order: w.largest[order])  # type: ignore[misc]
            t = window.largest[order]
            made.append(
                Metric.of(
                    "max_abs_t", t, low=max(t - WIDE, 0.0), high=t + WIDE, n=window.traces,
                    label=f"fixed against random {varied}, {words}, operator {window.part.name}",
                )
            )  # fmt: skip
        worst = found.worst(varied)
        if worst is not None and (needed := needed_with_interval(worst)) is not None:
            made.append(
                Metric.of(
                    "traces_to_success", needed[0], low=needed[1], high=needed[2], n=worst.traces,
                    label=f"until an alarm, fixed against random {varied}, operator {worst.part.name}",
                )
            )  # fmt: skip
    made += [metric for kind in KINDS if (metric := _ratio_metric(found, kind)) is not None]
    made.append(Metric.of("snr", found.named.ratio, label="set, at the last sum of the control layer's first channel"))
    return tuple(made)


def needed_with_interval(window: WindowTest) -> tuple[int, int, int] | None:
    """Traces at which the worst sample alarms, and at the ends of its t's interval; None: it does not alarm here."""
    t = max(window.largest)
    if t <= window.threshold:
        return None
    ends = [
        traces_needed(max(value, 1e-3), window.traces, window.tests, window.alpha) for value in (t, t + WIDE, t - WIDE)
    ]
    value, low, high = (end for end in ends)
    return None if value is None or low is None or high is None else (value, low, high)


def _ratio_metric(found: Assessed, kind: str) -> Metric | None:
    every = [(w, ratio) for w in found.windows for ratio in w.ratios if ratio.value.kind == kind]
    if not every:
        return None
    window, ratio = max(every, key=lambda pair: pair[1].ratio)
    n = window.traces // 2
    low, high = ratio_interval(ratio.ratio, n)
    return Metric.of(
        "snr", ratio.ratio, low=low, high=high, n=n,
        label=f"{ratio.value.name} of operator {window.part.layer.index} (by chance {ratio.shuffled:.2g})",
    )  # fmt: skip


def ratio_interval(ratio: float, n: int) -> tuple[float, float]:
    """95 % of a signal-to-noise ratio, by Fisher's transformation of the correlation ratio (approximate)."""
    middle, width = math.atanh(math.sqrt(ratio / (1 + ratio))), WIDE / math.sqrt(max(n - 3, 1))
    ends = [math.tanh(max(middle + side * width, 0.0)) ** 2 for side in (-1, 1)]
    low, high = (min(end, 1 - 1e-12) for end in ends)
    return min(low / (1 - low), ratio), max(high / (1 - high), ratio)


def findings(found: Assessed) -> tuple[Finding, ...]:
    """The worst instruction of each window that alarms, the largest t first."""
    ordered = sorted(leaking(found), key=lambda window: -max(window.largest))[:MOST_FINDINGS]
    pairs = [(window, worst_points(found.twin, window, 1)) for window in ordered]
    return tuple(_finding(window, points[0]) for window, points in pairs if points)


def _finding(window: WindowTest, point: WorstPoint) -> Finding:
    spot, what = point.spot, window.varied
    return Finding(
        id=f"LEAK-{what.upper()}", title=f"What an instruction leaks depends on the {what}",
        message=f"{spot.words}: |t| {abs(point.t):.1f} of {ORDER_WORDS[point.order - 1]} against a threshold of "
        f"{window.threshold:.2f}, signal-to-noise ratio {point.snr:.2g}; {point.alarms} executions in the window "
        "alarm. Nothing was extracted",
        severity=Severity.LOW, confidence=Confidence.HIGH, cwe=CWE, fix=_FIXES[what],
        location=Location(
            path=spot.line.partition(":")[0] or None, op=spot.layer if spot.layer >= 0 else None,
            symbol=spot.symbol or None, address=spot.address,
        ),
    )  # fmt: skip


def facts(found: Assessed, leakage: str) -> dict[str, Any]:
    """Everything else that a reader may ask for."""
    twin, named = found.twin, found.named
    return {
        "firmware": {
            "core": twin.core.id, "style": twin.program.style.value, "compiler": twin.build.compiler,
            "elf_sha256": twin.build.sha256,
        },
        "noise": {
            "leakage_model": leakage, "ratio": named.ratio, "sigma": round(named.sigma, 6), "set_at": named.words,
        },
        "threshold": {
            "false_alarm_probability_in_all": found.windows[0].alpha * len(found.windows),
            "windows": len(found.windows), "traces_of_each": found.windows[0].traces,
            "found_with_95_percent": f"a difference of {max(map(smallest_difference, found.windows)):.3g} deviations "
            "of the noise",
        },
        "activations": found.source,
        "weights_not_replaced": list(found.untested),
        "layers": _layers(found)[:MOST_ROWS],
        "worst_points": _points(found)[:MOST_ROWS],
    }  # fmt: skip


def _layers(found: Assessed) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for window in found.windows:
        index = window.part.layer.index
        row = rows.setdefault(index, _about(found, window))
        row[window.varied] = _statistics(window)
    return list(rows.values())


def _about(found: Assessed, window: WindowTest) -> dict[str, Any]:
    executed = found.executed.get(window.part.layer.index, {})
    seen = len(set(window.pcs.tolist()) & set(executed))
    return {
        "operator": window.part.layer.index, "name": window.part.layer.op, "window": window.part.window,
        "instructions": window.reach, "of_the_layer": sum(executed.values()), "addresses_seen": seen,
        "addresses_of_the_layer": len(executed), "samples": window.samples,
        "layer_goes_on_behind_the_window": window.cut,
    }  # fmt: skip


def _statistics(window: WindowTest) -> dict[str, Any]:
    ratios = {kind: max((r for r in window.ratios if r.value.kind == kind), key=_by_ratio, default=None)
              for kind in KINDS}  # fmt: skip
    needed = needed_with_interval(window)
    return {
        "largest_t_of_means": round(window.largest[0], 3), "largest_t_of_variances": round(window.largest[1], 3),
        "threshold": round(window.threshold, 3), "share_of_samples_that_alarm": round(window.share, 4),
        "tested": int(window.tested[0].sum()), "excluded_without_variance": window.excluded,
        "signal_constant": window.still, "left_out_not_in_every_trace": window.left_out,
        "traces": window.traces, "traces_on_another_path": window.parted,
        "instructions_of_a_trace": list(window.lengths),
        "first_parting_at_instruction": window.first_parting, "alarms_from_traces": window.rings_from,
        "traces_needed": list(needed) if needed is not None else None, "engine": window.engine,
        "ratios": {kind: _ratio(ratio) for kind, ratio in ratios.items() if ratio is not None},
    }  # fmt: skip


def _by_ratio(ratio: Ratio) -> float:
    return ratio.ratio


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "value": ratio.value.name, "ratio": round(ratio.ratio, 4), "chance": round(ratio.chance, 4),
        "largest_with_shuffled_labels": round(ratio.shuffled, 4), "sample": ratio.sample,
    }  # fmt: skip


def _points(found: Assessed) -> list[dict[str, Any]]:
    rows = []
    for window in found.windows:
        for point in worst_points(found.twin, window, MOST_POINTS):
            spot = point.spot
            rows.append(
                {"operator": spot.layer, "against": window.varied, "instruction": spot.text,
                 "address": f"0x{spot.address:08x}", "symbol": spot.symbol, "line": spot.line,
                 "line_is_its_own": spot.exact, "t": round(point.t, 2), "of": ORDER_WORDS[point.order - 1],
                 "snr": round(point.snr, 4), "record": point.record, "executions_that_alarm": point.alarms}
            )  # fmt: skip
    return sorted(rows, key=lambda row: -abs(row["t"]))
