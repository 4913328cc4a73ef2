"""A fixed report for the tests of this folder: every verdict, every outcome, every kind of detail."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from tinymlsec.evidence import Evidence
from tinymlsec.figures import Line, Series, Span, Track
from tinymlsec.records import (
    Artifact,
    Basis,
    Confidence,
    Control,
    Curve,
    CurvePoint,
    Effort,
    Equipment,
    Finding,
    Location,
    Metric,
    Severity,
    Verdict,
    VerdictKind,
)
from tinymlsec.run_record import (
    Baseline,
    DataSummary,
    ModelSummary,
    Request,
    RunRecord,
    RunStatus,
    TaskSummary,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TARGET = "ab" * 32


def key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def evidence(attack: str, threats: tuple[str, ...], kind: VerdictKind, **more: Any) -> Evidence:
    reason = more.pop("reason", "" if kind in (VerdictKind.VULNERABLE, VerdictKind.RESISTANT) else "a reason")
    common: dict[str, Any] = {
        "key": key(attack),
        "attack": attack,
        "threats": threats,
        "target_digest": TARGET,
        "verdict": Verdict(kind=kind, reason=reason),
        "basis": Basis.EXECUTED,
        "summary": f"What {attack} saw.",
        "seed": 7,
        "tool_version": "0.1.0",
        "started": NOON,
        "seconds": 1.5,
        "reproduce": f"tinymlsec assess model.tflite --only {attack} --seed 7",
    }
    return Evidence.model_validate({**common, **more})


def flips() -> Evidence:
    steps = ((1, 0.90, 0.02), (3, 0.89, 0.02), (10, 0.86, 0.03), (30, 0.74, 0.04), (100, 0.41, 0.05), (300, 0.18, 0.04))
    points = tuple(CurvePoint(x=x, y=y, low=round(y - w, 4), high=round(y + w, 4), n=1000) for x, y, w in steps)
    return evidence(
        "random-bit-flips",
        ("H8", "M12"),
        VerdictKind.INCONCLUSIVE,
        reason="random flips are a weak attack: that 10 of them do little says nothing about chosen ones",
        summary="100 random bit flips among 24,908 weights bring accuracy from 90.8 % to 41.0 %.",
        metrics=(
            Metric.of("accuracy", 0.41, low=0.36, high=0.46, n=1000, label="after 100 flips"),
            Metric.of("flips_to_chance", 300, n=1000),
        ),
        curves=(
            Curve(
                title="Accuracy after random bit flips",
                x_label="flipped bits",
                metric="accuracy",
                points=points,
                log_x=True,
                chance=0.12,
                reference=0.908,
            ),
        ),
        series=(
            Series(
                title="Bits that hurt, over the file",
                x_label="bit",
                y_label="lost accuracy",
                lines=(
                    Line.of("one flip", [0.0, 0.1, 0.05, 0.3, 0.02]),
                    Line.of("two flips", [0.1, 0.2, 0.1, 0.4, 0.1]),
                ),
                tracks=(
                    Track(name="layers", spans=(Span(start=0, end=3, label="conv"), Span(start=3, end=4, label="fc"))),
                ),
                thresholds=(0.25,),
            ),
        ),
        positive_control=Control(
            kind="positive",
            twin="model with one weight scaled by 64",
            succeeded=True,
            detail="It fell after 3 flips.",
            metrics=(Metric.of("accuracy", 0.15, low=0.1, high=0.2, n=200),),
        ),
        negative_control=Control(
            kind="negative", twin="flips in an unused buffer", succeeded=False, detail="It moved."
        ),
        chance=0.12,
        limits=("Bits are chosen at random; a laser bench aims.", "Only weights, not activations."),
        facts={"weights": 24908, "layers": {"conv_0": [1, 2, 3], "fc": {"share": 0.25, "used": True}}},
        config={"flips": [1, 3, 10, 30, 100, 300], "samples": 200},
        inferences=6000,
    )


def square() -> Evidence:
    points = tuple(
        CurvePoint(x=x, y=y, low=y / 1.2, high=min(1.0, y * 1.2), n=100) for x, y in ((1, 0.05), (4, 0.4), (8, 0.75))
    )
    return evidence(
        "square",
        ("M2",),
        VerdictKind.VULNERABLE,
        summary="Square changes 75.0 % of decisions with at most 8 input steps and 300 queries each.",
        metrics=(
            Metric.of("attack_success_rate", 0.75, low=0.66, high=0.82, n=100, label="at 8 input steps"),
            Metric.of("robust_accuracy", 0.22, low=0.15, high=0.31, n=100, label="at 8 input steps"),
            Metric.of("queries", 112.5, low=90.0, high=140.0, n=75, label="mean of the successes"),
        ),
        curves=(
            Curve(
                title="Success of Square",
                x_label="largest change (input steps)",
                metric="attack_success_rate",
                points=points,
                reference=0.0,
            ),
        ),
        positive_control=Control(kind="positive", twin="linear model", succeeded=True, detail="All inputs fell."),
        negative_control=Control(kind="negative", twin="constant model", succeeded=True, detail="It stood."),
        effort=Effort(
            queries=30000, attacker_seconds=540.0, attacker_seconds_source="18 ms an inference on the device"
        ),
        limits=("Feature space: upper bound for the attacker.",),
        inferences=30000,
        seconds=41.25,
    )


def static() -> Evidence:
    return evidence(
        "static-extraction",
        ("M5",),
        VerdictKind.VULNERABLE,
        basis=Basis.STATIC,
        summary="The file gives away graph, weights and 12 labels to whoever holds it.",
        metrics=(Metric.of("weights_recovered", 1.0), Metric.of("parameters", 24908)),
        findings=(
            Finding(
                id="PROV-03",
                title="Build path in the metadata",
                message="The metadata name a folder of the build host.",
                severity=Severity.LOW,
                confidence=Confidence.HIGH,
                cwe=("CWE-200",),
                location=Location(path="kws_ref_model.tflite", file_offset=0x1A40),
                fix="Strip the metadata buffers.",
            ),
            Finding(
                id="EXTR-01",
                title="Weights in plain",
                message="All 24,908 weights can be read from the file.",
                severity=Severity.HIGH,
                confidence=Confidence.HIGH,
                cwe=("CWE-312", "CWE-311"),
                cve=(),
                location=Location(tensor=4, op=0),
                fix="Encrypt the model at rest and keep the key in the device.",
            ),
        ),
        effort=Effort(equipment=Equipment.NONE, attacker_seconds=0.2, attacker_seconds_source="measured here"),
        artifacts=(
            Artifact(
                name="graph.json", sha256="cd" * 32, media_type="application/json", size=5120, description="The graph."
            ),
        ),
        limits=("Says nothing about how the attacker gets the file.",),
    )


def all_evidence() -> tuple[Evidence, ...]:
    return (
        static(),
        flips(),
        square(),
        evidence("pgd", ("M1",), VerdictKind.SKIPPED, reason="needs gradients: pip install tinymlsec[lift]"),
        evidence("cpa-weights", ("H2",), VerdictKind.ERROR, reason="the worker died twice (SIGSEGV)"),
        evidence(
            "input-check",
            ("S3",),
            VerdictKind.RESISTANT,
            basis=Basis.EXECUTED,
            positive_control=Control(kind="positive", twin="unchecked reader", succeeded=True),
        ),
    )


def run_record(status: RunStatus = RunStatus.COMPLETE, **more: Any) -> RunRecord:
    record = RunRecord(
        tool_version="0.1.0",
        status=status,
        created=NOON,
        updated=NOON,
        request=Request(effort="standard", seed=7, has_model=True, overrides={"square": {"queries": 300}}),
        target_digest=TARGET,
        model=ModelSummary(
            name="kws_ref_model.tflite",
            sha256="12" * 32,
            size=53936,
            kind="int8",
            operators=13,
            parameters=24908,
            inputs=("input_1 int8 [1, 49, 10, 1] scale 0.5847 zero point 83",),
            outputs=("Identity int8 [1, 12] scale 0.0039 zero point -128",),
            runtime="tflite-micro 0.dev20261023182759",
            runs=True,
        ),
        task=TaskSummary(kind="classification", source="output of 12 scores"),
        data=DataSummary(
            path="kws01.npz",
            sha256="34" * 32,
            samples=1000,
            used=1000,
            labels=True,
            class_names=("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence", "unknown"),
            clipped=0.012,
        ),
        baseline=Baseline(
            metrics=(Metric.of("clean_accuracy", 0.908, low=0.889, high=0.924, n=1000),),
            chance=0.12,
            chance_source="largest class prior",
        ),
        device_id="stm32l4r5zi",
        device={
            "id": "stm32l4r5zi",
            "name": "STM32L4R5ZI (NUCLEO-L4R5ZI)",
            "cores": [{"name": "Cortex-M4F", "mhz": 120}],
            "features": {"mpu": {"value": "yes", "confidence": "A"}, "trustzone_m": {"value": "no"}},
        },
        device_class="TinyML",
        class_reasons=("It has no MMU.", "RAM of 640 KB is below 64 MB."),
        deployment={
            "product": {"name": "Door bell"},
            "access": {"physical": "public", "lab_access": "unknown"},
            "debug": {"port": "open"},
        },
        assumed=("access.lab_access", "update.signed", "keys.storage"),
        obstacles={"gradients": "the graph has a custom operator"},
        planned=("static-extraction", "random-bit-flips", "square", "pgd", "cpa-weights", "input-check"),
        plugin_problems=("plug-in broken (nowhere:attack): No module named 'nowhere'",),
        versions={"numpy": "2.4.6", "tflite-micro": "0.dev20261023182759"},
        host={"processor": "x86_64", "system": "Linux"},
        command="tinymlsec assess kws_ref_model.tflite --data kws01.npz --device stm32l4r5zi --seed 7",
    )
    return record.model_copy(update=more)
