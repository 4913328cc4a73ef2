"""Builds the two firmwares of our own hand that play somebody else's, and computes what they must answer."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymlsec.target.tflite.builder import GraphBuilder
from tinymlsec.target.tflite.requant import multiply_by_quantized_multiplier, quantize_multiplier

SOURCES = Path(__file__).with_name("firmware")
INPUTS, HIDDEN, OUTPUTS = 64, 24, 10
INPUT_ZERO, HIDDEN_ZERO, OUTPUT_ZERO = -128, -128, 3
SCALES = {"input": 1 / 16, "weights": 0.01, "hidden": 0.05, "output": 0.2}
TARGETS = {
    "cortex-m4": ("thumb-freestanding-eabi", "cortex_m4"),
    "cortex-m0plus": ("thumb-freestanding-eabi", "cortex_m0plus"),
}


@dataclass(frozen=True)
class Network:
    """Dense, relu, dense, on 8 by 8 pixels."""

    weights: tuple[NDArray[np.int8], NDArray[np.int8]]
    bias: tuple[NDArray[np.int32], NDArray[np.int32]]


def network(seed: int = 11) -> Network:
    """Weights that keep outputs spread over the range of int8."""
    rng = np.random.default_rng(seed)
    shapes = ((HIDDEN, INPUTS), (OUTPUTS, HIDDEN))
    weights = tuple(np.clip(rng.normal(0, 30, shape).round(), -127, 127).astype(np.int8) for shape in shapes)
    bias = tuple(rng.integers(-800, 800, shape[0]).astype(np.int32) for shape in shapes)
    return Network((weights[0], weights[1]), (bias[0], bias[1]))


def digits(count: int, seed: int = 5) -> NDArray[np.int8]:
    """Inputs like the bundled digits: 64 pixels of 17 levels each."""
    return (np.random.default_rng(seed).integers(0, 17, (count, INPUTS)) * 15 - 128).astype(np.int8)


def _reals() -> tuple[float, float]:
    f32 = {name: float(np.float32(value)) for name, value in SCALES.items()}
    return f32["input"] * f32["weights"] / f32["hidden"], f32["hidden"] * f32["weights"] / f32["output"]


def gadget_answers(net: Network, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the gadget computes: one rounding of the whole product, ties upward."""
    for layer, (low, zero_in, zero_out) in enumerate(_ranges()):
        total = (x.astype(np.int64) - zero_in) @ net.weights[layer].astype(np.int64).T + net.bias[layer]
        multiplier, shift = _gadget_multiplier(layer)
        x = np.clip(((total * multiplier + (1 << (shift - 1))) >> shift) + zero_out, low, 127).astype(np.int8)
    return x


def interpreter_answers(net: Network, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the interpreter computes: the runtime's rounding in two steps."""
    for layer, (low, zero_in, zero_out) in enumerate(_ranges()):
        total = (x.astype(np.int64) - zero_in) @ net.weights[layer].astype(np.int64).T + net.bias[layer]
        scaled = multiply_by_quantized_multiplier(total, *quantize_multiplier(_reals()[layer]))
        x = np.clip(scaled + zero_out, low, 127).astype(np.int8)
    return x


def _ranges() -> tuple[tuple[int, int, int], ...]:
    return (HIDDEN_ZERO, INPUT_ZERO, HIDDEN_ZERO), (-128, HIDDEN_ZERO, OUTPUT_ZERO)


def _gadget_multiplier(layer: int) -> tuple[int, int]:
    return round(_reals()[layer] * (1 << 24)), 24


def model_file(net: Network) -> bytes:
    """The network as a .tflite: reshape, dense with relu, dense."""
    s = SCALES
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


def _array(kind: str, name: str, values: NDArray[np.generic] | bytes) -> str:
    numbers = ", ".join(str(int(v)) for v in np.frombuffer(values, "u1")) if isinstance(values, bytes) else ", ".join(
        str(int(v)) for v in values.ravel()
    )  # fmt: skip
    return f"alignas(16) static const {kind} {name}[] = {{{numbers}}};\n"


def gadget_header(net: Network) -> str:
    """weights.h of the gadget."""
    text = "#pragma once\n#include <stdint.h>\n"
    names = {"INPUTS": INPUTS, "HIDDEN": HIDDEN, "OUTPUTS": OUTPUTS, "INPUT_ZERO": INPUT_ZERO}
    names |= {"HIDDEN_ZERO": HIDDEN_ZERO, "OUTPUT_ZERO": OUTPUT_ZERO}
    for layer in range(2):
        names[f"MULTIPLIER_{layer}"], names[f"SHIFT_{layer}"] = _gadget_multiplier(layer)
        text += _array("int8_t", f"weights_{layer}", net.weights[layer])
        text += _array("int32_t", f"bias_{layer}", net.bias[layer])
    return text + "".join(f"#define {name} ({value})\n" for name, value in names.items())


def interpreter_header(net: Network) -> str:
    """weights.h of the interpreter: the model file, and what its dense layers multiply with."""
    text = "#pragma once\n#include <stdint.h>\n" + _array("uint8_t", "model_file", model_file(net))
    text += "struct Dense { int32_t input_zero, output_zero, multiplier, right, low; };\n"
    rows = []
    for layer, (low, zero_in, zero_out) in enumerate(_ranges()):
        multiplier, shift = quantize_multiplier(_reals()[layer])
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
    link = ["-Wl,--gc-sections", "-Wl,-e,Reset_Handler", "-T", str(SOURCES / "gadget.ld")]
    sources = [str(SOURCES / f"{name}.cpp"), str(SOURCES / "board.cpp")]
    command = [sys.executable, "-m", "ziglang", "c++", "-target", target, f"-mcpu={cpu}", *flags, f"-I{folder}"]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(_cache()), "ZIG_LOCAL_CACHE_DIR": str(_cache() / "local")}
    done = subprocess.run(
        [*command, *sources, *link, "-o", str(elf)], env=os.environ | cache, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return elf


def _cache() -> Path:
    """The compiler's cache outlives a run of the tests: its runtime library takes seconds to build."""
    path = Path(os.environ.get("TINYMLSEC_CACHE") or Path.home() / ".cache" / "tinymlsec") / "zig-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path
