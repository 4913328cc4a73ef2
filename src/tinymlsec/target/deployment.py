"""The deployment profile: the product around the model, as its owner describes it in TOML.

A chip can lock its debug port; only the product's owner knows whether it is locked. Scoring reads these facts together
with the device's (`tinymlsec.target.device`), and the report prints those that were not given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from tinymlsec.errors import DeploymentError
from tinymlsec.records import Record
from tinymlsec.target.deployment_sections import (
    Access,
    Assets,
    Boot,
    Debug,
    Inference,
    Interfaces,
    Isolation,
    Keys,
    Limits,
    Model,
    Product,
    Sensor,
    Supply,
    Update,
)
from tinymlsec.target.toml_file import parse, read_text, validate

_NOT_FACTS = frozenset({"product.name", "product.description"})


class Deployment(Record):
    """A product's deployment; `Deployment()` is one of which nothing is known."""

    product: Product = Field(default_factory=Product)
    """What is assessed."""
    access: Access = Field(default_factory=Access)
    """Who can come how close."""
    interfaces: Interfaces = Field(default_factory=Interfaces)
    """What goes in and out."""
    update: Update = Field(default_factory=Update)
    """How firmware and model are replaced."""
    debug: Debug = Field(default_factory=Debug)
    """State of the developers' doors."""
    boot: Boot = Field(default_factory=Boot)
    """What is checked before the firmware runs."""
    model: Model = Field(default_factory=Model)
    """Origin and storage of the model."""
    inference: Inference = Field(default_factory=Inference)
    """Protections while the model runs."""
    keys: Keys = Field(default_factory=Keys)
    """Secrets in the device."""
    isolation: Isolation = Field(default_factory=Isolation)
    """Walls inside of the firmware."""
    supply: Supply = Field(default_factory=Supply)
    """Origin of parts and software."""
    assets: Assets = Field(default_factory=Assets)
    """What is worth protecting."""
    limits: Limits = Field(default_factory=Limits)
    """What a defense may cost."""
    sensor: Sensor = Field(default_factory=Sensor)
    """Physical meaning of inputs and outputs."""

    def facts(self) -> Iterator[tuple[str, Any, Any]]:
        """Every field as (dotted name, value, default), in the order of the profile."""
        for section_name in type(self).model_fields:
            section = getattr(self, section_name)
            for name, field in type(section).model_fields.items():
                yield f"{section_name}.{name}", getattr(section, name), field.default

    def fact(self, name: str) -> Any:
        """The value of one field by its dotted name, such as ``debug.port``.

        Raises:
            DeploymentError: there is no such field.
        """
        section, _, key = name.partition(".")
        table = getattr(self, section, None) if section in type(self).model_fields else None
        if table is None or key not in type(table).model_fields:
            raise DeploymentError(f"the deployment profile has no field {name!r}", expected="section.key")
        return getattr(table, key)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Dotted names of the facts nobody gave: they are at their default, which means "not known"."""
        return tuple(name for name, value, default in self.facts() if value == default and name not in _NOT_FACTS)


def load_deployment(path: str | Path) -> Deployment:
    """Reads a deployment profile.

    Raises:
        DeploymentError: the file cannot be read, is not TOML, or has an unknown key or a wrong value; the message
            names file, line, key and what was expected.
    """
    path = Path(path)
    text = read_text(path, DeploymentError, "write one with `tinymlsec init`")
    return validate(Deployment, parse(text, path, DeploymentError), path, text, DeploymentError)
