"""The record of how the lifted graph compares with the runtime: a disagreement blocks the verdicts that rest on it."""

from __future__ import annotations

from pydantic import Field

from tinymlsec.records import Record


class Difference(Record):
    """The first operator whose output is not the runtime's."""

    operator: int
    """Its index in the main subgraph."""
    name: str
    """Builtin name or custom code."""
    tensor: int
    """Its output that was compared."""
    inputs: int
    """Inputs of the model for which an element differs."""
    largest: float
    """Largest difference of an element, in steps of the output (in its units where it is float)."""

    @property
    def words(self) -> str:
        """The difference in a sentence."""
        return (
            f"operator {self.operator} ({self.name}) is the first to differ: "
            f"{self.inputs} inputs, by up to {self.largest:g}"
        )


class Exactness(Record):
    """Whether a model is lifted, and whether the lifted graph gives the runtime's integers."""

    lifted: bool
    """False where the graph could not be built."""
    profile: str = "tflm"
    inputs: int = Field(default=0, ge=0)
    """Inputs (or streams) that were compared: random ones, corner values, the user's data."""
    differing: int = Field(default=0, ge=0)
    """Of these, how many gave another output."""
    tolerance: float = Field(default=0.0, ge=0)
    """Allowed difference relative to the largest output; zero on integers, more only for a float model."""
    first: Difference | None = None
    """Where they part; None where they agree, or where no single operator shows it."""
    reason: str = ""
    """Why the model is not lifted."""

    @property
    def exact(self) -> bool:
        """True where every output element of every compared input was equal."""
        return self.lifted and self.inputs > 0 and self.differing == 0

    @property
    def words(self) -> str:
        """The result in a sentence."""
        if not self.lifted:
            return f"not lifted: {self.reason}"
        if self.exact:
            within = f" within {self.tolerance:g} of the largest" if self.tolerance else ""
            return f"every output element equals the runtime's{within} on {self.inputs} inputs"
        where = f"; {self.first.words}" if self.first else ""
        return f"the lifted graph differs from the runtime on {self.differing} of {self.inputs} inputs{where}"
