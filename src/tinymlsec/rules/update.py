"""UPD: how firmware and model are replaced. Facts are declared in the deployment profile."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Severity
from tinymlsec.rules._told import because, told
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ProductFacts

_REMOTE = ("ota", "server")


@rule(
    "UPD-01", "Updates are taken without a signature", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-494 CWE-347", threats="S4",
    fix="check a signature over the whole package before anything of it is used (SUIT manifest, MCUboot)",
    source="RFC 9019, A Firmware Update Architecture for Internet of Things, 2021",
)  # fmt: skip
def unsigned(product: ProductFacts) -> Iterator[Hit]:
    """The product takes updates and does not check a signature (`update.signed = no`).

    Over radio or a network anybody in reach can then put firmware on it: high. By cable or card it takes touch: medium.
    """
    channel, signed = told(product, "update.channel", "update.signed")
    if signed == "no" and channel != "none":
        severity = Severity.MEDIUM if channel == "local" else None
        yield Hit(
            f"{because(product, 'update.signed', 'update.channel')}; expected: update.signed = yes.", severity=severity
        )  # fmt: skip


@rule(
    "UPD-02", "A model is replaced without a signature of its own", subject=Subject.PRODUCT, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-494 CWE-347", threats="S4 S5 S3",
    fix="put digest and version of the model into the signed manifest, or sign the model with a version counter",
    source="RFC 9124, A Manifest Information Model for Firmware Updates, 2022",
)  # fmt: skip
def unsigned_model(product: ProductFacts) -> Iterator[Hit]:
    """The model can be replaced without the firmware, and nothing checks who made it or how old it is
    (`update.model_separate = yes`, `update.model_signed = no`).

    The firmware's signature and counter do not cover such a model.
    """
    separate, signed = told(product, "update.model_separate", "update.model_signed")
    if separate == "yes" and signed == "no":
        yield Hit(f"{because(product, 'update.model_separate', 'update.model_signed')}; expected: a signed model.")


@rule(
    "UPD-03", "Older versions are taken back", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1328", threats="S5",
    fix="refuse versions below a monotonic counter (fuse, secure element), and raise it with each security update",
    source="RFC 9019, 2021, threat of expired images; MCUboot, downgrade prevention",
)  # fmt: skip
def rollback(product: ProductFacts) -> Iterator[Hit]:
    """The product takes updates and does not refuse older ones (`update.anti_rollback = no`).

    Holes that were mended come back with a valid signature.
    """
    channel, guarded = told(product, "update.channel", "update.anti_rollback")
    if guarded == "no" and channel != "none":
        facts = because(product, "update.anti_rollback", "update.channel")
        yield Hit(f"{facts}; expected: update.anti_rollback = yes.")


@rule(
    "UPD-04", "Anybody can have the update package, and it is not encrypted", subject=Subject.PRODUCT,
    severity=Severity.MEDIUM, confidence=Confidence.HIGH, cwe="CWE-311 CWE-312", threats="M5",
    fix="encrypt packages for the device, or serve them to authenticated devices only",
    source="Wu et al., DnD, USENIX Security 2022: models taken from firmware",
)  # fmt: skip
def readable(product: ProductFacts) -> Iterator[Hit]:
    """The package is on a public page or an open link and in the clear (`update.public_download = yes`,
    `update.encrypted = no`), so the model in it is too unless it is encrypted itself.
    """
    public, hidden, model = told(product, "update.public_download", "update.encrypted", "model.encrypted_at_rest")
    if public == "yes" and hidden == "no" and model != "yes":
        facts = because(product, "update.public_download", "update.encrypted", "model.encrypted_at_rest")
        yield Hit(f"{facts}; expected: one of the latter two = yes.")


@rule(
    "UPD-05", "Model files are interpreted unchecked", subject=Subject.PRODUCT, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-20 CWE-1284 CWE-129", threats="S3",
    fix="verify offsets, indices and shapes before a file is interpreted, or compile the model into the firmware",
    source="tflite-micro issue 3389: the maintainers leave validation of models to those who ship them",
)  # fmt: skip
def unvalidated(product: ProductFacts) -> Iterator[Hit]:
    """An interpreter runs model files that nothing has verified (`model.runtime = interpreter`,
    `model.file_validated = no`).

    High where the file can be exchanged without the firmware and carries no signature: then strangers choose it.
    """
    runtime, validated, separate, signed = told(
        product, "model.runtime", "model.file_validated", "update.model_separate", "update.model_signed"
    )
    if runtime == "interpreter" and validated == "no":
        strangers = separate == "yes" and signed == "no"
        facts = because(
            product, "model.runtime", "model.file_validated", "update.model_separate", "update.model_signed"
        )
        yield Hit(f"{facts}; expected: a verified file.", severity=Severity.HIGH if strangers else None)
