"""Builds the two firmwares of our own hand that play somebody else's, and computes what they must answer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier, quantize_multiplier

SOURCES = Path(__file__).with_name("firmware")
EXAMPLE = Path(__file__).parents[3] / "examples" / "bring-your-own-firmware"
TARGETS = {
    "cortex-m4": ("thumb-freestanding-eabi", "cortex_m4"),
    "cortex-m0plus": ("thumb-freestanding-eabi", "cortex_m0plus"),
}


def _example() -> ModuleType:
    """The module of the example that holds the gadget's network."""
    spec = importlib.util.spec_from_file_location("gadget_network", EXAMPLE / "network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_gadget = _example()
Network: Any = _gadget.Network
network, digits, gadget_answers, gadget_header = (
    _gadget.network, _gadget.digits, _gadget.answers, _gadget.header,
)  # fmt: skip
INPUTS, INPUT_ZERO, HIDDEN_ZERO, OUTPUT_ZERO = (
    _gadget.INPUTS, _gadget.INPUT_ZERO, _gadget.HIDDEN_ZERO, _gadget.OUTPUT_ZERO,
)  # fmt: skip


def interpreter_answers(net: Network, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the interpreter computes: the runtime's rounding in two steps."""
    for layer, (low, zero_in, zero_out) in enumerate(_gadget.layers()):
        total = (x.astype(np.int64) - zero_in) @ net.weights[layer].astype(np.int64).T + net.bias[layer]
        scaled = multiply_by_quantized_multiplier(total, *quantize_multiplier(_gadget.real_multipliers()[layer]))
        x = np.clip(scaled + zero_out, low, 127).astype(np.int8)
    return x


def model_file(net: Network) -> bytes:
    """The network as a .tflite: reshape, dense with relu, dense."""
    s = _gadget.SCALES
    builder = GraphBuilder("digits of a foreign device")
    x = builder.input((1, 8, 8, 1), scale=s["input"], zero_point=INPUT_ZERO)
    flat = builder.op("RESHAPE", [x, builder.ints(1, INPUTS)], shape=(1, INPUTS), options={})
    w0 = builder.constant(net.weights[0], scale=s["weights"])
    b0 = builder.constant(net.bias[0], scale=s["input"] * s["weights"])
    w1 = builder.constant(net.weights[1], scale=s["weights"])
    b1 = builder.constant(net.bias[1], scale=s["hidden"] * s["weights"])
    relu = {"fused_activation_function": 1}
    hidden = builder.op("FULLY_CONNECTED", [flat, w0, b0], scale=s["hidden"], zero_point=HIDDEN_ZERO, options=relu)
    last = builder.op("FULLY_CONNECTED", [hidden, w1, b1], scale=s["output"], zero_point=OUTPUT_ZERO, options={})
    builder.output(last)
    return builder.tobytes()


def interpreter_header(net: Network) -> str:
    """weights.h of the interpreter: the model file, and what its dense layers multiply with."""
    text = "#pragma once\n#include <stdint.h>\n" + _gadget.array("uint8_t", "model_file", list(model_file(net)))
    text += "struct Dense { int32_t input_zero, output_zero, multiplier, right, low; };\n"
    rows = []
    for layer, (low, zero_in, zero_out) in enumerate(_gadget.layers()):
        multiplier, shift = quantize_multiplier(_gadget.real_multipliers()[layer])
        rows.append(f"{{{zero_in}, {zero_out}, {int(multiplier)}, {-int(shift)}, {low}}}")
    return text + f"static const Dense dense_layers[] = {{{', '.join(rows)}}};\n"


def build(
    folder: Path, name: str, header: str, *, core: str = "cortex-m4", strip: bool = False, optimize: str = "-O2",
    define: str = "",
) -> Path:  # fmt: skip
    """Compiles one of the firmwares.

    Args:
        folder: where to put it.
        name: gadget, interpreter or broken.
        header: text of weights.h.
        core: one of TARGETS.
        strip: without any symbol.
        optimize: the compiler's option.
        define: a macro that is set.
    """
    target, cpu = TARGETS[core]
    (folder / "weights.h").write_text(header)
    elf = folder / f"{name}-{core}{'-stripped' if strip else ''}{define}.elf"
    flags = ["-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-sanitize=all"]
    flags += ["-std=c++20", "-nostdinc++", "-Wall", "-Werror", optimize, "-s" if strip else "-g"]
    flags += [f"-D{define}"] * bool(define)
    link = ["-Wl,--gc-sections", "-Wl,-e,Reset_Handler", "-T", str(EXAMPLE / "firmware" / "gadget.ld")]
    source = EXAMPLE / "firmware" / f"{name}.cpp" if name == "gadget" else SOURCES / f"{name}.cpp"
    sources = [str(source), str(EXAMPLE / "firmware" / "board.cpp"), f"-I{EXAMPLE / 'firmware'}"]
    return _compiled(elf, target, cpu, [*flags, f"-I{folder}", *sources, *link])


def build_riscv(folder: Path) -> Path:
    """Compiles the firmware for RISC-V."""
    flags = ["-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-sanitize=all", "-std=c++20", "-nostdinc++", "-O2"]
    link = ["-Wl,-e,_start", "-T", str(SOURCES / "riscv.ld")]
    arguments = [*flags, "-g", "-Wall", "-Werror", str(SOURCES / "riscv.cpp"), *link]
    return _compiled(folder / "riscv.elf", "riscv32-freestanding-none", "generic_rv32+m+c", arguments)


def _compiled(elf: Path, target: str, cpu: str, arguments: list[str]) -> Path:
    command = [sys.executable, "-m", "ziglang", "c++", "-target", target, f"-mcpu={cpu}", *arguments, "-o", str(elf)]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(_cache()), "ZIG_LOCAL_CACHE_DIR": str(_cache() / "local")}
    done = subprocess.run(command, env=os.environ | cache, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return elf


def _cache() -> Path:
    """The compiler's cache outlives a run of the tests: its runtime library takes seconds to build."""
    path = Path(os.environ.get("TINYMLSEC_CACHE") or Path.home() / ".cache" / "tinymlsec") / "zig-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path
