"""What a scan is relative to, and how it is to run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tinymlsec.rules.runtime import DEFAULT_RUNTIME
from tinymlsec.target.firmware.carve.limits import DEFAULT_SECONDS


@dataclass(frozen=True)
class ScanSettings:
    """Options that decide what is found. Plain values only, so that worker processes get them as they are."""

    device: str | None = None
    """Id of a device, or a TOML file."""
    deployment: Path | None = None
    """Deployment profile."""
    runtime: str = DEFAULT_RUNTIME
    """Id of a runtime table."""
    firmware: Path | None = None
    """Firmware whose resolver decides which operators can run."""
    confirm: bool = False
    """Run model files that have findings on the sandboxed runtime."""
    seconds: float = DEFAULT_SECONDS
    """CPU time of one image for searches without an end, such as raw compressed streams."""
    models: tuple[Path, ...] = ()
    """Model files that images are searched for in other forms, such as weights in C arrays."""

    def digest(self, code: str) -> str:
        """SHA-256 of what a cached result depends on besides the file.

        Args:
            code: from `cache.code_digest`.
        """
        parts = [code, self.runtime, repr(self.confirm), repr(self.seconds), self._device_text()]
        parts += [_content(self.deployment), _content(self.firmware), *map(_content, self.models)]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def _device_text(self) -> str:
        """The device's record: files of users change under the same id."""
        if self.device is None:
            return ""
        from tinymlsec.target.device import load_device

        return load_device(self.device).model_dump_json()


def _content(path: Path | None) -> str:
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
