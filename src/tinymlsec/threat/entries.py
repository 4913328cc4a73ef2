"""What a threat class is made of: the schema of the files in `catalog/`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tinymlsec.records import AttackId, Equipment, Expertise, Knowledge, Record, ThreatId
from tinymlsec.target.device_facts import DeviceClass

Text = Annotated[str, StringConstraints(min_length=3, max_length=600)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
AtlasId = Annotated[str, StringConstraints(pattern=r"^AML\.T[0-9]{4}(\.[0-9]{3})?$")]
CweId = Annotated[str, StringConstraints(pattern=r"^CWE-[1-9][0-9]{0,4}$")]
LayerId = Literal["hardware", "software", "model"]
Position = Literal["P0", "P1", "P2", "R1", "R2", "R3", "R4", "L1"]
Asset = Literal[
    "weights", "architecture", "thresholds", "inputs", "outputs", "keys", "training_data", "update_channel", "energy",
    "service", "actuation",
]  # fmt: skip
Mark = Literal["found", "gk"]
"""found: read at a public source, mostly its abstract; gk: general knowledge of the authors, not checked."""


class ElapsedTime(StrEnum):
    """Time to identify and exploit, in the steps of the CEM."""

    DAY = "1d"
    WEEK = "1w"
    TWO_WEEKS = "2w"
    MONTH = "1m"
    TWO_MONTHS = "2m"
    THREE_MONTHS = "3m"
    FOUR_MONTHS = "4m"
    FIVE_MONTHS = "5m"
    SIX_MONTHS = "6m"
    LONGER = "longer"


class Window(StrEnum):
    """Window of opportunity, in the steps of the CEM: how long and on how many samples the attacker needs access."""

    UNLIMITED = "unlimited"
    EASY = "easy"
    MODERATE = "moderate"
    DIFFICULT = "difficult"


class Sourced(Record):
    """A statement with its source and how sure we are of it."""

    text: Text
    source: Text
    mark: Mark


class Defense(Record):
    """What helps, and what it costs. Ids are stable: evaluations and plans refer to them."""

    id: Slug
    title: Text
    kind: Literal["model", "firmware", "platform", "process"]
    """Where it is applied: to the weights, the code, the chip and board, or the way the product is made."""
    costs: tuple[Sourced, ...] = Field(min_length=1)

    @property
    def cost(self) -> str:
        """All cost statements as one text."""
        return " ".join(item.text for item in self.costs)

    @property
    def source(self) -> str:
        """The sources of the cost statements."""
        return "; ".join(dict.fromkeys(item.source for item in self.costs))

    @property
    def mark(self) -> Mark:
        """The weakest mark among the cost statements."""
        return "gk" if any(item.mark == "gk" for item in self.costs) else "found"


class Layer(Record):
    """One of the three layers of the survey."""

    id: LayerId
    title: Text
    text: Text


class Group(Record):
    """One of eleven groups: our reconstruction of the survey's eleven classes."""

    number: int = Field(ge=1, le=11)
    layer: LayerId
    title: Text
    text: Text


class AssetInfo(Record):
    """A kind of asset, and the entries of a profile's [assets] whose worth counts for it."""

    title: Text
    profile: tuple[str, ...] = Field(min_length=1)


class AssetsAtStake(Record):
    """What the threat touches, by the property that is lost."""

    confidentiality: tuple[Asset, ...] = ()
    integrity: tuple[Asset, ...] = ()
    availability: tuple[Asset, ...] = ()

    @property
    def all(self) -> tuple[Asset, ...]:
        """Every asset once, in the order of the file."""
        return tuple(dict.fromkeys((*self.confidentiality, *self.integrity, *self.availability)))


class Estimate(Record):
    """Declared attack potential of the class, used until evidence says what the attack cost."""

    time: ElapsedTime
    expertise: Expertise
    knowledge: Knowledge
    window: Window
    equipment: Equipment
    reason: Text
    mark: Literal["declared: our estimate"] = "declared: our estimate"


class Vectors(Record):
    """Base vectors of one device class; never edited by facts or evidence."""

    v31: Annotated[str, StringConstraints(pattern=r"^CVSS:3\.1/AV:[NALP]/")]
    v40: Annotated[str, StringConstraints(pattern=r"^CVSS:4\.0/AV:[NALP]/")]
    why: Text
    """Why this class has this vector."""


class Threat(Record):
    """One of the 41 threat classes."""

    id: ThreatId
    layer: LayerId
    group: int = Field(ge=1, le=11)
    title: Text
    known_as: Text
    """The name of the class in our notes on the literature."""
    access: Text
    """What the attacker must reach."""
    exploits: Text
    """What makes it possible on such devices."""
    consequence: Text
    """What it means for the owner of the product."""
    positions: tuple[Position, ...] = Field(min_length=1)
    assets: AssetsAtStake
    atlas: tuple[AtlasId, ...] = Field(min_length=1)
    cwe: tuple[CweId, ...] = Field(min_length=1)
    required_attacks: tuple[AttackId, ...] = Field(min_length=1)
    """Attacks that all must have run and failed before the threat counts as resisted; some are not written yet."""
    defenses: tuple[Slug, ...] = Field(min_length=1)
    evidence: tuple[Sourced, ...] = Field(min_length=1)
    """What has been published about it."""
    estimate: Estimate
    vectors: dict[DeviceClass, Vectors] = Field(min_length=1)

    @model_validator(mode="after")
    def _lists_hold_each_entry_once(self) -> Threat:
        for name in ("positions", "atlas", "cwe", "required_attacks", "defenses"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{self.id}: {name} names something twice")
        if not self.assets.all:
            raise ValueError(f"{self.id}: no asset is at stake")
        return self
