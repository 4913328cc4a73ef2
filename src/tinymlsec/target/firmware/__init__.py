"""Firmware images: ELF, Intel HEX, UF2 and raw files in one form, with symbols, source lines and the vector table."""

from tinymlsec.target.firmware.image import FirmwareImage, Section, Segment, Symbol, VectorTable
from tinymlsec.target.firmware.load import load_image
from tinymlsec.target.firmware.write import write_bin, write_hex, write_uf2

__all__ = [
    "FirmwareImage",
    "Section",
    "Segment",
    "Symbol",
    "VectorTable",
    "load_image",
    "write_bin",
    "write_hex",
    "write_uf2",
]
