"""What rules say of the product: device, deployment, and what was seen in its images, as one more entry of a scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tinymlsec.scan.records import FileKind, FileReport

if TYPE_CHECKING:
    from tinymlsec.scan.settings import ScanSettings
    from tinymlsec.target.device import Device


def product_report(settings: ScanSettings, device: Device | None, files: Iterable[FileReport]) -> FileReport:
    """The report of the product rules.

    Args:
        settings: names the deployment profile.
        device: the device, if one was named.
        files: reports of the scanned files, whose images tell further facts.

    Raises:
        DeploymentError: the profile cannot be read.
    """
    from tinymlsec.scan.collect import shown_path
    from tinymlsec.scan.product import product_findings
    from tinymlsec.target.deployment import load_deployment

    path = settings.deployment
    result = product_findings(device, load_deployment(path) if path else None, _seen(files))
    missing = result.advice()
    if path is None and missing:
        missing = (f"{len(missing)} facts are unknown without a deployment profile: tinymlsec init --ask writes one",)
    return FileReport(
        path=shown_path(path) if path else f"device/{device.id if device else 'unknown'}",
        kind=FileKind.PRODUCT, size=0, findings=result.findings, skipped=(*missing, *result.failures),
        facts=result.facts(),
    )  # fmt: skip


def _seen(files: Iterable[FileReport]) -> Mapping[str, str]:
    """Facts that the images tell; where several images tell different things, none of them is the product's."""
    told: dict[str, set[str]] = {}
    for file in files:
        facts = file.facts.get("seen")
        if isinstance(facts, dict):
            for name, value in facts.items():
                told.setdefault(str(name), set()).add(str(value))
    return {name: next(iter(values)) for name, values in told.items() if len(values) == 1}
