"""All that is found out about the latency of one firmware; attack and controls use the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._timing_divergence import Divergence, first_divergence
from tinymlsec.attacks.side_channel._timing_flow import Followed, Kind, Place, follow
from tinymlsec.attacks.side_channel._timing_inputs import Classes, Inputs, classes_of
from tinymlsec.attacks.side_channel._timing_places import instructions_at
from tinymlsec.attacks.side_channel._timing_runs import (
    WATCHED_ANYWAY,
    LayerCounts,
    Prices,
    Reference,
    Runner,
    executed,
    stacked,
)
from tinymlsec.attacks.side_channel._timing_statistics import (
    Bits,
    ClassTest,
    about_the_class,
    about_the_input,
    class_test,
)
from tinymlsec.emulate.cycles.instruction import BRANCHES, Instruction
from tinymlsec.emulate.cycles.model import Counts
from tinymlsec.emulate.cycles.table import CycleTable, cycle_table
from tinymlsec.errors import MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.twin import StartedTwin, Twin

FOLLOWING, FAST = 2.5, 1 / 6
"""What following and running unwatched cost, where counting an instruction costs 1."""
LEAST_INPUTS = 4
WORTH_INPUTS = 16
"""Inputs that must remain affordable before layers are watched in which only the table is unsure."""
Say = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Settings:
    """Counted work, and the timer."""

    budget: int
    """Instructions that are counted, or as much work as that."""
    resolution: float
    """Cycles between two ticks of the attacker's timer."""
    permutations: int


@dataclass(frozen=True)
class Reading:
    """What latencies tell at one end of what the cycle table leaves open."""

    cycles: NDArray[np.float64]
    """(n,)"""
    about_class: Bits
    about_input: Bits
    test: ClassTest

    @property
    def constant(self) -> bool:
        """All inputs take the same time."""
        return bool(np.ptp(self.cycles) == 0)


@dataclass(frozen=True)
class Examined:
    """What was found."""

    followed: Followed
    reference: Reference
    watched: frozenset[int]
    """Layers whose time may depend on the inputs, counted for each of them."""
    unresolved: frozenset[int]
    """Layers in which instructions that are left out may cost less, which was not counted or cannot be by the table."""
    layers: Mapping[int, LayerCounts]
    layer_cycles: Mapping[int, NDArray[np.float64]]
    """By watched layer (n, 2)."""
    inputs: Inputs
    classes: Classes
    low: Reading
    high: Reading

    apart: tuple[int, ...]
    """Layers in which inputs took different paths."""
    divergence: Divergence | None

    @property
    def n(self) -> int:
        """Inferences that were compared."""
        return len(self.low.cycles)

    @property
    def open_operands(self) -> tuple[Place, ...]:
        """Instructions whose time depends on operands that depend on the inputs; their cycles are not simulated."""
        return self.followed.of(Kind.OPERANDS)


def examine(
    started: StartedTwin, inputs: Inputs, settings: Settings, rng: np.random.Generator, say: Say = lambda *_: None
) -> Examined:
    """Follows one inference, counts many, and compares.

    Args:
        started: the firmware.
        inputs: in the order in which they are run; as many as the budget allows.
        settings: work and timer.
        rng: for statistics.
        say: progress.

    Raises:
        BudgetExceeded: not even a few inferences fit the budget.
        MachineError: an inference does not end well, or layers that were proved constant are not.
    """
    runner, prices = Runner(started), Prices(started)
    say(0, len(inputs), "counting an inference")
    # counted once, tried once, and a few inputs at least
    runner.length(inputs.sample(0), settings.budget // (2 + LEAST_INPUTS))
    reference = runner.reference(inputs.sample(0))
    left = settings.budget - reference.instructions
    say(0, len(inputs), "following the inputs")
    followed = _follow(started, inputs, reference, left)
    left -= int(FOLLOWING * followed.instructions)
    watched, perhaps, blurred = watched_layers(followed, reference, started)
    unresolved = blurred
    if _affordable(reference, watched | perhaps, left) >= min(WORTH_INPUTS, len(inputs)):
        watched |= perhaps
    else:
        unresolved |= perhaps
    n = max(min(len(inputs), _affordable(reference, watched, left)), min(LEAST_INPUTS, len(inputs)))
    rows, outputs = _runs(runner, inputs, n, watched, reference, say)
    layers = {layer: stacked([row[layer] for row in rows]) for layer in sorted(watched) if layer in rows[0]}
    by_layer = {layer: prices.rows(layer, counts) for layer, counts in layers.items()}
    cycles = _totals(prices, reference, by_layer, n)
    classes = classes_of(_first(inputs, n), outputs)
    low, high = (_reading(cycles[:, k], classes, settings, rng) for k in (0, 1))
    apart = tuple(layer for layer, counts in layers.items() if _paths_differ(started, counts))
    divergence = _divergence(started, {layer: layers[layer] for layer in apart}, inputs)
    return Examined(
        followed, reference, watched, unresolved, layers, by_layer, _first(inputs, n), classes, low, high,
        apart=apart, divergence=divergence,
    )  # fmt: skip


def _follow(started: StartedTwin, inputs: Inputs, reference: Reference, left: int) -> Followed:
    if FOLLOWING * reference.instructions > left / 2:
        return Followed((), 0, "the inference is too long to be followed at this effort")
    try:
        return follow(started, inputs.sample(0))
    except MachineError as error:
        return Followed((), 0, f"the inference cannot be followed: {error.message} ({error.found})")


def watched_layers(
    followed: Followed, reference: Reference, started: StartedTwin
) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Layers whose time depends on the inputs, by their path or by what they leave out; those where it may, by one end
    of the core's table; and those where the table cannot tell."""
    if followed.gap:
        return frozenset(reference.layers), frozenset(), frozenset()
    conditional = followed.of(Kind.CONDITIONAL)
    cost = costs_left_out(conditional, started.twin)
    sure = {place.layer for place in followed.of(Kind.BRANCH)}
    sure |= {place.layer for place in conditional if cost[place.address] == "differs"}
    perhaps = {place.layer for place in conditional if cost[place.address] == "open"} - sure
    blurred = {place.layer for place in conditional if cost[place.address] == "blurred"}
    every = frozenset(reference.layers)
    return every & sure, every & perhaps, every & blurred


def costs_left_out(places: Iterable[Place], twin: Twin) -> dict[int, str]:
    """By address, whether instructions in IT blocks cost as much when they are left out.

    "same"; "differs"; "open": their ranges in the core's table are not the same, and overlap; "blurred": the ranges are
    the same and no single number, so that counting shows nothing and yet there may be a difference.
    """
    table = cycle_table(twin.core.id)
    addresses = sorted({place.address for place in places})
    return {found.address: _cost_left_out(found, table) for found in instructions_at(twin, addresses)}


def _cost_left_out(instruction: Instruction, table: CycleTable) -> str:
    cost, skipped = table.rows[instruction.kind].cycles, table.rules.skipped
    if instruction.transfers or cost.low > skipped.high or cost.high < skipped.low:
        return "differs"
    if cost != skipped:
        return "open"
    return "same" if cost.low == cost.high else "blurred"


def _affordable(reference: Reference, watched: frozenset[int], left: int) -> int:
    inside = reference.inside(watched)
    rest = reference.instructions - inside
    each = inside + rest * (FAST if inside < WATCHED_ANYWAY * reference.instructions else 1.0)
    # one inference is counted throughout, to try the proof
    return int((left - reference.instructions) // max(each, 1.0))


def _runs(
    runner: Runner, inputs: Inputs, n: int, watched: frozenset[int], reference: Reference, say: Say
) -> tuple[list[Mapping[int, Counts]], NDArray[np.generic]]:
    if n > 1 and watched < frozenset(reference.layers):
        _try_proof(runner, inputs, watched, reference)
    fast = reference.inside(watched) < WATCHED_ANYWAY * reference.instructions
    rows: list[Mapping[int, Counts]] = []
    outputs = []
    for i in range(n):
        say(i, n, "inferences")
        counts, output = runner.inference(inputs.sample(i), watched, fast=fast)
        rows.append(counts)
        outputs.append(output)
    return rows, np.stack(outputs)


def _try_proof(runner: Runner, inputs: Inputs, watched: frozenset[int], reference: Reference) -> None:
    """Layers that are constant by proof must be so for another input, too."""
    proved = frozenset(reference.layers) - watched
    other, _ = runner.inference(inputs.sample(1), proved, fast=False)
    for layer in sorted(proved):
        mine, theirs = reference.layers[layer], other[layer]
        if {a: pair[0] for a, pair in mine.items()} != {a: pair[0] for a, pair in theirs.items()}:
            raise MachineError(
                f"operator {layer} was proved to take one path and takes two",
                found=f"{executed(mine)} and {executed(theirs)} instructions",
                next_step="this is a defect of tinymlsec, please report it with the model",
            )


def _totals(
    prices: Prices, reference: Reference, by_layer: Mapping[int, NDArray[np.float64]], n: int
) -> NDArray[np.float64]:
    """(n, 2) cycles of whole inferences: what is constant, once, and what is not, for each."""
    whole = prices.of(-1, reference.whole)
    total = np.tile(np.array((whole.low, whole.high)), (n, 1))
    for rows in by_layer.values():
        total += rows - rows[0]
    return total


def _reading(cycles: NDArray[np.float64], classes: Classes, settings: Settings, rng: np.random.Generator) -> Reading:
    some = classes.of >= 0
    kinds, seen = classes.of[some], cycles[some]
    return Reading(
        cycles,
        about_the_class(seen, kinds, settings.resolution, rng, settings.permutations),
        about_the_input(cycles, settings.resolution, rng),
        class_test(seen, kinds, settings.resolution, rng),
    )


def _first(inputs: Inputs, n: int) -> Inputs:
    arrays = tuple(array[:n] for array in inputs.arrays)
    return Inputs(arrays, inputs.labels[:n], inputs.names, inputs.labeled, inputs.source)


def _paths_differ(started: StartedTwin, counts: LayerCounts) -> bool:
    found = instructions_at(started.twin, counts.addresses.tolist())
    branches = np.array([i.kind in BRANCHES or i.always_taken for i in found], bool)
    taken = counts.marked[:, branches]
    return bool((np.ptp(counts.ran, axis=0) > 0).any() or (np.ptp(taken, axis=0) > 0).any())


def _divergence(started: StartedTwin, apart: Mapping[int, LayerCounts], inputs: Inputs) -> Divergence | None:
    """The first place at which another input leaves the path of the first."""
    for layer, counts in apart.items():
        differs = (counts.ran != counts.ran[0]) | (counts.marked != counts.marked[0])
        for i in np.flatnonzero(differs.any(axis=1))[:3].tolist():
            seen = first_divergence(started, layer, (inputs.sample(0), inputs.sample(i)), (0, i))
            if seen is not None:
                return seen
    return None
