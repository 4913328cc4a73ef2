"""The target: everything the user gave, and what it can offer to attacks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymlsec.capabilities import HOW_TO_SUPPLY, Capability
from tinymlsec.exactness import Exactness
from tinymlsec.lift.coverage import obstacle
from tinymlsec.target.data import Dataset
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.device import Device
from tinymlsec.target.space import InputSpace
from tinymlsec.target.task import Task
from tinymlsec.target.tflite.graph import Model
from tinymlsec.target.victim import Scores, Victim

if TYPE_CHECKING:
    from tinymlsec.emulate.twin import Twin
    from tinymlsec.lift.graph import LiftedGraph
    from tinymlsec.lift.lifted import Lifted
    from tinymlsec.target.given_image import GivenImage
    from tinymlsec.target.given_traces import GivenTraces

LIFTED = (Capability.GRADIENTS, Capability.LOGITS)
"""What the lifted graph offers."""
MAX_CLEAN_SAMPLES = 1000
"""Clean accuracy is measured on at most so many samples."""


@dataclass(frozen=True, eq=False)
class Target:
    """What is assessed. Any subset of the parts will do."""

    name: str
    data: bytes = b""
    """Bytes of the model file; empty without a model."""
    model: Model | None = None
    space: InputSpace | None = None
    task: Task | None = None
    victim: Victim | None = None
    """Present where the runtime runs the model."""
    dataset: Dataset | None = None
    device: Device | None = None
    deployment: Deployment | None = None
    traces: GivenTraces | None = None
    """Traces of the device that the user gave."""
    image: GivenImage | None = None
    """The firmware image that the user gave."""
    obstacles: dict[Capability, str] = field(default_factory=dict)
    """Why a capability is missing although the user gave what it is made from."""

    @cached_property
    def capabilities(self) -> frozenset[Capability]:
        """What attacks may ask of this target."""
        present = {
            Capability.MODEL: self.model is not None,
            Capability.LABELS: self.victim is not None,
            Capability.SCORES: self.victim is not None,
            Capability.DATA: self.dataset is not None and self.victim is not None,
            Capability.TRAINING_DATA: self.dataset is not None and self.dataset.training is not None,
            Capability.DEVICE: self.device is not None,
            Capability.DEPLOYMENT: self.deployment is not None,
            Capability.TRACES: self.traces is not None,
            Capability.IMAGE: self.image is not None,
            Capability.ELF_SYMBOLS: self.image is not None and not self.image.image.stripped,
            Capability.FIRMWARE: self.model is not None and self._firmware_obstacle is None,
            **dict.fromkeys(LIFTED, self.victim is not None and obstacle(self.victim.model) is None),
        }
        return frozenset(capability for capability, there in present.items() if there)

    def why_missing(self, capability: Capability) -> str:
        """The reason a capability is missing, and how to supply it."""
        if capability in LIFTED and self.victim is not None:
            return obstacle(self.victim.model) or HOW_TO_SUPPLY[capability]
        if capability is Capability.FIRMWARE and self.model is not None:
            return self._firmware_obstacle or HOW_TO_SUPPLY[capability]
        return self.obstacles.get(capability, HOW_TO_SUPPLY[capability])

    @cached_property
    def _firmware_obstacle(self) -> str | None:
        from tinymlsec.emulate.coverage import firmware_obstacle

        assert self.model is not None
        return firmware_obstacle(self.model, self.device)

    def twin(self, style: str = "plain") -> Twin:
        """The model as firmware for the device's core: generated and built at the first call.

        Args:
            style: inner loops of the kernels.

        Raises:
            CapabilityMissing: there is no engine for the device, no C for the model, or it does not fit; says which.
        """
        from tinymlsec.emulate.twin import twin_for

        twins: dict[str, Twin] = self.__dict__.setdefault("_twins", {})
        if style not in twins:
            twins[style] = twin_for(self.model, self.device, style)
        return twins[style]

    @cached_property
    def model_digest(self) -> str:
        """SHA-256 of the model file; of no bytes without a model."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over model, data, device, deployment, traces and firmware image, as they are used."""
        parts: dict[str, object] = {
            "model": self.model_digest,
            "data": self.dataset.digest if self.dataset else None,
            "space": repr(self.space),
            "task": repr(self.task),
            "device": self.device.model_dump(mode="json") if self.device else None,
            "deployment": self.deployment.model_dump(mode="json") if self.deployment else None,
        }
        if self.traces is not None:
            parts["traces"] = [self.traces.digest, self.traces.window]
        if self.image is not None:
            parts["image"] = [self.image.digest, [(s.address, len(s.data)) for s in self.image.image.segments]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def require_traces(self) -> GivenTraces:
        """The traces that were given; the planner has checked that they are there."""
        if self.traces is None:
            raise ValueError("this target has no traces")
        return self.traces

    def require_image(self) -> GivenImage:
        """The firmware image that was given; the planner has checked that it is there."""
        if self.image is None:
            raise ValueError("this target has no firmware image")
        return self.image

    def require_victim(self) -> Victim:
        """The runnable model; the planner has checked that it is there."""
        if self.victim is None:
            raise ValueError("this target has no runnable model")
        return self.victim

    @property
    def exactness(self) -> Exactness | None:
        """How the lifted graph compares with the runtime; None as long as nobody has asked for the graph."""
        made: tuple[LiftedGraph | None, Exactness] | None = self.__dict__.get("_lift")
        return None if made is None else made[1]

    @property
    def lifted(self) -> Lifted:
        """The lifted graph with the proof that it gives the runtime's integers; made on first use.

        Raises:
            CapabilityMissing: it cannot be built, or differs from the runtime; names the first operator that does.
        """
        from tinymlsec.lift.lifted import accept

        return accept(*self._lift)

    @cached_property
    def _lift(self) -> tuple[LiftedGraph | None, Exactness]:
        from tinymlsec.lift.lifted import lifted_for

        return lifted_for(self.require_victim(), self.dataset)

    @cached_property
    def clean(self) -> CleanRun:
        """Scores and decisions on the first samples of the data, asked once."""
        if self.dataset is None:
            raise ValueError("this target has no data")
        return run_clean(self.require_victim(), self.dataset)


@dataclass(frozen=True, eq=False)
class CleanRun:
    """The unattacked model on the user's data."""

    scores: Scores
    """(n, classes) or (n, 1)."""
    decisions: NDArray[np.int64] | None
    """(n,), None where the task takes no decision."""
    labels: NDArray[np.int64] | None
    """(n,) as in the data file, None without."""
    n: int

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(n,) True where decision and label agree; all True without labels, when the model's own answer is meant."""
        if self.decisions is None or self.labels is None:
            return np.ones(self.n, dtype=bool)
        return np.equal(self.decisions, self.labels)

    @property
    def truth(self) -> NDArray[np.int64]:
        """(n,) labels, or the model's own decisions where there are none."""
        if self.labels is not None:
            return self.labels
        if self.decisions is None:
            raise ValueError("neither labels nor decisions")
        return self.decisions


def run_clean(victim: Victim, dataset: Dataset) -> CleanRun:
    """Ask the model for all samples up to `MAX_CLEAN_SAMPLES`."""
    n = min(dataset.n, MAX_CLEAN_SAMPLES)
    scores = victim.scores(dataset.x[:n])
    decisions = victim.decisions(scores) if victim.task.decides else None
    integer = dataset.y is not None and dataset.y.dtype.kind == "i"
    labels = dataset.y[:n].astype(np.int64) if integer and dataset.y is not None else None
    return CleanRun(scores, decisions, labels, n)
