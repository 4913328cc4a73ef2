"""What own builds teach of code: which instruction follows which, what each looks like, and what each one counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._arch_profile import Numbers
from tinymlsec.attacks.side_channel._arch_recording import record
from tinymlsec.attacks.side_channel._path_models import MODELS, Layer, half_zero
from tinymlsec.attacks.side_channel._path_names import AHEAD, BEHIND, BETWEEN, CALL, Names
from tinymlsec.attacks.side_channel._path_viterbi import VALUES, Graph
from tinymlsec.emulate.twin import build_twin
from tinymlsec.errors import MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import Core
    from tinymlsec.emulate.leakage import Leakage
    from tinymlsec.emulate.toolchain import Toolchain

DRAWS = 2
"""Times that each own model is made, with other values and sizes."""
ANY, NEAR, WIDTH = 0.05, 0.15, 2.0
"""Shares of a state's values that are any value, and near those that were seen; and how near."""
NEVER = 1e-3
"""Share of values that an instruction cannot have."""
LOWEST, HIGHEST = -64, 192
"""Samples below and from here on count as the nearest that is told."""
BLOCK = 1 << 22
Ways = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
"""As in `Graph`: where ways on from each state begin, where they lead, their log-probabilities."""


@dataclass(frozen=True)
class Rules:
    """All that is known of the runtime's code, for one compiler, core and leakage model."""

    ways: Ways
    histogram: NDArray[np.float64]
    """(states, HIGHEST) how often an instruction had a value."""
    names: Names
    counters: Mapping[str, Mapping[str, NDArray[np.int32]]]
    """By kind and count the instructions that run so often: (n, 1), or (n, 2) pairs that do so together."""
    marks: Mapping[str, NDArray[np.int32]]
    """By kind the instructions that run for every layer of it and for no other."""
    compiler: str
    samples: int
    """Of own traces."""

    def graph(self, sigma: float) -> Graph:
        """What may run, and what it looks like.

        Args:
            sigma: of the noise, which an attacker knows from an own board.
        """
        return Graph(*self.ways, emission_of(self.histogram, sigma), self.names.numbers[AHEAD])

    @property
    def between(self) -> NDArray[np.int32]:
        """Instructions between layers."""
        return np.array(_numbers(self.names), np.int32)


@dataclass
class _Run:
    path: NDArray[np.int32]
    values: NDArray[np.int64]
    layers: list[Layer]
    begins: list[int]


def build_rules(core: Core, leakage: Leakage, rng: np.random.Generator, toolchain: Toolchain | None = None) -> Rules:
    """Builds and runs own models.

    Raises:
        MachineError: there are counts that no instruction keeps.
    """
    names, runs, compiler = Names(), [], ""
    for make in chain.from_iterable(repeat(MODELS, DRAWS)):
        data, layers = make(rng)
        twin = build_twin(data, core, toolchain=toolchain)
        recording = record(twin, half_zero(twin, rng), leakage, pcs=True)
        values = np.clip(np.rint(recording.samples), 0, HIGHEST - 1).astype(np.int64)
        begins = [*Numbers(twin).begins(recording.pcs), len(recording.pcs)]
        runs.append(_Run(names.of(twin, recording.pcs), values, layers, begins))
        compiler = twin.build.compiler
    counters, marks = _counters(runs, len(names))
    histogram = _histogram(runs, names)
    return Rules(_ways(runs, names), histogram, names, counters, marks, compiler, sum(len(run.path) for run in runs))


def _histogram(runs: Sequence[_Run], names: Names) -> NDArray[np.float64]:
    size = len(names) * HIGHEST
    each = [np.bincount(run.path * HIGHEST + run.values, minlength=size) for run in runs]
    made = np.sum(each, axis=0, dtype=np.float64).reshape(-1, HIGHEST)
    caller = [names.numbers[name] for name in (AHEAD, BETWEEN, BEHIND)]
    made[caller] = made[caller].sum(axis=0)
    return made


def emission_of(histogram: NDArray[np.float64], sigma: float) -> NDArray[np.float32]:
    """(VALUES, states) log-probabilities of samples as `binned` has them, also of values that were not seen.

    Args:
        histogram: (states, HIGHEST)
        sigma: of the noise.
    """
    share = histogram / histogram.sum(axis=1, keepdims=True)
    top = int(np.flatnonzero(histogram.any(axis=0))[-1]) + 1
    wrote = histogram[:, 1:].any(axis=1, keepdims=True)
    any_value = (np.arange(HIGHEST) < top) / top
    blurred = share @ _blur(HIGHEST, 0, WIDTH)
    likely = np.where(wrote, (1 - ANY - NEAR) * share + NEAR * blurred + ANY * any_value, share)
    made = likely @ _blur(VALUES, LOWEST, sigma)
    told: NDArray[np.float32] = np.log(made + NEVER / VALUES).astype(np.float32).T
    return told


def _blur(values: int, lowest: int, sigma: float) -> NDArray[np.float64]:
    """(HIGHEST, values) share of a value that noise makes another."""
    away = np.arange(HIGHEST)[:, None] - (np.arange(values) + lowest)
    made = np.exp(-0.5 * (away / max(sigma, 0.01)) ** 2)
    total: NDArray[np.float64] = made / np.maximum(made.sum(axis=1, keepdims=True), 1e-300)
    return total


def binned(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(t,) samples as whole numbers from 0 on, each LOWEST less than it is."""
    made = np.empty(len(samples), np.uint8)
    for begin in range(0, len(samples), BLOCK):
        part = slice(begin, begin + BLOCK)
        made[part] = np.clip(np.rint(samples[part]) - LOWEST, 0, VALUES - 1)
    return made


def _ways(runs: Sequence[_Run], names: Names) -> Ways:
    states = len(names)
    pairs = np.concatenate([run.path[:-1].astype(np.int64) * states + run.path[1:] for run in runs])
    ways, times = np.unique(np.concatenate([pairs, _anything(pairs, names)]), return_counts=True)
    source = ways // states
    out = np.bincount(source, minlength=states)
    first = np.concatenate([[0], np.cumsum(out)])
    # where code branches by data, data of others decide otherwise; how it goes on between layers is much the same
    cost = -np.log(np.maximum(out, 1))[source]
    calls = np.isin(source, source[np.isin(ways % states, _numbers(names))])
    total = np.bincount(source, times, states)
    cost[calls] = np.log(times[calls] / total[source[calls]])
    return first.astype(np.int32), (ways % states).astype(np.int32), cost.astype(np.float32)


def _numbers(names: Names) -> list[int]:
    return [names.numbers[name] for name in (AHEAD, CALL, BETWEEN, BEHIND)]


def _anything(pairs: NDArray[np.int64], names: Names) -> NDArray[np.int64]:
    """Ways on that no own build may have gone: before and behind each call, any other code of the caller may run."""
    states = len(names)
    ahead, call, between, behind = _numbers(names)
    back = np.unique(pairs[pairs % states == call] // states)
    back = back[(back != ahead) & (back != call)]
    made = [back * states + other for other in (call, between, behind)]
    on = [between * states + other for other in (call, between, behind)]
    return np.concatenate([*made, on, [behind * states + behind]])


Counters = dict[str, dict[str, NDArray[np.int32]]]


def _counters(runs: Sequence[_Run], states: int) -> tuple[Counters, dict[str, NDArray[np.int32]]]:
    kinds: dict[str, list[tuple[Mapping[str, int], NDArray[np.int64]]]] = {}
    for run in runs:
        for (kind, counts), (begin, end) in zip(run.layers, pairwise(run.begins), strict=True):
            kinds.setdefault(kind, []).append((counts, np.bincount(run.path[begin:end], minlength=states)))
    counters: Counters = {}
    for kind, layers in kinds.items():
        visits = np.array([visits for _, visits in layers])
        counters[kind] = {}
        for name in layers[0][0]:
            wanted = np.array([counts[name] for counts, _ in layers])
            if len(found := _counting(visits, wanted)):
                counters[kind][name] = found
        if layers[0][0] and not counters[kind]:
            raise MachineError(f"no instruction of {kind} counts anything that its shape tells")
    return counters, _marks(kinds)


def _counting(visits: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int32]:
    """Instructions, or pairs of them where a compiler took a round out of a loop, that run so often in each layer.

    Args:
        visits: (layers, states)
        wanted: (layers,)

    Returns:
        (n, 1) or (n, 2)
    """
    alone = np.flatnonzero((visits == wanted[:, None]).all(axis=0))
    if len(alone):
        return alone[:, None].astype(np.int32)
    columns = {column.tobytes(): state for state, column in enumerate(np.ascontiguousarray(visits.T))}
    rest = np.ascontiguousarray(wanted - visits.T)
    pairs = [(state, columns.get(column.tobytes(), -1)) for state, column in enumerate(rest)]
    return np.array([pair for pair in pairs if pair[1] >= 0 and visits[:, pair[0]].any()], np.int32).reshape(-1, 2)


def _marks(kinds: Mapping[str, Sequence[tuple[Mapping[str, int], NDArray[np.int64]]]]) -> dict[str, NDArray[np.int32]]:
    always = {kind: np.all([visits > 0 for _, visits in layers], axis=0) for kind, layers in kinds.items()}
    ever = {kind: np.any([visits > 0 for _, visits in layers], axis=0) for kind, layers in kinds.items()}
    made = {}
    for kind, mine in always.items():
        others = np.any([seen for other, seen in ever.items() if other != kind], axis=0)
        made[kind] = np.flatnonzero(mine & ~others).astype(np.int32)
        if not len(made[kind]):
            raise MachineError(f"no instruction runs for layers of {kind} only")
    return made
