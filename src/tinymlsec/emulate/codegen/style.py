"""How the inner loops of layers with weights are written."""

from __future__ import annotations

from enum import StrEnum


class Style(StrEnum):
    """Same integers, other instructions: what an attacker sees on the power line differs between them."""

    PLAIN = "plain"
    """One product an iteration."""
    UNROLLED = "unrolled"
    """Four products an iteration, written out."""
    DSP = "dsp"
    """Two products an instruction (SMLAD on pairs that SXTB16 widens), as vendors' kernels do; cores with the DSP
    extension. Elsewhere the same C computes the same with ordinary instructions."""
