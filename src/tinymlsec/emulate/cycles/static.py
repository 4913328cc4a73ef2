"""What each instruction of a program costs by itself and after its neighbor: everything that needs no run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymlsec.emulate.cycles.instruction import COMPUTES, LOADS, SINGLE_ACCESSES, STORES, Instruction
from tinymlsec.emulate.cycles.table import Bounds, CycleTable

Pairs = NDArray[np.float64]
"""(n, 2): low and high."""


@dataclass(frozen=True)
class StaticCosts:
    """Costs of n instructions in order of their addresses."""

    addresses: NDArray[np.int64]
    alone: Pairs
    """Reached by a branch."""
    after: Pairs
    """Reached from the instruction before it."""
    refill: Pairs
    """On top, where it writes the program counter."""
    is_branch: NDArray[np.bool_]
    """Can be taken (conditional or not)."""
    always_taken: NDArray[np.bool_]
    follows: NDArray[np.bool_]
    """The instruction before it in the list ends where it begins."""


def static_costs(instructions: Sequence[Instruction], table: CycleTable) -> StaticCosts:
    """Prices instructions.

    Args:
        instructions: in order of their addresses, no two at the same one.
        table: of the core.
    """
    before = [None, *instructions[:-1]]
    follows = [b is not None and b.address + b.size == i.address for b, i in zip(before, instructions, strict=True)]
    alone = [_alone(i, table) for i in instructions]
    after = [
        _after(i, b, cost, table) if b is not None and f else cost
        for i, b, f, cost in zip(instructions, before, follows, alone, strict=True)
    ]
    leaves = np.array([i.always_taken for i in instructions], bool)
    guarded = np.array(_guarded(instructions, follows), bool) & leaves
    return StaticCosts(
        addresses=np.array([i.address for i in instructions], np.int64),
        alone=_maybe_skipped(_pairs(alone), guarded, table.rules.skipped.low),
        after=_maybe_skipped(_pairs(after), guarded, table.rules.skipped.low),
        refill=_maybe_skipped(_pairs([_refill(i, table) for i in instructions]), guarded, 0.0),
        is_branch=np.array([i.always_taken or i.kind == "branch" for i in instructions], bool),
        always_taken=leaves,
        follows=np.array(follows, bool),
    )


def _guarded(instructions: Sequence[Instruction], follows: Sequence[bool]) -> list[bool]:
    """Which instructions stand in an IT block."""
    found, left = [], 0
    for instruction, follow in zip(instructions, follows, strict=True):
        left = left if follow else 0
        found.append(left > 0)
        left = instruction.block or max(left - 1, 0)
    return found


def _maybe_skipped(pairs: Pairs, guarded: NDArray[np.bool_], low: float) -> Pairs:
    """Lower bounds of branches in IT blocks: counts do not tell how often their condition failed."""
    return np.where(guarded[:, None] & np.array([True, False]), np.minimum(pairs, low), pairs)


def _pairs(bounds: Sequence[Bounds]) -> Pairs:
    return np.array([(each.low, each.high) for each in bounds], np.float64).reshape(-1, 2)


def _sum(*terms: Bounds) -> Bounds:
    return Bounds(low=sum(t.low for t in terms), high=sum(t.high for t in terms))


def _alone(instruction: Instruction, table: CycleTable) -> Bounds:
    row = table.rows[instruction.kind]
    many = instruction.transfers if instruction.kind in ("load_many", "store_many") else 0
    own = Bounds(low=row.cycles.low + many * row.per_register.low, high=row.cycles.high + many * row.per_register.high)
    return _sum(own, table.rules.literal) if instruction.literal else own


def _refill(instruction: Instruction, table: CycleTable) -> Bounds:
    rules = table.rules
    return _sum(rules.refill, rules.refill_extra_return) if instruction.from_memory else rules.refill


def _after(instruction: Instruction, before: Instruction, cost: Bounds, table: CycleTable) -> Bounds:
    """The cost right after the instruction `before`."""
    rules, low, high = table.rules, cost.low, cost.high
    loaded = before.kind == "load" and not before.always_taken
    depends_by_address = bool(before.writes & instruction.address_registers)
    if loaded and instruction.kind in SINGLE_ACCESSES and not depends_by_address:
        saved = rules.pipelined_store if instruction.kind == "store" else rules.pipelined
        low, high = low - saved.high, high - saved.low
    if before.kind in STORES and instruction.kind in LOADS:
        low, high = low + rules.after_store.low, high + rules.after_store.high
    if before.kind in COMPUTES and depends_by_address:
        low, high = low + rules.address_stall.low, high + rules.address_stall.high
    if loaded and before.writes & instruction.reads:
        low, high = low + rules.load_use.low, high + rules.load_use.high
    low = max(low, 0.0)
    return Bounds(low=low, high=max(low, high))
