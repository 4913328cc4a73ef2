from __future__ import annotations

import re
import time
from collections import Counter

import pytest
from pydantic import ValidationError

from tinymlsec.errors import InputError
from tinymlsec.target.deployment import Deployment
from tinymlsec.threat.catalog import Catalog, load_catalog
from tinymlsec.threat.entries import Threat

CATALOG = load_catalog()
THREATS = tuple(CATALOG.threats.values())

GROUPS = {
    1: "H1 H2 H3 H4 H5", 2: "H6 H7 H8 H14", 3: "H9 H10 H11 H12 H13", 4: "S1 S2 S3 S13", 5: "S4 S5 S6 S7 S12 S14",
    6: "S8 S9", 7: "S10 S11", 8: "M1 M2 M3", 9: "M4 M5", 10: "M9 M10 M11 M12", 11: "M6 M7 M8 M13",
}  # fmt: skip


def test_41_classes_in_order() -> None:
    expected = [f"{layer}{k}" for layer, last in (("H", 14), ("S", 14), ("M", 13)) for k in range(1, last + 1)]
    assert list(CATALOG.threats) == expected


def test_three_layers_and_eleven_groups() -> None:
    assert list(CATALOG.layers) == ["hardware", "software", "model"]
    assert [group.number for group in CATALOG.groups] == list(range(1, 12))


@pytest.mark.parametrize(("number", "members"), GROUPS.items())
def test_groups_hold_their_classes(number: int, members: str) -> None:
    assert [threat.id for threat in CATALOG.in_group(number)] == members.split()


def test_layer_letter_and_group_agree() -> None:
    names = {"H": "hardware", "S": "software", "M": "model"}
    for threat in THREATS:
        assert threat.layer == names[threat.id[0]] == CATALOG.group(threat.group).layer


def test_four_classes_have_no_vector_for_iot() -> None:
    assert [threat.id for threat in THREATS if "IoT" not in threat.vectors] == ["H7", "S3", "M12", "M13"]
    assert all({"TinyML", "EdgeML"} <= set(threat.vectors) for threat in THREATS)


def test_required_attacks_that_the_contract_names() -> None:
    required = {threat.id: threat.required_attacks for threat in THREATS}
    assert required["H8"] == ("progressive-bit-search",)
    assert required["M1"] == ("pgd",)
    assert required["M2"] == ("square", "hopskipjump")
    assert "static-extraction" in required["M5"]
    assert not any("random-bit-flips" in attacks for attacks in required.values())


def test_required_attacks_speak_to_the_threat_they_are_required_for() -> None:
    """An attack that exists must name every threat that waits for it, or that threat could never be resisted."""
    from tinymlsec.registry import discover

    known = {spec.id: set(spec.threats) for spec in discover().attacks.values()}
    silent = [(t.id, name) for t in THREATS for name in t.required_attacks if t.id not in known.get(name, {t.id})]
    assert silent == []


def test_defense_texts_are_unique_and_all_are_used() -> None:
    titles = Counter(one.title for one in CATALOG.defenses.values())
    costs = Counter(one.cost for one in CATALOG.defenses.values() if len(one.cost) > 30)
    assert [text for counter in (titles, costs) for text, count in counter.items() if count > 1] == []
    assert [name for name in CATALOG.defenses if not CATALOG.helped_by(name)] == []


def test_a_defense_carries_its_weakest_mark() -> None:
    marks = {name: CATALOG.defense(name).mark for name in ("weight-signatures", "signed-updates", "shadow-stack")}
    assert marks == {"weight-signatures": "found", "signed-updates": "found", "shadow-stack": "gk"}


def test_ids_are_well_formed() -> None:
    for threat in THREATS:
        assert all(re.fullmatch(r"CWE-\d{2,4}", cwe) for cwe in threat.cwe)
        assert all(re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", atlas) for atlas in threat.atlas)
        assert all(threat.required_attacks)
        assert set(threat.positions) <= set(CATALOG.positions)


def test_assets_map_to_fields_of_the_profile() -> None:
    known = {name for name, _, _ in Deployment().facts()}
    named = {f"assets.{entry}" for info in CATALOG.assets.values() for entry in info.profile}
    assert named <= known
    assert {name for name in known if name.startswith("assets.")} == named
    assert {asset for threat in THREATS for asset in threat.assets.all} <= set(CATALOG.assets)


def test_assets_fit_the_impact_of_every_base_vector() -> None:
    for threat in THREATS:
        for name, letter in (("confidentiality", "C"), ("integrity", "I"), ("availability", "A")):
            touched = any(f"/{letter}:N" not in vectors.v31 for vectors in threat.vectors.values())
            assert touched == bool(getattr(threat.assets, name)), (threat.id, name)


def test_loads_in_60_ms() -> None:
    times = []
    for _ in range(5):
        load_catalog.cache_clear()
        start = time.process_time()
        load_catalog()
        times.append(time.process_time() - start)
    assert min(times) < 0.06


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cwe": ["787"]}, "cwe"),
        ({"atlas": ["T0041"]}, "atlas"),
        ({"required_attacks": []}, "required_attacks"),
        ({"defenses": []}, "defenses"),
        ({"cwe": ["CWE-20", "CWE-20"]}, "twice"),
        ({"assets": {}}, "no asset"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_class_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Threat.model_validate({**CATALOG.threat("H9").model_dump(), **change})


@pytest.mark.parametrize("change", [{"defenses": ["no-such-defense"]}, {"group": 8}, {"id": "H2"}])
def test_a_class_that_refers_to_nothing_is_refused(change: dict[str, object]) -> None:
    data = CATALOG.model_dump()
    data["threats"]["H9"] |= change
    with pytest.raises(ValidationError, match="H9"):
        Catalog.model_validate(data)


def test_look_up_by_id() -> None:
    assert CATALOG.threat("h9").id == "H9"
    with pytest.raises(InputError, match="H15"):
        CATALOG.threat("H15")
    with pytest.raises(InputError, match="did you mean 'weight-crc'"):
        CATALOG.defense("weight-crcs")
