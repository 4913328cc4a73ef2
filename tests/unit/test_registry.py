"""Declarations that break the contract are refused where they are made."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from tinymlsec import registry
from tinymlsec.capabilities import Capability
from tinymlsec.errors import PluginError, UsageError
from tinymlsec.registry import Attack, AttackConfig, EffortLevel, Position, attack, discover


class Config(AttackConfig):
    """Settings."""

    n: int = 1
    """Work."""


GOOD = {
    "id": "some-attack", "title": "t", "family": "evasion", "threats": ("M1",), "needs": {Capability.MODEL},
    "position": Position.NETWORK, "controls": ("c",), "source": "s", "config": Config,
    "presets": {key: {"n": 2} for key in EffortLevel},
}  # fmt: skip


def declare(**changes: object) -> Attack[Config]:
    def run(target, config, context):  # type: ignore[no-untyped-def]
        """The page."""

    return attack(**{**GOOD, **changes})(run)  # type: ignore[arg-type]


def test_a_good_declaration_passes() -> None:
    spec = declare()
    assert spec.configure(EffortLevel.QUICK).n == 2
    assert spec.configure(EffortLevel.QUICK, {"n": 7}).n == 7


@pytest.mark.parametrize(
    "changes",
    [{"id": "Not Kebab"}, {"threats": ()}, {"threats": ("X9",)}, {"title": ""}, {"source": ""},
     {"presets": {EffortLevel.QUICK: {}}}],
)  # fmt: skip
def test_bad_declarations_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(PluginError):
        declare(**changes)


def test_presets_must_fit_the_configuration() -> None:
    with pytest.raises(UsageError, match="does not accept"):
        declare(presets={key: {"typo": 2} for key in EffortLevel})


def test_unknown_names_are_told() -> None:
    with pytest.raises(UsageError, match="list attacks"):
        discover().select(["no-such-thing"])


def test_selection_by_id_family_and_threat() -> None:
    found = discover()
    assert [a.id for a in found.select(["square"])] == ["square"]
    assert "square" in [a.id for a in found.select(["evasion"])]
    assert "square" in [a.id for a in found.select(["M2"])]
    assert len(found.select()) == len(found.attacks)


def test_a_broken_plugin_is_reported_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "tinymlsec_no_such_package", registry.ENTRY_POINT_GROUP)
    empty = EntryPoint("empty", "json", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken, empty])
    found = discover()
    assert "square" in found.attacks
    assert len(found.problems) == 2
    assert any("brings no attack" in problem for problem in found.problems)
