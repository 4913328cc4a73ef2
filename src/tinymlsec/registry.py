"""Attacks declare themselves; this module finds them.

An attack file holds one function under the decorator `attack`. The decorator turns the function into an `Attack`: what
it is, what it needs, and how to run it. Discovery looks for such objects in the modules of `tinymlsec.attacks` and in
those that other packages name under the entry point group ``tinymlsec.attacks``; there is no global table to keep.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from tinymlsec.capabilities import Capability
from tinymlsec.errors import PluginError, UsageError
from tinymlsec.records import Record

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

ENTRY_POINT_GROUP = "tinymlsec.attacks"
_ID = re.compile(r"^[a-z][a-z0-9-]{1,63}$")
_THREAT = re.compile(r"^[HSM][0-9]{1,2}$")


class Position(StrEnum):
    """Where the attacker stands."""

    LAB = "lab"
    """P0: invasive laboratory."""
    PHYSICAL = "physical"
    """P1: touches the board."""
    PROXIMITY = "proximity"
    """P2: within reach of emissions or sensors."""
    ADJACENT = "adjacent"
    """R1: within radio range."""
    NETWORK = "network"
    """R2: anywhere on the network."""
    SUPPLY_CHAIN = "supply_chain"
    """R3, R4: update server, supplier, training pipeline."""
    LOCAL = "local"
    """L1: code on the same device."""


class EffortLevel(StrEnum):
    """How much work the assessment may spend; sizes are in each attack's presets."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


class AttackConfig(Record):
    """Base of all attack configurations: counted work and parameters, each with a docstring under it."""


ConfigT = TypeVar("ConfigT", bound=AttackConfig)
Preset = Mapping[str, Any]


@dataclass(frozen=True)
class Attack(Generic[ConfigT]):
    """A declared attack. Calling it runs it."""

    id: str
    title: str
    family: str
    threats: tuple[str, ...]
    needs: frozenset[Capability]
    position: Position
    controls: tuple[str, ...]
    source: str
    tasks: frozenset[str]
    """Tasks for which the attack has a meaning (names of tinymlsec.target.task.TaskKind); empty means all."""
    config: type[ConfigT]
    presets: Mapping[EffortLevel, Preset]
    run: Callable[[Target, ConfigT, Context], Observation]
    doc: str
    """The documentation page (the function's docstring)."""
    module: str
    extras: tuple[str, ...] = ()
    """Optional extras it cannot run without."""
    provider: str = field(default="tinymlsec", compare=False)
    """Package that brought it."""

    def __call__(self, target: Target, config: ConfigT, context: Context) -> Observation:
        """Run the attack.

        Args:
            target: what is attacked; offers at least the capabilities in `needs`.
            config: counted work and parameters.
            context: randomness, progress, artifacts and helper victims.
        """
        return self.run(target, config, context)

    def configure(self, effort: EffortLevel, overrides: Mapping[str, Any] | None = None) -> ConfigT:
        """The configuration of an effort level, with single values replaced.

        Raises:
            UsageError: an override that the configuration does not know or accept.
        """
        try:
            return self.config.model_validate({**self.presets[effort], **(overrides or {})})
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                f"attack {self.id} does not accept this configuration",
                found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                expected=", ".join(self.config.model_fields),
                next_step=f"see: tinymlsec explain {self.id}",
            ) from error


def attack(
    *,
    id: str,  # noqa: A002 - the field's name everywhere in records and on the command line
    title: str,
    family: str,
    threats: tuple[str, ...],
    needs: Iterable[Capability],
    position: Position,
    controls: tuple[str, ...],
    source: str,
    config: type[ConfigT],
    presets: Mapping[EffortLevel, Preset],
    tasks: Iterable[str] = (),
    extras: tuple[str, ...] = (),
) -> Callable[[Callable[[Target, ConfigT, Context], Observation]], Attack[ConfigT]]:
    """Declare a function as an attack.

    Args:
        id: stable name in kebab case.
        title: what a report calls it.
        family: folder it belongs to (evasion, extraction, fault, ...).
        threats: ids of the threat classes that its evidence speaks to.
        needs: capabilities without which it is skipped.
        position: where the attacker stands.
        controls: names of the twins it runs on itself; empty only for purely static attacks.
        source: author, title, venue, year of the method.
        config: its configuration model.
        presets: configuration values of each effort level.
        tasks: tasks for which it has a meaning; empty means all.
        extras: optional extras it cannot run without.

    Raises:
        PluginError: the declaration breaks the contract.
    """

    def declare(function: Callable[[Target, ConfigT, Context], Observation]) -> Attack[ConfigT]:
        spec = Attack(
            id=id,
            title=title,
            family=family,
            threats=threats,
            needs=frozenset(needs),
            position=position,
            controls=controls,
            source=source,
            tasks=frozenset(tasks),
            config=config,
            presets=presets,
            run=function,
            doc=(function.__doc__ or "").strip(),
            module=function.__module__,
            extras=extras,
        )
        _check(spec)
        return spec

    return declare


def _check(spec: Attack[Any]) -> None:
    problems = [
        (not _ID.match(spec.id), f"id {spec.id!r} is not kebab case"),
        (not spec.title, "it has no title"),
        (not spec.threats or not all(_THREAT.match(t) for t in spec.threats), f"threats {spec.threats!r}"),
        (not spec.doc, "the function has no docstring, which is its documentation page"),
        (not spec.source, "it names no source"),
        (set(spec.presets) != set(EffortLevel), "presets must cover quick, standard and thorough"),
    ]
    wrong = [text for bad, text in problems if bad]
    if wrong:
        raise PluginError(f"the attack declared in {spec.module} breaks the contract", found="; ".join(wrong))
    for level in EffortLevel:
        spec.configure(level)


@dataclass(frozen=True)
class Registry:
    """All attacks that were found, and what could not be loaded."""

    attacks: Mapping[str, Attack[Any]]
    problems: tuple[str, ...] = ()
    """Plug-ins that could not be loaded, for `doctor` and the report; never fatal."""

    def select(self, only: Iterable[str] = ()) -> list[Attack[Any]]:
        """The attacks of the given ids (all without), in a stable order.

        Args:
            only: attack ids, families or threat ids.

        Raises:
            UsageError: a name that nothing answers to.
        """
        wanted = list(only)
        chosen = {
            spec.id: spec
            for name in wanted
            for spec in self.attacks.values()
            if name in (spec.id, spec.family) or name in spec.threats
        }
        unknown = [n for n in wanted if not any(n in (s.id, s.family) or n in s.threats for s in self.attacks.values())]
        if unknown:
            raise UsageError(
                "nothing to run under that name",
                found=", ".join(unknown),
                expected="attack ids, families or threat ids",
                next_step="see: tinymlsec list attacks",
            )
        return list(chosen.values()) if wanted else list(self.attacks.values())


def _specs_in(module: ModuleType) -> Iterator[Attack[Any]]:
    for value in vars(module).values():
        if isinstance(value, Attack) and value.module == module.__name__:
            yield value


def _builtin_modules() -> Iterator[ModuleType]:
    package = importlib.import_module("tinymlsec.attacks")
    for info in pkgutil.walk_packages(package.__path__, "tinymlsec.attacks."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(info.name)


def _plugin(point: EntryPoint) -> list[Attack[Any]]:
    loaded = point.load()
    found = (
        [loaded] if isinstance(loaded, Attack) else list(_specs_in(loaded)) if isinstance(loaded, ModuleType) else []
    )
    if not found:
        raise PluginError(
            f"entry point {point.name} ({point.value}) brings no attack",
            expected="a module with a function under @attack, or the attack itself",
        )
    provider = point.dist.name if point.dist else point.value.partition(":")[0]
    return [replace(spec, provider=provider) for spec in found]


def discover() -> Registry:
    """Find the built-in attacks and those of installed plug-ins.

    A plug-in that cannot be loaded, or that takes a name already in use, is reported and left out: somebody else's
    mistake must not stop an assessment.
    """
    found = {spec.id: spec for module in _builtin_modules() for spec in _specs_in(module)}
    problems: list[str] = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        try:
            for spec in _plugin(point):
                if spec.id in found:
                    raise PluginError(f"attack id {spec.id} is taken", found=point.value)
                found[spec.id] = spec
        except (Exception, SystemExit) as error:
            problems.append(f"plug-in {point.name} ({point.value}): {type(error).__name__}: {error}")
    return Registry(attacks=dict(sorted(found.items(), key=lambda kv: (kv[1].family, kv[0]))), problems=tuple(problems))
