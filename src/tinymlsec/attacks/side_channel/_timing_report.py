"""What was found about latencies, as metrics, curves, findings and facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinymlsec.attacks.side_channel._timing_examine import costs_left_out
from tinymlsec.attacks.side_channel._timing_flow import Kind, Place
from tinymlsec.attacks.side_channel._timing_places import instructions_at, spot_of
from tinymlsec.attacks.side_channel._timing_runs import executed
from tinymlsec.attacks.side_channel._timing_statistics import Bits, about_the_class, about_the_input
from tinymlsec.attacks.side_channel._timing_verdict import slow_memory
from tinymlsec.emulate.cycles.table import cycle_table
from tinymlsec.records import Confidence, Curve, CurvePoint, Finding, Location, Metric, Severity

if TYPE_CHECKING:
    from numpy.random import Generator

    from tinymlsec.attacks.side_channel._timing_divergence import Divergence
    from tinymlsec.attacks.side_channel._timing_examine import Examined, Reading
    from tinymlsec.emulate.twin import Twin

MOST_FINDINGS, MOST_ROWS = 20, 60
RESOLUTIONS = (1, 10, 100, 1_000, 10_000, 100_000)
"""Cycles between two ticks at which the curve has points."""
CWE = ("CWE-208", "CWE-385")
_FIXES = {
    Kind.BRANCH: "compute both ways and choose by a mask, or use a kernel without branches; padding the whole "
    "inference to its longest time hides it from outside",
    Kind.CONDITIONAL: "replace it by arithmetic that always runs",
    Kind.OPERANDS: "multiply by a reciprocal from a table instead of dividing, or pad the whole inference",
    Kind.LOAD: "keep the table in memory without wait states and caches, or read all of it",
}
_TITLES = {
    Kind.BRANCH: ("TIME-BRANCH", "A branch that depends on the input"),
    Kind.CONDITIONAL: ("TIME-CONDITIONAL", "An instruction that is left out depending on the input"),
    Kind.OPERANDS: ("TIME-OPERANDS", "An instruction whose time depends on the input"),
    Kind.LOAD: ("TIME-ADDRESS", "A table that is read at a place that depends on the input"),
}


@dataclass(frozen=True)
class Timer:
    """The attacker's."""

    cycles: float
    """Between two ticks."""
    mhz: float | None
    words: str

    def of_cycles(self, cycles: float) -> float:
        """Cycles in microseconds, or as they are where the clock is not known."""
        return cycles / self.mhz if self.mhz else cycles

    @property
    def unit(self) -> str:
        """Of `of_cycles`."""
        return "microseconds" if self.mhz else "cycles"


def metrics(found: Examined, timer: Timer, *, proved: bool) -> tuple[Metric, ...]:
    """Bits, t, and cycles."""
    made = [
        _bits(found.low.about_class, found.high.about_class, found.n, f"about the class, at {timer.words}"),
        _bits(found.low.about_input, found.high.about_input, found.n, f"about the input, at {timer.words}"),
        Metric.of(
            "max_abs_t", max(found.low.test.largest, found.high.test.largest), n=found.n, label="between classes"
        ),
    ]
    if found.low.constant and found.high.constant and not proved:
        high = _unseen(found.n)
        zero = [Metric.of("bits_per_query", 0.0, low=0.0, high=high, n=found.n, label=m.label) for m in made[:2]]
        made[:2] = zero
    for name, reading in (("lower", found.low), ("upper", found.high)):
        low, high = float(reading.cycles.min()), float(reading.cycles.max())
        value = float(np.median(reading.cycles))
        made.append(
            Metric.of(
                "cycles", value, n=found.n, label=f"median, {name} bound of the core's table: {low:,.0f} to {high:,.0f}"
            )
        )
    return tuple(made)


def _bits(low: Bits, high: Bits, n: int, label: str) -> Metric:
    """The smaller of both readings, with an interval that holds both."""
    value = min(low.value, high.value)
    return Metric.of(
        "bits_per_query",
        value,
        low=min(low.low, high.low, value),
        high=max(low.high, high.high, value),
        n=n,
        label=label,
    )


def _unseen(n: int) -> float:
    """Entropy of an event that none of n inputs showed, at the largest probability that is not refuted (95 %)."""
    p = min(0.5, 1 - 0.05 ** (1 / n))
    return float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)))


def curves(found: Examined, timer: Timer, permutations: int, rng: Generator) -> tuple[Curve, ...]:
    """Bits over the resolution of the timer, by the lower bounds of the core's table."""
    if found.low.constant:
        return ()
    some = found.classes.of >= 0
    about_input, about_class = [], []
    for cycles in RESOLUTIONS:
        x = timer.of_cycles(cycles)
        about_input.append(_point(x, about_the_input(found.low.cycles, cycles, rng, 200), found.n))
        bits = about_the_class(found.low.cycles[some], found.classes.of[some], cycles, rng, permutations, 200)
        about_class.append(_point(x, bits, found.n))
    label = f"resolution of the timer ({timer.unit})"
    return tuple(
        Curve(title=title, x_label=label, metric="bits_per_query", points=tuple(points), log_x=True)
        for title, points in (
            ("Bits about the input over the timer", about_input),
            (f"Bits about the class ({found.classes.meaning}) over the timer", about_class),
        )
    )


def _point(x: float, bits: Bits, n: int) -> CurvePoint:
    return CurvePoint(x=x, y=bits.value, low=bits.low, high=bits.high, n=n)


@dataclass(frozen=True)
class Group:
    """Places of one kind at one line of one operator."""

    kind: Kind
    places: tuple[Place, ...]
    varied: bool
    """The counts of one of them differ between inputs."""

    @property
    def count(self) -> int:
        """Times in an inference."""
        return sum(place.count for place in self.places)


def groups(found: Examined, twin: Twin) -> list[Group]:
    """Places by kind, line and operator: those where inputs really differ first, branches before others."""
    rows: dict[tuple[Kind, str, int], list[Place]] = {}
    costs = costs_left_out(found.followed.of(Kind.CONDITIONAL), twin)
    for place in found.followed.places:
        if place.kind is Kind.LOAD and not slow_memory(twin, place.reach):
            continue
        if place.kind is Kind.CONDITIONAL and costs[place.address] == "same":
            continue
        line = twin.image.line_at(place.address) or hex(place.address)
        rows.setdefault((place.kind, line, place.layer), []).append(place)
    varied = {layer: _varied(found, layer) for layer in found.layers}
    made = [
        Group(kind, tuple(places), any(p.address in varied.get(layer, frozenset()) for p in places))
        for (kind, _, layer), places in rows.items()
    ]
    return sorted(made, key=lambda group: (not group.varied, group.kind is not Kind.BRANCH, group.places[0].first))


def _varied(found: Examined, layer: int) -> frozenset[int]:
    counts = found.layers[layer]
    differs = (np.ptp(counts.ran, axis=0) > 0) | (np.ptp(counts.marked, axis=0) > 0)
    return frozenset(counts.addresses[differs].tolist())


def findings(found: Examined, twin: Twin, *, leaking: bool) -> tuple[Finding, ...]:
    """The most telling places."""
    made = []
    for group in groups(found, twin)[:MOST_FINDINGS]:
        if group.kind not in _TITLES:
            continue
        place = group.places[0]
        spot = spot_of(twin, place.address, place.layer)
        seen = "counts differ between inputs" if group.varied else "no difference between these inputs"
        rule, title = _TITLES[group.kind]
        made.append(
            Finding(
                id=rule, title=title,
                message=f"{spot.words}: {group.count} times in an inference, {seen}",
                severity=Severity.MEDIUM if leaking and group.varied else Severity.LOW,
                confidence=Confidence.HIGH if group.varied else Confidence.MEDIUM, cwe=CWE, fix=_FIXES[group.kind],
                location=Location(
                    path=spot.line.partition(":")[0] or None, op=place.layer if place.layer >= 0 else None,
                    symbol=spot.symbol or None, address=place.address,
                ),
            )
        )  # fmt: skip
    return tuple(made)


def facts(found: Examined, twin: Twin, timer: Timer) -> dict[str, Any]:
    """Everything else that a reader may ask for."""
    table = cycle_table(twin.core.id)
    follow = found.followed
    return {
        "firmware": {
            "core": twin.core.id, "style": twin.program.style.value, "compiler": twin.build.compiler,
            "elf_sha256": twin.build.sha256, "clock_mhz": timer.mhz, "cycle_table_by_the_vendor": not table.approximate,
            "cycle_table_validated": table.validation or "not validated on silicon",
        },
        "latency_cycles": {
            name: [float(reading.cycles.min()), float(reading.cycles.max())]
            for name, reading in (("by_lower_bounds", found.low), ("by_upper_bounds", found.high))
        },
        "inputs": {"compared": found.n, "source": found.inputs.source, "classes": found.classes.meaning},
        "proof": {
            "instructions_followed": follow.instructions, "gap": follow.gap or "none",
            "layers_of_constant_path": len(found.reference.layers) - len(found.watched | found.unresolved),
            "layers_whose_inputs_took_other_paths": list(found.apart),
        },
        "first_divergence": _divergence(found.divergence),
        "significance": {name: _significance(r) for name, r in (("lower", found.low), ("upper", found.high))},
        "latency_by_class": _by_class(found),
        "layers": _layers(found, twin),
        "varying_instructions": varying(found, twin),
        "places": [_row(group, twin) for group in groups(found, twin)[:MOST_ROWS]],
    }  # fmt: skip


def _significance(reading: Reading) -> dict[str, Any]:
    bits, test = reading.about_class, reading.test
    return {
        "bits_before_bias_was_taken_off": round(bits.raw, 6), "probability_of_chance": round(bits.chance, 6),
        "largest_t": round(test.largest, 3), "t_threshold": round(test.threshold, 3), "alarm": test.alarm,
    }  # fmt: skip


def _divergence(seen: Divergence | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    spot = seen.spot
    return {
        "instruction": spot.text, "address": f"0x{spot.address:08x}", "symbol": spot.symbol, "line": spot.line,
        "line_is_its_own": spot.exact, "operator": spot.layer, "operator_name": spot.op,
        "number_in_the_layer": seen.number, "inputs": list(seen.inputs),
        "goes_on_at": [f"0x{a:08x}" for a in seen.next],
    }  # fmt: skip


def _by_class(found: Examined) -> list[dict[str, Any]]:
    rows = []
    for number, name in enumerate(found.classes.names):
        mine = found.low.cycles[found.classes.of == number]
        if len(mine):
            rows.append(
                {"class": name, "inputs": len(mine), "mean_cycles": round(float(mine.mean()), 1),
                 "from": float(mine.min()), "to": float(mine.max())}
            )  # fmt: skip
    return rows[:MOST_ROWS]


def _layers(found: Examined, twin: Twin) -> list[dict[str, Any]]:
    rows = []
    for layer in twin.program.layers:
        if layer.index not in found.reference.layers:
            continue
        cycles = found.layer_cycles.get(layer.index)
        spread = 0.0 if cycles is None else float(np.ptp(cycles[:, 1]))
        how = "counted" if layer.index in found.watched else "open" if layer.index in found.unresolved else "constant"
        rows.append(
            {"operator": layer.index, "name": layer.op, "time": how, "cycles_apart": spread,
             "instructions": executed(found.reference.layers[layer.index])}
        )  # fmt: skip
    return rows[:MOST_ROWS]


def varying(found: Examined, twin: Twin) -> list[dict[str, Any]]:
    """Instructions that ran and whose time depends on their operands on this core."""
    table = cycle_table(twin.core.id)
    marked = {(place.address, place.layer): place.count for place in found.open_operands}
    rows = []
    for layer, counts in found.reference.layers.items():
        for instruction in instructions_at(twin, sorted(counts)):
            row = table.rows[instruction.kind]
            if not row.operands:
                continue
            spot = spot_of(twin, instruction.address, layer)
            rows.append(
                {"instruction": spot.text, "operator": layer, "operator_name": spot.op, "line": spot.line,
                 "executed": counts[instruction.address][0], "operands_depend_on_the_input":
                 marked.get((instruction.address, layer), 0), "cycles": [row.cycles.low, row.cycles.high]}
            )  # fmt: skip
    return rows[:MOST_ROWS]


def _row(group: Group, twin: Twin) -> dict[str, Any]:
    place = group.places[0]
    spot = spot_of(twin, place.address, place.layer)
    return {
        "what": group.kind.value, "line": spot.line, "symbol": spot.symbol, "operator": place.layer,
        "operator_name": spot.op, "instructions": len(group.places), "times": group.count, "differs": group.varied,
    }  # fmt: skip
