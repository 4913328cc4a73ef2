"""A model as C that computes the runtime's integers: kernels of our own, generated tables, an arena planned ahead.

program = generate(model, Style.DSP)
build_firmware(firmware_files(program, core, memory), core)
"""

from __future__ import annotations

from tinymlsec.emulate.codegen.generator import generate
from tinymlsec.emulate.codegen.layout import check_fits, firmware_files
from tinymlsec.emulate.codegen.program import ArenaPlan, Layer, Port, Program, Span
from tinymlsec.emulate.codegen.style import Style

__all__ = ["ArenaPlan", "Layer", "Port", "Program", "Span", "Style", "check_fits", "firmware_files", "generate"]
