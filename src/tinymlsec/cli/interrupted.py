"""What a verb raises when its run was interrupted and can be resumed."""

from __future__ import annotations


class RunInterrupted(Exception):
    """Holds the run folder. The option parser swallows KeyboardInterrupt, so this takes its place."""
