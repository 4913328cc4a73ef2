"""What an inference lets depend on its inputs: followed through one run, valid for all inputs.

Every byte of the inputs (and of the state of models that have one) is marked; marks go wherever values go, through
registers, flags and memory. Where no branch, no address and no instruction with a varying time ever reads a mark, every
input takes the same path in the same order: up to the first marked branch all inputs go the same way, and there is
none. The idea is that of ctgrind (A. Langley, 2010), which marks secrets as uninitialized memory; here it is firmware
in an emulator, with marks on single bytes and registers. More may be marked than depends on the inputs, never less.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.attacks.side_channel._timing_flow_arm import FLAGS, arm_flows
from tinymlsec.attacks.side_channel._timing_flow_parts import Flow, FlowDecoder
from tinymlsec.attacks.side_channel._timing_flow_riscv import riscv_flows
from tinymlsec.emulate.contract import RECORD, Probe, RunEnd, Window
from tinymlsec.emulate.cycles.model import image_bytes
from tinymlsec.emulate.cycles.table import cycle_table
from tinymlsec.errors import MachineError

if TYPE_CHECKING:
    from tinymlsec.emulate.contract import RunResult
    from tinymlsec.emulate.twin import StartedTwin, Twin

CHUNK = 2_000_000
"""Instructions that are recorded at a time: 56 MB of records."""
LONGEST_BLOCK = 4
MOST_CODE = 32 << 20
ENTRIES = 1 << 16
SITES = 1 << 16
LAYER_STAYS, NO_LAYER = -2, -1
_LOADS, _STORES, _CHOOSES, _OPERANDS, _BLOCK = (1 << i for i in range(5))
_VARIABLE = re.compile(r"tms_v\d+")


class Kind(StrEnum):
    """What code does with something that depends on the inputs."""

    BRANCH = "branch"
    """Goes on at another place."""
    CONDITIONAL = "conditional"
    """Carries an instruction out or leaves it out, in an IT block."""
    LOAD = "load address"
    STORE = "store address"
    OPERANDS = "operands"
    """Takes more or fewer cycles."""
    HIDDEN = "hidden store"
    """A store that was left out: where it goes with other inputs is not known."""


@dataclass(frozen=True)
class Place:
    """One instruction in one layer that does so."""

    address: int
    layer: int
    """Index of the operator, -1 outside of all."""
    kind: Kind
    count: int
    """How often in the run."""
    first: int
    """Number of the instruction at which it did so first."""
    reach: tuple[int, int] = (0, 0)
    """Of addresses that depend on the inputs: lowest and highest that this run accessed."""


@dataclass(frozen=True)
class Followed:
    """What came of following one inference."""

    places: tuple[Place, ...]
    """In the order of their first time."""
    instructions: int
    gap: str
    """Why the run is no proof; empty where it is one."""

    def of(self, *kinds: Kind) -> tuple[Place, ...]:
        """Places of some kinds."""
        return tuple(place for place in self.places if place.kind in kinds)


class _Entry(ctypes.Structure):
    _fields_ = (
        ("reads", ctypes.c_uint64), ("writes", ctypes.c_uint64), ("partly", ctypes.c_uint64), ("base", ctypes.c_uint64),
        ("layer", ctypes.c_int32), ("kind", ctypes.c_uint8), ("width", ctypes.c_uint8), ("count", ctypes.c_uint8),
        ("words", ctypes.c_uint8 * 32), ("spare", ctypes.c_uint8),
    )  # fmt: skip


class _Site(ctypes.Structure):
    _fields_ = (
        ("first", ctypes.c_uint64), ("count", ctypes.c_uint64), ("address", ctypes.c_uint32),
        ("layer", ctypes.c_int32), ("place", ctypes.c_uint32), ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32), ("spare", ctypes.c_uint32),
    )  # fmt: skip


class _Shadow(ctypes.Structure):
    _fields_ = (("base", ctypes.c_uint32), ("size", ctypes.c_uint32), ("bytes", ctypes.c_void_p))


class _Left(ctypes.Structure):
    _fields_ = (("address", ctypes.c_uint32), ("size", ctypes.c_uint32), ("layer", ctypes.c_int32))


class _State(ctypes.Structure):
    _fields_ = (
        ("state", ctypes.c_uint64), ("flags", ctypes.c_uint64), ("n", ctypes.c_uint64), ("code_base", ctypes.c_uint32),
        ("code_halves", ctypes.c_uint32), ("index", ctypes.c_void_p), ("table", ctypes.c_void_p),
        ("shadows", _Shadow * 24), ("shadow_count", ctypes.c_uint32), ("site_count", ctypes.c_uint32),
        ("layer", ctypes.c_int32), ("left", ctypes.c_uint32), ("block", ctypes.c_uint64),
        ("results", ctypes.c_void_p), ("result_count", ctypes.c_uint32), ("apart", ctypes.c_uint32),
        ("sites", ctypes.c_void_p), ("out", ctypes.c_void_p),
    )  # fmt: skip


@cache
def library() -> Any:
    """The library for this host, from the cache or built with the toolchain.

    Raises:
        ToolchainError: no compiler for this host.
        MachineError: it is not that of this version.
    """
    from tinymlsec.emulate.toolchain import build_host_library

    text = Path(__file__).with_name("_timing_flow.c").read_text(encoding="ascii")
    made = ctypes.CDLL(str(build_host_library({"timing_flow.c": text}, name="tms_flows")))
    made.tms_flows_run.restype = ctypes.c_uint64
    sizes = (ctypes.c_uint32 * 5)()
    made.tms_flows_sizes(sizes)
    expected = [RECORD.itemsize, *(ctypes.sizeof(kind) for kind in (_Entry, _Site, _State, _Left))]
    if list(sizes) != expected:
        raise MachineError("the library that follows inputs was built for other structures", found=str(list(sizes)))
    return made


class Follower:
    """Marks, and the run that they are followed through.

    Args:
        twin: whose firmware it is.
        decoder: of its instructions; by default that of its core.
    """

    def __init__(self, twin: Twin, decoder: FlowDecoder | None = None) -> None:
        self.twin, self.image = twin, twin.image
        self.decode = decoder or flow_decoder(twin.core.id)
        self.flows: dict[int, Flow] = {}
        self._layers = _layers(twin)
        start, end = _code(twin)
        self._index = np.full((end - start) // 2, -1, np.int32)
        self._table = (_Entry * ENTRIES)()
        self._sites = (_Site * SITES)()
        self.state = _State(
            flags=FLAGS if twin.core.machine == "arm" else 0, code_base=start, code_halves=len(self._index),
            index=self._index.ctypes.data, table=ctypes.addressof(self._table), layer=NO_LAYER,
            sites=ctypes.addressof(self._sites),
        )  # fmt: skip
        results = _results(twin)
        self._results = (_Left * max(1, len(results)))(*results)
        self.state.results, self.state.result_count = ctypes.addressof(self._results), len(results)
        self.shadows: list[tuple[int, NDArray[np.uint8]]] = []
        for region in twin.memory.regions:
            if "w" in region.access:
                self._add_shadow(region.address, region.size)

    def _add_shadow(self, address: int, size: int) -> None:
        marks = np.zeros(size, np.uint8)
        self.state.shadows[self.state.shadow_count] = _Shadow(address, size, marks.ctypes.data)
        self.state.shadow_count += 1
        self.shadows.append((address, marks))

    def mark(self, address: int, size: int) -> None:
        """From here on these bytes depend on the inputs."""
        for base, marks in self.shadows:
            if base <= address and address + size <= base + len(marks):
                marks[address - base : address - base + size] = 1
                return
        raise MachineError("inputs lie in no memory", found=f"0x{address:08x}+{size}")

    def feed(self, records: NDArray[Any], out: NDArray[np.uint8] | None = None) -> None:
        """Follows the next records.

        Args:
            records: (n,) of `RECORD`, with addresses.
            out: (n,) becomes 1 where a result depends on the inputs.
        """
        records = np.ascontiguousarray(records)
        done, run = 0, library().tms_flows_run
        while done < len(records):
            self.state.out = None if out is None else out[done:].ctypes.data
            done += int(run(
                ctypes.byref(self.state), ctypes.c_void_p(records[done:].ctypes.data),
                ctypes.c_uint64(len(records) - done),
            ))  # fmt: skip
            if done < len(records):
                self.flow_at(int(records["pc"][done]))

    def flow_at(self, address: int) -> Flow:
        """The instruction at an address, put into the table.

        Raises:
            MachineError: it is none, or lies outside of the image's code.
        """
        known = self.flows.get(address)
        if known is not None:
            return known
        place = (address - self.state.code_base) // 2
        if not 0 <= place < len(self._index) or len(self.flows) >= ENTRIES:
            raise MachineError("code runs outside of what the image holds", found=f"0x{address:08x}")
        flow = self.decode(address, image_bytes(self.image, address, 4))
        self._table[len(self.flows)] = _entry(flow, self._layers.get(address, LAYER_STAYS))
        self._index[place] = len(self.flows)
        self.flows[address] = flow
        return flow

    @property
    def places(self) -> tuple[Place, ...]:
        """What was noted so far, in the order of first times."""
        kinds = list(Kind)
        sites = np.frombuffer(self._sites, np.dtype(_Site))  # type: ignore[call-overload]
        found = [
            Place(
                int(site["address"]), int(site["layer"]), kinds[site["place"]], int(site["count"]), int(site["first"])
            )
            for site in sites[sites["count"] > 0]
        ]
        return tuple(sorted(found, key=lambda place: (place.first, place.kind)))

    @property
    def full(self) -> bool:
        """More places than are kept."""
        return int(self.state.site_count) + 1 >= SITES


def flow_decoder(core: str) -> FlowDecoder:
    """The decoder of a core, which knows whose time depends on operands there."""
    varying = frozenset(kind for kind, row in cycle_table(core).rows.items() if row.operands)
    return riscv_flows(varying) if core.startswith("rv") else arm_flows(varying)


def _entry(flow: Flow, layer: int) -> _Entry:
    pairs = (
        (flow.loads, _LOADS), (flow.stores, _STORES), (flow.chooses, _CHOOSES), (flow.varies, _OPERANDS),
        (bool(flow.block), _BLOCK),
    )  # fmt: skip
    words = (ctypes.c_uint8 * 32)(*flow.words[:32])
    kind = sum(bit for holds, bit in pairs if holds)
    count = flow.block or len(flow.words)
    return _Entry(flow.reads, flow.writes, flow.partly, flow.base, layer, kind, flow.width, count, words)


def _layers(twin: Twin) -> dict[int, int]:
    """Addresses at which another layer begins, and those of the code between layers."""
    symbols = twin.image.symbols
    found = {symbols[each.symbol].address: each.index for each in twin.program.layers if each.symbol in symbols}
    between = symbols.get("tms_infer")
    if between is None:
        return found
    return dict.fromkeys(range(between.address, between.address + between.size, 2), NO_LAYER) | found


def _results(twin: Twin) -> list[_Left]:
    """What each layer leaves behind: its outputs, and variables that it may have assigned."""
    symbols = twin.image.symbols
    arena = symbols.get("tms_arena")
    kept = [symbol for name, symbol in symbols.items() if _VARIABLE.fullmatch(name)]
    found: list[_Left] = []
    for layer in twin.program.layers:
        found += [_Left(symbol.address, symbol.size, layer.index) for symbol in kept]
        for span in layer.outputs:
            if arena is not None and span.offset is not None:
                found.append(_Left(arena.address + span.offset, span.bytes, layer.index))
    return found


def _code(twin: Twin) -> tuple[int, int]:
    held = [s for s in twin.image.segments if "x" in s.access and s.data]
    start, end = min(s.virtual_address for s in held), max(s.virtual_address + len(s.data) for s in held)
    if end - start > MOST_CODE:
        raise MachineError("code is spread too far", found=f"{end - start} bytes", expected=f"at most {MOST_CODE}")
    return start, end + (end - start) % 2


def follow(started: StartedTwin, inputs: Sequence[NDArray[np.generic]], follower: Follower | None = None) -> Followed:
    """Follows one inference from its inputs on.

    Args:
        started: the firmware; goes back to its state after start-up.
        inputs: one array for each input: the run that is followed.
        follower: to look into afterwards.

    Raises:
        MachineError: the inference does not end well, or runs code that is not known.
    """
    follower = follower or Follower(started.twin)
    machine = started.machine
    machine.restore(started.ready)
    for k, (array, port) in enumerate(zip(inputs, started.program.inputs, strict=True)):
        machine.write(started.twin.input_address(k), np.ascontiguousarray(array).tobytes())
        follower.mark(started.twin.input_address(k), port.bytes)
    for name, symbol in started.twin.image.symbols.items():
        if _VARIABLE.fullmatch(name):
            follower.mark(symbol.address, symbol.size)
    window, total = started.inference, 0
    while True:
        result = _chunk(started, follower, window)
        follower.feed(result.records)
        total += len(result.records)
        if result.end is not RunEnd.TIMEOUT:
            break
        window = Window("the rest", None, (), machine.idle)
    if result.end is not RunEnd.DONE:
        raise MachineError("the inference that is followed does not end well", found=result.end.value)
    return Followed(follower.places, total, _gap(follower))


def _chunk(started: StartedTwin, follower: Follower, window: Window) -> RunResult:
    """The next records. The engine cannot stop inside of an IT block: then once more, with fewer."""
    machine, before = started.machine, started.machine.snapshot()
    try:
        for fewer in range(0, 4 * LONGEST_BLOCK, LONGEST_BLOCK - 1):
            limit = CHUNK - fewer
            result = machine.run(window, probe=Probe(addresses=True, limit=CHUNK + 64), instructions=limit)
            if result.end is not RunEnd.TIMEOUT or not _inside(follower, result.records["pc"]):
                return result
            machine.restore(before)
    finally:
        machine.drop(before)
    raise MachineError("no place to stop was found", next_step="report this with the firmware")


def _inside(follower: Follower, counters: NDArray[Any]) -> bool:
    """Whether the last instructions leave an IT block unfinished."""
    last = [int(pc) for pc in counters[-LONGEST_BLOCK:]]
    return any(follower.flow_at(pc).block > len(last) - 1 - place for place, pc in enumerate(last))


def _gap(follower: Follower) -> str:
    kinds = {place.kind for place in follower.places}
    if follower.full:
        return "more places depend on the inputs than are kept"
    if Kind.STORE in kinds:
        return "an address that is written to depends on the inputs, so what depends on them cannot be followed further"
    if Kind.HIDDEN in kinds:
        return "a store that depends on the inputs was left out, so where it would have gone is not known"
    return ""
