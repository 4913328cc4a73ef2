"""Two firmwares whose answer is known: one with a sign branch in its requantization, one without any choice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tinymlsec.attacks.side_channel._timing_inputs import Inputs
from tinymlsec.emulate.codegen.style import Style
from tinymlsec.emulate.twin import Twin
from tinymlsec.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS, UNITS, SAMPLES = 16, 64, 40
TICKS = 3
"""By how many ticks of the timer the weak twin's classes are apart."""
MOST_DELAY = 4000
"""Rounds of the weak twin's longer way, for each output value."""
REQUANTIZE, FIXED = "kernels/requantize.h", "kernels/fixed.h"

_SCALED = "    const int32_t scaled = tms_rescale((int32_t)sum, r->multiplier[at], r->shift[at]);\n"
_BRANCH = "if ((int32_t)sum < 0) {"
_SIGNED = f"""    int32_t scaled;
    {_BRANCH}
        for (int32_t k = 0; k < TMS_DELAY; ++k) __asm__ volatile("nop");
        scaled = -tms_rescale(-(int32_t)sum, r->multiplier[at], r->shift[at]);
    }} else {{
        scaled = tms_rescale((int32_t)sum, r->multiplier[at], r->shift[at]);
    }}
"""
_CLAMP = "    return value < low ? low : value > high ? high : value;\n"
_MASKED = """    /* compilers make a branch of the sign of a difference and of a mask: they must not see them */
    int32_t below = value - low;
    __asm__("" : "+r"(below));
    below >>= 31;
    __asm__("" : "+r"(below));
    value = (low & below) | (value & ~below);
    int32_t above = high - value;
    __asm__("" : "+r"(above));
    above >>= 31;
    __asm__("" : "+r"(above));
    return (high & above) | (value & ~above);
"""


@dataclass(frozen=True)
class ControlTwin:
    """A firmware whose answer is known, with inputs."""

    twin: Twin
    inputs: Inputs
    line: str
    """file:line of its branch; empty where it has none."""


def weak_twin(like: Twin, resolution: float, rng: np.random.Generator) -> ControlTwin:
    """Requantizes negative sums another way than others, longer by a few ticks of the timer over the whole layer.

    Args:
        like: core, memory, style and compiler are taken from it.
        resolution: cycles between two ticks.
        rng: inputs.
    """
    delay = int(np.clip(np.ceil(TICKS * resolution / UNITS), 4, MOST_DELAY))
    text = _SIGNED.replace("TMS_DELAY", str(delay))
    twin = _built(like, {REQUANTIZE: (_SCALED, text)})
    lines = twin.program.files[REQUANTIZE].splitlines()
    number = next(i for i, line in enumerate(lines, 1) if _BRANCH in line)
    return ControlTwin(twin, _signed_inputs(rng), f"{REQUANTIZE}:{number}")


def constant_twin(like: Twin, rng: np.random.Generator) -> ControlTwin:
    """The same layer with clamps made of masks: no choice is left."""
    return ControlTwin(_built(like, {FIXED: (_CLAMP, _MASKED)}), _signed_inputs(rng), "")


def _signed_inputs(rng: np.random.Generator) -> Inputs:
    """Inputs whose sums are all positive or all negative; the sign is the class."""
    labels = np.arange(SAMPLES) % 2
    values = rng.integers(1, 60, (SAMPLES, 1, INPUTS)) * np.where(labels, -1, 1)[:, None, None]
    return Inputs((values.astype(np.int8),), labels.astype(np.int64), ("positive", "negative"), True, "by sign")


def _model() -> bytes:
    from tinymlsec.target.tflite.builder import GraphBuilder

    builder = GraphBuilder("timing control twin")
    x = builder.input((1, INPUTS), "int8", 1.0, 0)
    weights = (np.arange(UNITS * INPUTS).reshape(UNITS, INPUTS) % 7 + 1).astype(np.int8)
    kernel = builder.constant(weights, scale=1.0, name="weights")
    bias = builder.constant(np.zeros(UNITS, np.int32), scale=1.0, name="bias")
    options = {"fused_activation_function": "NONE"}
    builder.output(builder.op("FULLY_CONNECTED", [x, kernel, bias], scale=64.0, zero_point=0, options=options))
    return builder.tobytes()


def _built(like: Twin, changes: Mapping[str, tuple[str, str]]) -> Twin:
    from tinymlsec.emulate.codegen.generator import generate
    from tinymlsec.target.tflite.reader import read_model

    model = read_model(_model())
    program = generate(model, Style(like.program.style))
    return rebuilt(replace(like, model=model, program=program), changes)


def rebuilt(like: Twin, changes: Mapping[str, tuple[str, str]]) -> Twin:
    """A twin with some of its C text replaced.

    Args:
        like: the twin.
        changes: path -> text that stands there once, and what takes its place.

    Raises:
        MachineError: the text does not stand there.
    """
    from tinymlsec.emulate.codegen.layout import firmware_files
    from tinymlsec.emulate.toolchain import build_firmware
    from tinymlsec.target.firmware.load import load_image

    files = dict(like.program.files)
    for path, (old, new) in changes.items():
        if files.get(path, "").count(old) != 1:
            raise MachineError("the control's kernel has changed", found=path, expected=old.strip()[:80])
        files[path] = files[path].replace(old, new)
    program = replace(like.program, files=files)
    build = build_firmware(firmware_files(program, like.core, like.memory), like.core)
    return Twin(like.model, program, like.core, like.memory, build, load_image(build.elf))
