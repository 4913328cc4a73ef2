"""A model as C that computes the runtime's integers: kernels of our own, generated tables, an arena planned ahead."""

from __future__ import annotations
