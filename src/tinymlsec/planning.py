"""What will be run, and what cannot be: units of work with keys, and skips with reasons."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tinymlsec import __version__
from tinymlsec.errors import UsageError
from tinymlsec.registry import Attack, AttackConfig, EffortLevel, Registry
from tinymlsec.store import digest_of
from tinymlsec.target.target import Target

EXTRA_MODULES: dict[str, str] = {
    "lift": "torch",
    "litert": "ai_edge_litert",
    "firmware": "unicorn",
    "sidechannel": "zarr",
}
"""Extra -> a module that shows that it is installed."""


@dataclass(frozen=True)
class Unit:
    """One attack with its configuration on one target."""

    attack: Attack[Any]
    config: AttackConfig
    key: str
    skip: str | None
    """Why it cannot run, or None."""


def unit_key(target_digest: str, attack: str, config: Mapping[str, Any], seed: int) -> str:
    """The key of a unit of work: target, attack, config, seed and tool version."""
    return digest_of([target_digest, attack, dict(config), seed, __version__])


def unit_seed(seed: int, attack: str) -> list[int]:
    """Seed material of one attack, so that its draws do not depend on what else runs."""
    return [seed, int.from_bytes(hashlib.sha256(attack.encode()).digest()[:8], "big")]


def why_not(attack: Attack[Any], target: Target) -> str | None:
    """The reason this attack cannot run on this target, or None."""
    missing = sorted(attack.needs - target.capabilities)
    if missing:
        return "; ".join(f"needs {capability.value}: {target.why_missing(capability)}" for capability in missing)
    if attack.tasks and target.task is not None:
        if target.task.kind.value not in attack.tasks:
            meaning = target.task.meaning.success
            return f"has no meaning for a {target.task.kind.value} task ({target.task.source}): {meaning}"
        if not target.task.decides:
            return (
                f"a {target.task.kind.value} task without a threshold takes no decision that could be wrong; "
                "state sensor.threshold in the deployment profile or threshold in the data file"
            )
    absent = [extra for extra in attack.extras if not find_spec(EXTRA_MODULES.get(extra, extra))]
    if absent:
        return f"needs tinymlsec[{','.join(absent)}]: pip install 'tinymlsec[{','.join(absent)}]'"
    return None


def parse_overrides(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Single configuration values from the command line.

    Args:
        settings: each ``ATTACK.FIELD=VALUE``; a comma makes a list of numbers.

    Raises:
        UsageError: a setting of another form.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        attack, dot, field = name.partition(".")
        if not (equals and dot and attack and field and text):
            raise UsageError("a setting cannot be read", found=setting, expected="ATTACK.FIELD=VALUE",
                             next_step="for example --set square.samples=30")  # fmt: skip
        overrides.setdefault(attack.strip(), {})[field.strip()] = _value(text.strip())
    return overrides


def _value(text: str) -> Any:
    if "," in text:
        return tuple(_value(part.strip()) for part in text.split(",") if part.strip())
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def plan(
    registry: Registry,
    target: Target,
    *,
    effort: EffortLevel,
    seed: int,
    only: Iterable[str] = (),
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Unit]:
    """The units of an assessment, those that must be skipped included.

    Raises:
        UsageError: an unknown name in `only` or `overrides`, or a value an attack does not accept.
    """
    settings = dict(overrides or {})
    unknown = sorted(settings.keys() - registry.attacks.keys())
    if unknown:
        raise UsageError("--set names no attack", found=", ".join(unknown), next_step="see: tinymlsec list attacks")
    units = []
    for attack in registry.select(only):
        config = attack.configure(effort, settings.get(attack.id))
        key = unit_key(target.digest, attack.id, config.model_dump(mode="json"), seed)
        units.append(Unit(attack, config, key, why_not(attack, target)))
    return units
