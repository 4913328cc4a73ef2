"""What rules look at. Subjects are made once a file; what is costly is worked out once, when the first rule asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinymlsec.errors import ModelFileError
    from tinymlsec.rules._components import Component
    from tinymlsec.rules._image_places import Texts
    from tinymlsec.rules._memory_facts import MemoryFacts
    from tinymlsec.rules.runtime import Runtime
    from tinymlsec.target.deployment import Deployment
    from tinymlsec.target.device import Device
    from tinymlsec.target.firmware.carve.carve import Carved
    from tinymlsec.target.firmware.carve.located import Located
    from tinymlsec.target.firmware.image import FirmwareImage
    from tinymlsec.target.tflite.graph import Model
    from tinymlsec.target.tflite.shapes import OperatorShapes


@dataclass
class ModelFile:
    """A .tflite file, readable or not."""

    name: str
    """For messages."""
    data: bytes | memoryview
    """The whole file."""
    model: Model | None
    """None where the reader refused it; then only rules of the STRUCT and IDX families have something to say."""
    damage: ModelFileError | None = None
    """Why the reader refused it; `damage.rule` is the id of the rule that this breaks."""
    runtime: Runtime | None = None
    """The table of the runtime that findings are relative to; None: nothing is known to be guarded."""
    device: Device | None = None
    """The device that findings are relative to, if one was named."""
    linked: frozenset[str] | None = None
    """Operators that the firmware's resolver holds, where that is known."""
    noted: set[tuple[int, int]] = field(default_factory=set)
    """(subgraph, operator) pairs that an earlier family has a finding for. Families run in the order of `FAMILIES`;
    a later one does not repeat in other words what follows from a fault already named (a stride of zero has no output
    shape to compare)."""
    memo: dict[str, Any] = field(default_factory=dict)
    """What rules of one family work out together, by a name of theirs."""

    @cached_property
    def shapes(self) -> tuple[OperatorShapes, ...]:
        """Shape inference of every operator of every subgraph; empty without a model."""
        from tinymlsec.target.tflite.shapes import infer_model

        return () if self.model is None else tuple(infer_model(self.model))


@dataclass
class ImageFile:
    """A firmware image of any kind, with what is known besides."""

    name: str
    data: bytes
    """The file as it lies on disk."""
    image: FirmwareImage
    """The same as memory: segments with addresses, symbols where the file has them."""
    device: Device | None = None
    models: tuple[bytes, ...] = ()
    """Model files (bytes) that were carved from it or given beside it, to be looked for in other forms."""
    seconds: float = 1.0
    """CPU time for carving; what it does not reach is in `carved.skipped`."""

    @cached_property
    def carved(self) -> Carved:
        """Models in the image, plain, under keys, compressed; and the map of its entropy."""
        from tinymlsec.target.firmware.carve.carve import carve_image

        return carve_image(self.image, self.data, self.seconds)

    @cached_property
    def located(self) -> tuple[Located, ...]:
        """What lies in the image of `models` that it does not hold as files; `models` must be set before."""
        from tinymlsec.target.firmware.carve.compiled import locate_models

        return tuple(locate_models(self.carved, self.models))

    @cached_property
    def memory(self) -> MemoryFacts:
        """Facts about stacks, regions, worlds and privileges; the code is looked at once."""
        from tinymlsec.rules._memory_facts import memory_facts

        return memory_facts(self.image, self.names)

    @cached_property
    def names(self) -> frozenset[str]:
        """Short names of all symbols."""
        from tinymlsec.rules._memory_facts import names_of

        return names_of(self.image)

    @cached_property
    def texts(self) -> Texts:
        """Printable texts of the stored bytes."""
        from tinymlsec.rules._image_places import Texts

        return Texts(self.image)

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Software that the image holds, with versions where they are told."""
        from tinymlsec.rules._components import components_of

        return components_of(self)


@dataclass
class ProductFacts:
    """Device and deployment, and what was seen in the image."""

    facts: Mapping[str, str]
    """Fact name -> value, as `threat.facts.collect_facts` makes them."""
    device: Device | None = None
    deployment: Deployment | None = None
    seen: Mapping[str, str] = field(default_factory=dict)
    """What a scan of the image saw, by fact name, such as ``image.debug_strings``."""
    asked: dict[str, str] = field(default_factory=dict)
    """Facts that rules asked for, with the answer; filled while rules run, to name what is unknown."""


FAMILIES = ("STRUCT", "IDX", "FLOW", "OPT", "QUANT", "SHAPE", "RES", "RUN", "PROV", "WEIGHT")
"""Order in which families of model rules run; others follow in the order of their ids."""
