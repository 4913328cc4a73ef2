"""Attacks by rules: verdicts follow facts and images, controls hold, and what is unknown decides nothing."""

from __future__ import annotations

import numpy as np
import pytest

from rules.image_builder import Firmware, with_text, without_canaries
from tinymlsec.attacks._twins import linear_twin
from tinymlsec.attacks.rules._known import image_file, product_facts
from tinymlsec.attacks.rules._run import effort_of
from tinymlsec.context import Context
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Severity, VerdictKind
from tinymlsec.registry import EffortLevel, discover
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.target.deployment import Deployment
from tinymlsec.target.device import load_device
from tinymlsec.target.given_image import GivenImage
from tinymlsec.target.target import Target
from tinymlsec.threat.catalog import load_catalog

WANTED = {
    "rules-debug-port": "H9", "rules-external-memory": "H10", "rules-memory-wipe": "H11", "rules-invasive": "H12",
    "rules-supply-parts": "H13", "rules-memory-safety": "S1", "rules-code-reuse": "S2", "rules-update-signature": "S4",
    "rules-rollback": "S5", "rules-boot-chain": "S6", "rules-runtime-integrity": "S7", "rules-link-security": "S10",
    "rules-keys": "S12", "rules-isolation": "S13", "rules-components": "S14",
}  # fmt: skip
WITH_IMAGE = ("rules-memory-safety", "rules-code-reuse", "rules-keys", "rules-isolation", "rules-components")
ATTACKS = discover().attacks


def profile(*, weak: bool) -> Deployment:
    """The twin's facts as a deployment profile."""
    tables: dict[str, dict[str, str]] = {}
    for name, value in product_facts(weak=weak).items():
        section, _, key = name.partition(".")
        if section not in ("device", "bypass"):
            tables.setdefault(section, {})[key] = value
    return Deployment.model_validate(tables)


def given(file: ImageFile) -> GivenImage:
    return GivenImage(file.name, file.data, file.image)


def run(attack: str, target: Target) -> Observation:
    spec = ATTACKS[attack]
    return spec(target, spec.configure(EffortLevel.STANDARD), Context(np.random.default_rng(0), lambda _: None))  # type: ignore[arg-type, return-value]


def test_the_catalog_requires_these() -> None:
    threats = load_catalog().threats
    for attack, threat in WANTED.items():
        assert ATTACKS[attack].threats == (threat,)
        assert attack in threats[threat].required_attacks


@pytest.mark.parametrize("attack", WANTED)
class TestEach:
    def test_the_worst_profile_is_vulnerable_as_declared(self, attack: str) -> None:
        seen = run(attack, Target("t", deployment=profile(weak=True)))
        assert seen.verdict.kind is VerdictKind.VULNERABLE
        assert seen.basis is Basis.DECLARED
        assert any(f.severity.rank >= Severity.MEDIUM.rank for f in seen.findings)
        assert seen.positive_control is not None
        assert seen.positive_control.succeeded
        assert seen.negative_control is not None
        assert seen.negative_control.succeeded

    def test_the_best_profile_is_resistant_where_everything_is_known(self, attack: str) -> None:
        device = load_device("stm32u585ai").model_copy()
        good = given(image_file(weak=False))
        seen = run(attack, Target("t", deployment=profile(weak=False), device=device, image=good))
        asked = {name for names in seen.facts["unknown"].values() for name in names}
        if asked:
            assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
            assert all(name.startswith("device.") for name in asked)
            assert all(name in seen.verdict.reason for name in asked)
        else:
            assert seen.verdict.kind is VerdictKind.RESISTANT, seen.verdict.reason

    def test_nothing_known_nothing_said(self, attack: str) -> None:
        with pytest.raises(CapabilityMissing) as missing:
            run(attack, Target("t"))
        assert "--deployment" in str(missing.value)

    def test_effort_is_the_catalogs(self, attack: str) -> None:
        estimate = load_catalog().threats[WANTED[attack]].estimate
        assert effort_of(WANTED[attack]).expertise is estimate.expertise


@pytest.mark.parametrize("attack", WITH_IMAGE)
def test_resistance_is_not_declared_where_the_image_decides(attack: str) -> None:
    device = load_device("stm32l552ze")
    seen = run(attack, Target("t", deployment=profile(weak=False), device=device))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "--firmware" in seen.verdict.reason


@pytest.mark.parametrize(
    ("attack", "firmware", "rule"),
    [
        ("rules-memory-safety", without_canaries(Firmware()), "MEM-01"),
        ("rules-code-reuse", Firmware(code=b"\x00\xbf"), "MEM-04"),
        ("rules-isolation", Firmware(code=b"\x00\xbf"), "MEM-04"),
        ("rules-keys", with_text(b"psk=Zq8sharedpw"), "SECRET-04"),
        ("rules-components", with_text(b"mbed TLS 2.16.3"), "BUILD-01"),
        ("rules-debug-port", with_text(b"uart:~$ "), "BUILD-02"),
    ],
)
def test_an_image_alone_is_static_evidence(attack: str, firmware: Firmware, rule: str) -> None:
    seen = run(attack, Target("t", device=load_device("stm32l475vg"), image=given(firmware.file())))
    assert seen.verdict.kind is VerdictKind.VULNERABLE
    assert seen.basis is Basis.STATIC
    assert rule in seen.verdict.reason
    assert seen.positive_control is not None
    assert "image" in seen.positive_control.twin


def test_the_image_of_the_weak_twin_is_found_and_that_of_the_good_one_is_not() -> None:
    from rules.image_builder import ids

    assert {"MEM-01", "MEM-02", "MEM-03", "MEM-04", "MEM-06", "SECRET-01", "BUILD-01", "BUILD-02", "DUMP-01"} <= set(
        ids(image_file(weak=True))
    )
    assert ids(image_file(weak=False)) == []


def test_an_image_and_a_profile_that_disagree() -> None:
    seen = run(
        "rules-keys", Target("t", deployment=profile(weak=False), image=given(with_text(b"psk=Zq8sharedpw").file()))
    )
    assert {"SECRET-04", "KEY-05"} <= {f.id for f in seen.findings}


class TestModelFile:
    model = linear_twin(4)

    def observe(self, data: bytes, deployment: Deployment | None = None) -> Observation:
        return run("rules-model-file", Target("t", data, deployment=deployment))

    def test_a_damaged_file_is_static_evidence(self) -> None:
        seen = self.observe(self.model[: len(self.model) // 2])
        assert seen.verdict.kind is VerdictKind.VULNERABLE
        assert seen.basis is Basis.STATIC

    def test_a_good_file_alone_decides_nothing(self) -> None:
        seen = self.observe(self.model)
        assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
        assert "model.runtime" in seen.verdict.reason
        assert seen.positive_control is not None
        assert seen.positive_control.succeeded, seen.positive_control.detail
        assert "STRUCT" in seen.positive_control.detail

    def test_a_good_file_in_a_product_that_checks_files(self) -> None:
        assert self.observe(self.model, profile(weak=False)).verdict.kind is VerdictKind.RESISTANT

    def test_a_product_that_checks_nothing(self) -> None:
        seen = self.observe(self.model, profile(weak=True))
        assert seen.verdict.kind is VerdictKind.VULNERABLE
        assert seen.basis is Basis.DECLARED
        assert {"UPD-02", "UPD-05"} <= {f.id for f in seen.findings}


def test_a_profile_with_one_open_fact_names_it() -> None:
    deployment = Deployment.model_validate({"update": {"channel": "ota"}})
    seen = run("rules-rollback", Target("t", deployment=deployment))
    assert seen.verdict.kind is VerdictKind.INCONCLUSIVE
    assert "update.anti_rollback" in seen.verdict.reason
