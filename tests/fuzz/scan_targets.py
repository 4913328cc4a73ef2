"""What of the scanner is fuzzed: for each parser, how its input is used and files to start from.

A parser may refuse its input with an InputError and nothing else. Rules that end in an exception are caught by the
scanner and told in the report; here they count as failures.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from carve.other_formats import Program, onnx
from firmware.sound_firmware import SEEDS as FIRMWARE
from fuzz.blind import BlindMutator
from fuzz.fuzz_firmware import exercise as use_firmware
from fuzz.fuzz_reader import exercise as use_reader
from fuzz.mutate import Mutator
from fuzz.mutate_firmware import FirmwareMutator
from models.handmade import SEEDS as MODELS
from rules import key_builder
from rules.corpus import all_cases
from scan.scan_sample import sample_report
from tinymlsec.errors import InputError
from tinymlsec.rules import _der
from tinymlsec.rules.runtime import load_runtime
from tinymlsec.scan.baseline import Baseline, as_record, baseline_of, read_json
from tinymlsec.scan.config import load_config
from tinymlsec.scan.images import scan_image
from tinymlsec.scan.models import open_model, scan_model
from tinymlsec.scan.records import ScanReport
from tinymlsec.target.deployment import load_deployment
from tinymlsec.target.deployment_file import profile_text
from tinymlsec.target.device import load_device
from tinymlsec.target.firmware.carve.budget import Budget
from tinymlsec.target.firmware.carve.heatshrink import unpack_heatshrink
from tinymlsec.target.firmware.carve.lz4 import unpack_frame
from tinymlsec.target.firmware.carve.onnx import find_onnx
from tinymlsec.target.firmware.carve.pte import find_pte
from tinymlsec.target.firmware.carve.unpack import begins, unpack
from tinymlsec.target.firmware.load import kind_of

SCRATCH = Path(tempfile.mkdtemp(prefix="tinymlsec-fuzz-"))
_DEVICE = load_device("stm32l4r5zi")


@dataclass(frozen=True)
class Target:
    """A parser under test."""

    use: Callable[[bytes], str]
    """Reads its input and uses what was read; returns what became of it, raises where something is wrong."""
    seeds: Callable[[], list[bytes]]
    longest: int
    """Bytes of one input."""
    knowing: bool = False
    """A mutator of this folder knows the format: checksums and references stay whole where nothing is damaged."""

    def mutator(self, rng: np.random.Generator) -> BlindMutator:
        """A stream of damaged inputs."""
        seeds = self.seeds()
        if not self.knowing:
            return BlindMutator([Sound(data) for data in seeds], rng)
        if seeds[0][4:8] != b"TFL3":
            return FirmwareMutator(seeds, rng)
        return Mutator([make() for make in MODELS.values()] + [case.good for case in all_cases()], rng)


@dataclass(frozen=True)
class Sound:
    """A file of which nothing is known."""

    data: bytes


def use_rules(data: bytes) -> str:
    """All model rules over a file, readable or not."""
    result = scan_model(open_model(data, name="fuzz", runtime=load_runtime(), device=_DEVICE))
    assert not result.failures, result.failures
    for finding in result.findings:
        offset = finding.location.file_offset
        assert offset is None or offset <= len(data), (finding.id, offset)
        assert len(finding.message) < 5000, finding.id
    assert result.file.model is not None or result.findings, str(result.file.damage)
    return "read" if result.file.model is not None else "refused"


def use_image(data: bytes) -> str:
    """Carving, image rules, and model rules on what is inside."""
    try:
        result = scan_image(data, "fuzz", runtime=load_runtime(), seconds=0.2)
    except InputError:
        return "refused"
    failed = [text for text in result.skipped if "failed:" in text]
    assert not failed, failed
    for part in result.contained:
        assert part.size >= 0
        assert part.offset <= len(data)
    json.dumps(result.facts, allow_nan=False)
    return f"read: {kind_of(data)}, {len(result.contained)} inside"


def use_keys(data: bytes) -> str:
    """Keys and certificates in DER."""
    found = list(_der.find(data))
    for offset, item in found:
        assert 0 <= offset < item.end <= len(data)
    return f"read: {len(found)}"


def use_streams(data: bytes) -> str:
    """Every way to unpack, within its bound."""
    view, most, read = memoryview(data), 1 << 16, 0
    for kind in ("zlib", "gzip", "raw-deflate", "bzip2", "xz", "lzma"):
        if begins(kind, view):
            stream = unpack(kind, view, 0, most)
            assert len(stream.data) <= most + (1 << 16)
            assert stream.stored <= len(data)
            read += 1
    if (frame := unpack_frame(view, 0, most)) is not None:
        assert len(frame.data) <= most + (4 << 20)
        assert frame.stored <= len(data)
        read += 1
    for window, lookahead in ((4, 3), (8, 4), (11, 4), (15, 14)):
        out, took = unpack_heatshrink(view, window, lookahead, most)
        assert len(out) <= most + (1 << lookahead)
        assert took <= len(data)
    return f"read: {read}"


def use_baseline(data: bytes) -> str:
    """A baseline, or the report of a scan."""
    path = SCRATCH / "baseline.json"
    path.write_bytes(data)
    try:
        value = read_json(path, "a baseline")
        kept = baseline_of(as_record(ScanReport, value, path)) if "files" in value else as_record(Baseline, value, path)
    except InputError:
        return "refused"
    return f"read: {len(kept.findings) > 0}"


def use_config(data: bytes) -> str:
    """A project's tinymlsec.toml."""
    path = SCRATCH / "tinymlsec.toml"
    path.write_bytes(data)
    try:
        config = load_config(path)
    except InputError:
        return "refused"
    config.severity_of("OPT-01")
    return f"read: {len(config.suppress)}"


def use_profile(data: bytes) -> str:
    """A deployment profile."""
    path = SCRATCH / "deployment.toml"
    path.write_bytes(data)
    try:
        load_deployment(path)
    except InputError:
        return "refused"
    return "read"


def use_other_models(data: bytes) -> str:
    """ExecuTorch programs and ONNX models."""
    hits = [*find_pte(data, Budget(5.0)), *find_onnx(data, Budget(5.0))]
    for hit in hits:
        assert 0 <= hit.at <= hit.at + hit.stored <= len(data)
    return f"read: {sorted({hit.kind for hit in hits})}"


def of_kind(kind: str) -> Callable[[bytes], str]:
    """Loads firmware that is still of the kind that is meant."""

    def use(data: bytes) -> str:
        return use_firmware(data) if kind_of(data) == kind else "another kind"

    return use


def model_seeds() -> list[bytes]:
    """Hand-made models, and small good and bad files of the rules."""
    cases = [data for case in all_cases() for data in (case.good, case.bad) if len(data) <= 3000]
    return [make() for make in MODELS.values()] + cases


def firmware_seeds(kind: str) -> Callable[[], list[bytes]]:
    """Sound firmware of one kind."""
    return lambda: [data for make in FIRMWARE.values() if kind_of(data := make()) == kind]


def image_seeds() -> list[bytes]:
    """Firmware of all kinds, a model plain, under a key and compressed, and things that look like secrets."""
    model = min(model_seeds(), key=len)
    xored = bytes(byte ^ 0x5A for byte in model)
    padding = bytes(64)
    secrets = (
        b"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA==\n-----END EC PRIVATE KEY-----\0password=hunter22hunter22\0"
        b"ssid=home\0psk=secretsecret\0FreeRTOS Kernel V10.4.3\0mbed TLS 2.16.0\0" + bytes.fromhex("30820122300d0609")
    )
    hidden = [padding + part + padding for part in (model, xored, gzip.compress(model), zlib.compress(model), secrets)]
    return [make() for make in FIRMWARE.values()] + hidden


def key_seeds() -> list[bytes]:
    """A key or certificate of each kind."""
    keys = [key_builder.rsa_private(512), key_builder.ec_private(), key_builder.ed25519_private()]
    return [*keys, key_builder.rsa_public(512), key_builder.ec_public(), key_builder.certificate(b"300101000000Z")]


def stream_seeds() -> list[bytes]:
    """A text packed in each way that the standard library knows, and an LZ4 frame with a stored block."""
    text = b"some words, some words again, " * 20
    lz4 = b"\x04\x22\x4d\x18\x60\x40\x82" + (0x80000000 | 32).to_bytes(4, "little") + text[:32] + bytes(4)
    packed = [zlib.compress(text), gzip.compress(text), zlib.compress(text)[2:-4], bz2.compress(text)]
    return [*packed, lzma.compress(text), lzma.compress(text, lzma.FORMAT_ALONE), lz4]


def profile_seeds() -> list[bytes]:
    """A profile without and with answers."""
    told = {"debug.port": "open", "update.channel": "ota", "update.signed": "no", "product.name": "lock"}
    return [profile_text().encode(), profile_text(**told).encode()]


def baseline_seeds() -> list[bytes]:
    """A report and a baseline."""
    report = sample_report()
    return [report.model_dump_json().encode(), baseline_of(report).model_dump_json().encode()]


def config_seeds() -> list[bytes]:
    """A configuration with everything in it."""
    return [
        b'[[suppress]]\nrule = "PROV-*"\npath = "a/*"\nreason = "known here"\nexpires = 2027-01-31\n',
        b'[severity]\nOPT-01 = "low"\n"WEIGHT-*" = "none"\n',
    ]


TARGETS = {
    "reader": Target(use_reader, model_seeds, 4096, knowing=True),
    "rules": Target(use_rules, model_seeds, 4096, knowing=True),
    "elf": Target(of_kind("elf"), firmware_seeds("elf"), 8192, knowing=True),
    "hex": Target(of_kind("hex"), firmware_seeds("hex"), 8192, knowing=True),
    "uf2": Target(of_kind("uf2"), firmware_seeds("uf2"), 8192, knowing=True),
    "image": Target(use_image, image_seeds, 8192),
    "keys": Target(use_keys, key_seeds, 4096),
    "streams": Target(use_streams, stream_seeds, 4096),
    "baseline": Target(use_baseline, baseline_seeds, 8192),
    "pte-onnx": Target(use_other_models, lambda: [Program().build(), onnx()], 4096),
    "profile": Target(use_profile, profile_seeds, 8192),
    "config": Target(use_config, config_seeds, 2048),
}
"""Name -> parser."""
