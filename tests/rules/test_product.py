"""Product rules: each bad fact gives its rule and no other; what nobody gave gives none and is named."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tinymlsec.records import Severity
from tinymlsec.rules.discovery import rule_book
from tinymlsec.rules.rule import Subject
from tinymlsec.scan.product import ProductScan, product_findings, run_product_rules
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.device import load_device
from tinymlsec.threat.facts import DEPLOYMENT_FACTS, DEVICE_FACTS

GOOD: dict[str, str] = {name: values[0] for name, values in {**DEPLOYMENT_FACTS, **DEVICE_FACTS}.items()} | {
    "update.channel": "server", "interfaces.network_exposure": "internet", "access.lab_access": "yes",
    "access.physical": "public", "keys.storage": "secure_element", "debug.console": "closed",
    "keys.random_source": "trng", "supply.vulnerabilities_tracked": "yes",
}  # fmt: skip
"""Everything protected, and strangers all around."""


def scan(changes: Mapping[str, str], seen: Mapping[str, str] | None = None, device: str | None = None) -> ProductScan:
    told = GOOD | dict(changes)
    found = run_product_rules(told, load_device(device) if device else None, Deployment(), seen or {})
    assert found.failures == ()
    return found


CASES: dict[str, tuple[dict[str, str], Severity]] = {
    "UPD-01": ({"update.signed": "no"}, Severity.HIGH),
    "UPD-02": ({"update.model_separate": "yes", "update.model_signed": "no"}, Severity.HIGH),
    "UPD-03": ({"update.anti_rollback": "no"}, Severity.MEDIUM),
    "UPD-04": (
        {"update.public_download": "yes", "update.encrypted": "no", "model.encrypted_at_rest": "no"}, Severity.MEDIUM
    ),
    "UPD-05": ({"model.runtime": "interpreter", "model.file_validated": "no"}, Severity.MEDIUM),
    "BOOT-01": ({"boot.secure_boot": "off"}, Severity.HIGH),
    "BOOT-02": ({"boot.immutable_root": "no"}, Severity.HIGH),
    "BOOT-03": ({"boot.whole_image": "no"}, Severity.MEDIUM),
    "BOOT-04": ({"boot.fault_hardened": "no"}, Severity.LOW),
    "BOOT-05": ({"debug.bootloader": "open"}, Severity.HIGH),
    "BOOT-06": ({"bypass.secure_boot": "yes"}, Severity.MEDIUM),
    "BOOT-07": ({"model.integrity_checked": "never"}, Severity.MEDIUM),
    "LINK-01": ({"interfaces.link_encrypted": "no"}, Severity.HIGH),
    "LINK-02": ({"interfaces.link_authenticated": "no"}, Severity.HIGH),
    "LINK-03": ({"interfaces.replay_protected": "no"}, Severity.MEDIUM),
    "KEY-01": ({"keys.shared_fleet_key": "yes"}, Severity.HIGH),
    "KEY-02": ({"keys.default_credentials": "yes"}, Severity.CRITICAL),
    "KEY-03": ({"keys.storage": "plain_flash", "access.lab_access": "no"}, Severity.MEDIUM),
    "KEY-04": ({"keys.random_source": "software"}, Severity.MEDIUM),
    "SUPPLY-01": ({"supply.parts_verified": "no"}, Severity.MEDIUM),
    "SUPPLY-02": ({"supply.dependencies_pinned": "no"}, Severity.MEDIUM),
    "SUPPLY-03": ({"supply.vulnerabilities_tracked": "no"}, Severity.MEDIUM),
    "SUPPLY-04": ({"update.channel": "none"}, Severity.MEDIUM),
    "PHYS-01": ({"debug.port": "open"}, Severity.HIGH),
    "PHYS-02": ({"debug.readout_protection": "off"}, Severity.HIGH),
    "PHYS-03": ({"bypass.readout_protection": "yes"}, Severity.MEDIUM),
    "PHYS-04": ({"debug.console": "open"}, Severity.MEDIUM),
    "PHYS-05": ({"model.location": "external", "model.encrypted_at_rest": "no"}, Severity.HIGH),
    "PHYS-06": ({"model.location": "external", "model.integrity_checked": "boot"}, Severity.MEDIUM),
    "PHYS-08": ({"keys.storage": "protected"}, Severity.LOW),
    "RAM-01": ({"inference.memory_wiped": "no"}, Severity.MEDIUM),
    "ISO-01": ({"isolation.mpu_used": "no"}, Severity.MEDIUM),
    "ISO-02": ({"isolation.privilege_separation": "no"}, Severity.MEDIUM),
    "ISO-03": ({"isolation.stack_protection": "no"}, Severity.MEDIUM),
    "ISO-04": ({"isolation.no_execute_ram": "no"}, Severity.MEDIUM),
    "ISO-05": ({"isolation.dma_restricted": "no"}, Severity.MEDIUM),
    "ISO-06": ({"isolation.trustzone_used": "no"}, Severity.LOW),
}  # fmt: skip
"""Rule -> (what differs from the good profile, severity)."""
BESIDE = {"PHYS-06": {"BOOT-07"}}
"""What the same fact says to another rule as well: a check at boot only is low there."""
SEEN: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "KEY-05": ({}, {"image.secrets": "2"}),
    "PHYS-09": ({}, {"image.readout_protection": "off"}),
    "ISO-07": ({}, {"image.mpu": "no"}),
}
"""Rule -> (facts, what the image shows) where profile and image disagree."""


def test_the_good_profile_is_clean() -> None:
    assert scan({}).findings == ()
    assert scan({}).missing == ()


@pytest.mark.parametrize("rule_id", CASES)
def test_each_bad_fact_gives_its_rule_alone(rule_id: str) -> None:
    changes, severity = CASES[rule_id]
    found = scan(changes).findings
    assert {f.id for f in found} - BESIDE.get(rule_id, set()) == {rule_id}
    one = next(f for f in found if f.id == rule_id)
    assert one.severity is severity
    decided = [name for name in changes if name.partition(".")[0] != "bypass"]
    assert all(f"{name} = " in one.message for name in decided) or rule_id in (
        "BOOT-06",
        "PHYS-03",
        "KEY-03",
        "PHYS-08",
    )


@pytest.mark.parametrize("rule_id", SEEN)
def test_an_image_that_contradicts_the_profile(rule_id: str) -> None:
    changes, seen = SEEN[rule_id]
    assert {f.id for f in scan(changes, seen).findings} == {rule_id}
    assert scan(changes).findings == ()


def test_one_opened_unit_opens_all() -> None:
    found = scan({"keys.shared_fleet_key": "yes", "keys.storage": "protected"}).findings
    assert {f.id for f in found} == {"KEY-01", "PHYS-07"}


def test_every_product_rule_has_a_case() -> None:
    families = {"UPD", "BOOT", "LINK", "KEY", "SUPPLY", "PHYS", "RAM", "ISO"}
    ours = {rule.id for rule in rule_book().about(Subject.PRODUCT) if rule.family in families}
    assert ours == {*CASES, *SEEN, "PHYS-07"}


def test_what_nobody_gave_gives_no_finding_and_is_named() -> None:
    found = product_findings()
    assert found.findings == ()
    assert {"debug.port", "update.signed", "device.secure_boot"} <= set(found.missing)
    assert not any(name.startswith("bypass.") for name in found.missing)
    assert found.unknown["PHYS-01"] == ("debug.port",)
    advice = "\n".join(found.advice())
    assert "give debug.port in the deployment profile" in advice
    assert "name a device" in advice


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_single_missing_fact_never_makes_a_finding(name: str) -> None:
    if name.startswith("bypass."):
        return
    assert scan({name: "unknown"}).findings == ()


class TestSeverity:
    def test_updates_by_cable_are_less_grave(self) -> None:
        (found,) = scan({"update.signed": "no", "update.channel": "local"}).findings
        assert found.severity is Severity.MEDIUM

    def test_no_updates_no_signature_wanted(self) -> None:
        found = scan({"update.channel": "none", "update.signed": "no", "update.anti_rollback": "no"}).findings
        assert {f.id for f in found} == {"SUPPLY-04"}

    def test_a_product_without_a_link_needs_no_link_security(self) -> None:
        changes = dict.fromkeys(("interfaces.link_encrypted", "interfaces.link_authenticated"), "no")
        assert scan({**changes, "interfaces.network_exposure": "none"}).findings == ()

    def test_residue_is_graver_where_ram_can_be_read(self) -> None:
        found = scan({"inference.memory_wiped": "no", "debug.port": "open"}).findings
        assert {f.id: f.severity for f in found}["RAM-01"] is Severity.HIGH


class TestRealDevice:
    def test_published_ways_are_quoted_from_the_device_file(self) -> None:
        deployment = Deployment.model_validate({"debug": {"readout_protection": "on"}})
        found = product_findings(load_device("nrf52840"), deployment).findings
        assert [f.id for f in found] == ["PHYS-03"]
        assert "glitch" in found[0].message.lower() or "CVE" in found[0].message

    def test_a_device_alone_makes_few_findings(self) -> None:
        assert {f.id for f in product_findings(load_device("stm32l475vg")).findings} == set()
        assert {f.id for f in product_findings(load_device("rp2040")).findings} <= {"PHYS-02"}
