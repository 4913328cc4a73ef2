"""Measurements made by hand."""

from __future__ import annotations

from typing import Any

from tinymlsec.emulate.measure_records import Measurement


def cost(low: float, high: float, flash: bool = True) -> dict[str, Any]:
    reads = {"low": low / 100, "high": high / 100}
    waits = 5 * reads["high"] if flash else 0
    return {
        "instructions": {"low": low * 0.7, "high": low * 0.7},
        "zero_wait": {"low": low, "high": high},
        "flash_reads": reads if flash else None,
        "cycles": {"low": low, "high": high + waits},
    }


def made_measurement(layers: int = 13, flash: bool = True, **changes: Any) -> Measurement:
    ops = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"]
    rows = [
        {"index": i, "op": ops[i % 6], "symbol": f"tms_op_{i:03d}_{ops[i % 6].lower()}",
         "cost": cost(900_000.0 / (i + 1), 1_100_000.0 / (i + 1), flash)}
        for i in range(layers)
    ]  # fmt: skip
    low = sum(row["cost"]["cycles"]["low"] for row in rows)
    high = sum(row["cost"]["zero_wait"]["high"] for row in rows)
    total = cost(low, high, flash)
    data: dict[str, Any] = {
        "model": "kws_ref_model.tflite", "model_digest": "ab" * 32, "device": "stm32l4r5zi",
        "device_name": "STM32L4R5ZI (Nucleo, MLPerf Tiny ref)", "core": "cortex-m4f", "fidelity": "native",
        "fidelity_reason": "Cortex-M4F: its own core",
        "binary": {"style": "dsp", "compiler": "zig 0.17.1", "flags": ["-O2", "-g"], "digest": "cd" * 32},
        "inputs": {"count": 5, "source": "random codes, seed 0", "exact": 5, "close": 5},
        "total": total, "layers": rows,
        "functions": [{"name": row["symbol"], "cost": row["cost"]} for row in rows],
        "memory": {
            "flash": {"code": 14_812, "weights": 24_392, "constants": 1_204, "initial": 16},
            "ram": {"arena": 16_000, "variables": 204, "stack": 612, "stack_reserved": 8192},
            "flash_bytes": 2 << 20, "ram_bytes": 640 << 10, "arena_bound": 16_000, "source": "probe-rs",
        },
        "mhz": 120.0, "milliseconds": {"low": total["cycles"]["low"] / 120e3, "high": total["cycles"]["high"] / 120e3},
        "energy_note": "not printed: no sourced power figure",
        "flash_model": {"wait_states": 5, "line_bytes": 8, "code_lines": 128, "data_lines": 32, "source": "RM",
                        "confidence": "C", "note": "no prefetch"} if flash else None,
        "cycle_table": "vendor", "validation": "", "notes": ["one note"],
    }  # fmt: skip
    return Measurement.model_validate(data | changes)
