"""A victim's lifted graph together with the proof that it speaks for the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymlsec.errors import CapabilityMissing, ModelFileError
from tinymlsec.exactness import Exactness
from tinymlsec.lift.check import check_exactness, probe_codes
from tinymlsec.lift.coverage import STILL, obstacle
from tinymlsec.lift.graph import LiftedGraph

if TYPE_CHECKING:
    from tinymlsec.target.data import Dataset
    from tinymlsec.target.victim import Victim


@dataclass(frozen=True, eq=False)
class Lifted:
    """A lifted graph that was compared with the runtime."""

    graph: LiftedGraph
    exactness: Exactness


def lifted_for(victim: Victim, dataset: Dataset | None = None) -> tuple[LiftedGraph | None, Exactness]:
    """Lift a victim in the profile of its runtime, and compare the two.

    Args:
        victim: a model that the runtime runs.
        dataset: the user's data; some of it is compared as well.

    Returns:
        the graph, None where it cannot be built; and the record of the comparison, to be read before the graph is used.

    Raises:
        OracleError: the runtime died of the model.
    """
    reason = obstacle(victim.model)
    if reason is not None:
        return None, Exactness(lifted=False, reason=reason)
    try:
        graph = LiftedGraph(victim.model, "tflm")
        given = None if dataset is None else dataset.x
        codes = probe_codes(victim.space, given, frames=victim.task.frames)
        return graph, check_exactness(graph, victim.handle, victim.space.to_device(codes))
    except ModelFileError as error:
        return None, Exactness(lifted=False, reason=" ".join(str(error).split()))
    except RuntimeError as error:  # PyTorch's: shapes in the file that contradict each other, memory
        return None, Exactness(lifted=False, reason=f"PyTorch refuses: {' '.join(str(error).split())[:300]}")


def require_lifted(victim: Victim, dataset: Dataset | None = None) -> Lifted:
    """The lifted graph of a victim, equal to the runtime on all that was compared.

    Raises:
        CapabilityMissing: it cannot be lifted, or differs; names the first operator that does.
    """
    graph, exactness = lifted_for(victim, dataset)
    return accept(graph, exactness)


def accept(graph: LiftedGraph | None, exactness: Exactness) -> Lifted:
    """A comparison that came out well.

    Raises:
        CapabilityMissing: it did not.
    """
    if graph is None or not exactness.exact:
        raise CapabilityMissing(exactness.words, next_step=f"tinymlsec list ops shows what is lifted; {STILL}")
    return Lifted(graph, exactness)
