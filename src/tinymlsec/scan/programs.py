"""Scans one ExecuTorch program (.pte): whether its header and tables fit what the file holds."""

from __future__ import annotations

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Finding, Location
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Hit

HEADER_RULE = "CARVE-07"
"""The rule about programs inside of images; a program that is a file of its own is held against the same conditions."""


def scan_program(data: bytes) -> tuple[Finding, ...]:
    """Findings about a program.

    Args:
        data: the whole file.

    Raises:
        ModelFileError: its root table or its methods cannot be read.
    """
    from tinymlsec.target.firmware.carve.pte import pte_at

    program = pte_at(data, 0, len(data))
    if program is None:
        raise ModelFileError(
            "the ExecuTorch program cannot be read",
            offset=0,
            found="a root table that leads nowhere, or no method with a name",
            expected="the identifier ET12 at byte 4 and a table of methods",
            next_step="export the program again; do not deploy this file",
        )
    rule = rule_book().get(HEADER_RULE)
    return tuple(
        rule.finding(Hit(f"{text[:1].upper()}{text[1:]}.", Location(file_offset=0))) for text in program.problems
    )
