"""The tracer in C as Python sees it: its structures, and the library built from them."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

from tinymlsec.emulate.cycles.flash_cache import HERE as FLASH_FOLDER
from tinymlsec.emulate.cycles.flash_cache import SOURCES as FLASH_SOURCES
from tinymlsec.emulate.engine.step import DECODE_TYPE

SOURCES = ("tracer.h", "tracer.c", "memory.c", "inject.c", "protect.c", "campaign.c", "campaign.h")
REGISTERS, REGIONS, LAST, RANGES, MPU = 32, 24, 16, 16, 16
NONE = 255

END_NONE, END_DONE, END_LIMIT, END_DETECTED, END_FULL, END_WAITS, END_ENGINE = range(7)
END_UNALIGNED, END_DIVISION, END_PROTECTED, END_INVALID, END_EXCEPTION, END_MISMATCH = range(7, 13)

WANT_REGISTERS, WANT_BUS, WANT_VALUES, WANT_ADDRESSES, WANT_RECORDS, WANT_COUNTS, WANT_FLASH, WANT_VISITS = (
    1 << i for i in range(8)
)
TRAP_DIVISION, TRAP_DIVISION_BY_CONTROL, TRAP_UNALIGNED, TRAP_UNALIGNED_BY_CONTROL, TRAP_MPU, MPU_V8 = (
    1 << i for i in range(6)
)
TAKES = {"hd": 0, "hw": 1, "bus_hd": 2, "bus_hw": 3, "value": 4, "bus": 5, "address": 6, "pc": 7}
"""Columns of a campaign, as in campaign.h."""
FAULTS = {"skip": 1, "register": 2, "memory": 3, "fetch": 4}

API = (
    "reg_read", "reg_write", "reg_read_batch", "emu_start", "emu_stop", "context_alloc", "context_save",
    "context_restore", "context_free", "hook_add", "hook_del", "ctl",
)  # fmt: skip
"""Functions of the engine, in the order of tms_engine."""

_U32, _U64, _I32, _PTR = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_void_p


class CEngine(ctypes.Structure):
    """`tms_engine`."""

    _fields_ = tuple((name, _PTR) for name in API)


class CRegion(ctypes.Structure):
    """`tms_region`."""

    _fields_ = (
        ("base", _U32), ("size", _U32), ("host", _PTR), ("writable", _U32), ("executable", _U32), ("dirty", _PTR),
        ("pages", _PTR),
    )  # fmt: skip


class CProtected(ctypes.Structure):
    """`tms_mpu_region`."""

    _fields_ = (("base", _U32), ("end", _U32), ("rights", _U32), ("rbar", _U32), ("rasr", _U32))


class CTracer(ctypes.Structure):
    """`tms_tracer`."""

    _fields_ = (
        ("api", CEngine), ("uc", _PTR), ("ids", _I32 * REGISTERS), ("pc_id", _I32), ("status_id", _I32),
        ("registers", _U32), ("thumb", _U32), ("decode", DECODE_TYPE), ("regions", CRegion * REGIONS),
        ("region_count", _U32),
        ("want", _U32), ("traps", _U32), ("control", _U32), ("limit", _U64), ("check_at", _U64),
        ("deadline", ctypes.c_double), ("stop", _U32), ("stop_hit", _U32),
        ("detected", _U32), ("range_count", _U32), ("visit_count", _U32), ("range_from", _U32 * RANGES),
        ("range_to", _U32 * RANGES), ("visit_at", _PTR), ("records", _PTR), ("record_limit", _U64), ("visits", _PTR),
        ("visit_limit", _U64), ("flash", _PTR), ("fault_kind", _U32), ("fault_mask", _U32), ("fault_where", _U32),
        ("fault_expected", _U32), ("fault_index", _U64),
        ("shadow", _U32 * REGISTERS), ("last", _U32 * LAST), ("n", _U64), ("made", _U64), ("visited", _U64),
        ("zero_divisions", _U64), ("end", _U32), ("hits", _U32), ("hooked", _U32),
        ("watch_registers", _U32), ("stepping", _U32), ("step_to", _U32), ("step_end", _U32), ("it_left", _U32),
        ("undo", _U32), ("undo_status", _U32), ("undo_next", _U32), ("undo_bytes", _U32),
        ("undo_data", ctypes.c_uint8 * 128), ("resync", _U32), ("bus_last", _U32), ("pending", _PTR),
        ("pending_copy", ctypes.c_uint8 * 28), ("pending_pc", _U32), ("pending_address", _U32), ("pending_flags", _U32),
        ("pending_bus", _U32), ("pending_bus_hd", _U32), ("pending_bus_hw", _U32),
        ("fault_pc", _U32), ("fault_address", _U32), ("fault_size", _U32), ("fault_type", _U32), ("fault_seen", _U32),
        ("interrupt", _U32), ("changed_code", _U32), ("mpu_on", _U32), ("mpu_number", _U32), ("mpu", CProtected * MPU),
        ("clean", _PTR), ("hooks", ctypes.c_size_t * 8), ("hook_count", _U32), ("block_end", _U32),
        ("tick_at", _U64), ("tick_inside", _U32), ("ringing", _U32), ("tick", _PTR),
    )  # fmt: skip


class CCampaign(ctypes.Structure):
    """`tms_campaign` of campaign.h."""

    _fields_ = (
        ("snapshot", _PTR), ("start", _U32), ("until", _U32), ("runs", _U32), ("columns", _U32), ("write_count", _U32),
        ("output_count", _U32), ("arguments", _U32), ("argument_ids", _I32 * 8), ("link_id", _I32), ("link", _U32),
        ("argument_rows", _PTR), ("write_at", _PTR), ("write_bytes", _PTR), ("write_rows", _PTR), ("output_at", _PTR),
        ("output_bytes", _PTR), ("output_rows", _PTR), ("column_kind", _PTR), ("column_rows", _PTR), ("points", _PTR),
        ("point_count", _U32), ("fault_rows", _PTR), ("ends", _PTR), ("lengths", _PTR),
        ("instructions", _PTR), ("first_pcs", _PTR), ("done", _U32), ("seconds", ctypes.c_double),
    )  # fmt: skip


def build() -> Path:
    """The library for this host, from the cache or built with the toolchain.

    Raises:
        ToolchainError: no compiler for this host.
        BuildError: it refused the sources.
    """
    from tinymlsec.emulate.toolchain import build_host_library

    here = Path(__file__).parent
    files = {name: (here / name).read_text(encoding="ascii") for name in SOURCES}
    files |= {name: (FLASH_FOLDER / name).read_text(encoding="ascii") for name in FLASH_SOURCES}
    return build_host_library(files, name="tms_tracer")


@cache
def load(path: str) -> Any:
    """The library, with the structures compared.

    Raises:
        ImportError: it was built from other structures.
    """
    library = ctypes.CDLL(path)
    sizes = (ctypes.c_uint32 * 3)()
    library.tms_sizes(sizes)
    own = [ctypes.sizeof(kind) for kind in (CTracer, CRegion, CCampaign)]
    if list(sizes) != own:
        raise ImportError(f"structures of the tracer differ: {list(sizes)} in C, {own} here")
    library.tms_snapshot_take.restype = ctypes.c_void_p
    library.tms_counts_read.restype = ctypes.c_uint64
    return library
