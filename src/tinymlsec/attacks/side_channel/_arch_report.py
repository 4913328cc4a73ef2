"""What both attacks on the architecture report in the same way: shares, tables, verdict and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinymlsec.analysis.intervals import share_of
from tinymlsec.attacks.side_channel._arch_truth import Guessed, Row
from tinymlsec.figures import SPANS, Line, Series, Span, Track
from tinymlsec.records import Control, Metric, Verdict, VerdictKind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MOST = 0.5
"""Share of layers whose output shapes must be recovered for a model to count as read."""
FEW = 0.25
MOST_ROWS = 200


def metrics(rows: Sequence[Row]) -> tuple[Metric, ...]:
    """Shares of layers with the right kind, shape and products."""
    named = {
        "kind of operator": sum(row.kind for row in rows),
        "kind and output shape": sum(row.shape for row in rows),
        "kind and products (MACs)": sum(row.macs for row in rows),
        "all three among at most 4 candidates": sum(row.candidates for row in rows),
    }
    made = []
    for label, right in named.items():
        share = share_of(right, len(rows))
        made.append(
            Metric.of("layers_recovered", share.value, low=share.low, high=share.high, n=len(rows), label=label)
        )
    return tuple(made)


def verdict(rows: Sequence[Row], positive: Control) -> Verdict:
    """Vulnerable where most layers were read; resistant where few can have been and the weak twin was read."""
    right = sum(row.shape for row in rows)
    share = share_of(right, len(rows))
    words = f"kind and output shape of {right} of {len(rows)} layers recovered"
    if share.value > MOST:
        return Verdict(kind=VerdictKind.VULNERABLE, reason=words)
    if share.high < FEW and positive.succeeded:
        return Verdict(kind=VerdictKind.RESISTANT, reason=f"{words}; the weak twin was read")
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=f"{words}: neither most of them nor next to none")


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Truth beside what was recovered."""
    made = []
    for row in rows[:MOST_ROWS]:
        guess = row.guess
        others = () if guess is None else guess.others
        made.append(
            {
                "operator": row.true.index, "true": row.true.kind, "true_shape": list(row.true.output),
                "true_macs": row.true.macs, "recovered": "nothing" if guess is None else guess.kind,
                "shape": [] if guess is None else list(guess.output), "macs": 0 if guess is None else guess.macs,
                "right": row.kind and row.shape and row.macs,
                "or": [f"{kind} {list(shape)}" for kind, shape, _ in others],
            }
        )  # fmt: skip
    return made


def series(title: str, name: str, y_label: str, values: ArrayLike, step: float, rows: Sequence[Row],
           guessed: Sequence[Guessed]) -> Series:  # fmt: skip
    """The signal over time with true and recovered layers below it."""
    true = [Span(start=r.true.start, end=max(r.true.end, r.true.start), label=r.true.kind[:80]) for r in rows]
    found = [Span(start=g.start, end=max(g.end, g.start), label=f"{g.kind} {list(g.output)}"[:80]) for g in guessed]
    return Series(
        title=title, x_label="sample", y_label=y_label, lines=(Line.of(name, values, step=step),),
        tracks=(Track(name="true layers", spans=tuple(true[:SPANS])),
                Track(name="recovered layers", spans=tuple(found[:SPANS]))),
    )  # fmt: skip
