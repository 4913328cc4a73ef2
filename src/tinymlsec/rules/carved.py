"""CARVE: models in a firmware image, plain, under a trivial key, compressed, or compiled in as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ImageFile

if TYPE_CHECKING:
    from tinymlsec.target.firmware.carve.carve import Found

_ENCRYPT = "encrypt it with a key that the device keeps, or accept that whoever reads the flash has the model"
_SOURCE = "Sun et al., Mind Your Weight(s), USENIX Security 2021; MITRE CWE"
LEAST_SHARE = 0.1
"""Share of a given model's weight bytes from which on it is said to be compiled in; unrelated images have 0.0002."""
LEAST_BYTES = 512
"""Bytes of it that must have been found."""


def _models(file: ImageFile, kind: str) -> Iterator[Found]:
    return (found for found in file.carved.found if found.hit.kind == kind)


def _at(file: ImageFile, found: Found) -> Location:
    known = file.image.symbol_at(found.address)
    return Location(file_offset=found.offset, address=found.address, symbol=known[0][:200] if known else None)


def _packed(found: Found) -> bool:
    return any(not each.startswith("xor:") for each in found.hit.encodings)


@rule(
    "CARVE-01", "Model file lies in the image in plain", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-312", threats="M5 H9", fix=_ENCRYPT, source=_SOURCE,
)  # fmt: skip
def plain_model(file: ImageFile) -> Iterator[Hit]:
    """A whole .tflite file lies in the image, at any offset, and can be copied out of it.

    The identifier alone is no finding: the file must be readable as a graph.
    """
    for found in _models(file, "tflite"):
        if not found.hit.encodings:
            message = f"A model of {found.hit.stored:,} bytes lies in plain; expected: none that can be copied out."
            yield Hit(message, _at(file, found))


@rule(
    "CARVE-02", "Model is hidden by a repeated XOR key only", subject=Subject.IMAGE, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-327 CWE-656", threats="M5 H9",
    fix="use authenticated encryption (AES-CCM or AES-GCM) with a key that the device keeps; XOR with a short key "
    "shows the key wherever the model has zeros",
    source="Kahn, The Codebreakers, 1967 (repeated keys); " + _SOURCE,
)  # fmt: skip
def xored_model(file: ImageFile) -> Iterator[Hit]:
    """A .tflite file lies under a key of 1 to 16 bytes that is repeated.

    The identifier and the zeros of the file give the key; no secret is needed.
    """
    for found in _models(file, "tflite"):
        if any(each.startswith("xor:") for each in found.hit.encodings):
            message = (
                f"A model of {len(found.hit.data):,} bytes lies under {found.encoding}; expected: a cipher with a key "
                "that is not in the file."
            )
            yield Hit(message, _at(file, found))


@rule(
    "CARVE-03", "Model lies in the image compressed, not encrypted", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-312", threats="M5 H9", fix=_ENCRYPT, source=_SOURCE,
)  # fmt: skip
def compressed_model(file: ImageFile) -> Iterator[Hit]:
    """A .tflite file lies in a compressed stream: zlib, gzip, zip, bzip2, xz, LZMA, LZ4, heatshrink or raw deflate.

    Compression hides a model from a search for its identifier and from nobody else. Under a repeated key as well it is
    CARVE-02.
    """
    for found in _models(file, "tflite"):
        if _packed(found) and not any(each.startswith("xor:") for each in found.hit.encodings):
            message = (
                f"A model of {len(found.hit.data):,} bytes lies in a {found.encoding} stream; expected: encrypted."
            )
            yield Hit(message, _at(file, found))


@rule(
    "CARVE-04", "Weights of a known model are compiled into the image", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-312", threats="M5 H9", fix=_ENCRYPT, source=_SOURCE,
)  # fmt: skip
def compiled_model(file: ImageFile) -> Iterator[Hit]:
    """Weights of a model that was given beside the image lie in it as arrays, without the model file.

    Reported with the share of the weight bytes that were found, as they are or rearranged. Constants that are zeros or
    repeat few values tell nothing and are not counted.
    """
    for located in file.located:
        if located.share >= LEAST_SHARE and located.found >= LEAST_BYTES:
            largest = max(located.constants, key=lambda each: each.found)
            symbol = file.image.symbol_at(largest.address) if largest.address is not None else None
            message = (
                f"{located.share:.1%} of the weight bytes of a given model ({located.found:,} of {located.size:,}) lie "
                f"in the image, the largest constant {largest.form}; expected: none."
            )
            place = Location(
                file_offset=None if largest.address is None else file.carved.places.offset(largest.address),
                address=largest.address, symbol=symbol[0][:200] if symbol else None,
            )  # fmt: skip
            yield Hit(message, place)


@rule(
    "CARVE-05", "ExecuTorch program lies in the image", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-312", threats="M5 H9", fix=_ENCRYPT, source=_SOURCE,
)  # fmt: skip
def executorch_program(file: ImageFile) -> Iterator[Hit]:
    """A .pte file lies in the image, in plain or compressed."""
    for found in _models(file, "pte"):
        how = f"in a {found.encoding} stream" if found.hit.encodings else "in plain"
        yield Hit(f"An ExecuTorch program of {len(found.hit.data):,} bytes lies {how}.", _at(file, found))


@rule(
    "CARVE-06", "ONNX model lies in the image", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-312", threats="M5 H9", fix=_ENCRYPT, source=_SOURCE,
)  # fmt: skip
def onnx_model(file: ImageFile) -> Iterator[Hit]:
    """An ONNX file lies in the image, in plain or compressed."""
    for found in _models(file, "onnx"):
        how = f"in a {found.encoding} stream" if found.hit.encodings else "in plain"
        yield Hit(f"An ONNX model of {len(found.hit.data):,} bytes lies {how}.", _at(file, found))


@rule(
    "CARVE-07", "Header of an ExecuTorch program contradicts its content", subject=Subject.IMAGE,
    severity=Severity.HIGH, confidence=Confidence.MEDIUM, cwe="CWE-119 CWE-190 CWE-1284", threats="S3 M5",
    fix="do not deploy this program; export it again, and keep the runtime at a version that checks it (0.7 or newer)",
    source="advisories of ExecuTorch of 2025: GHSA-9m39-3mf3-xwch (CVE-2025-54949), GHSA-xc7w-r669-48pf and others",
)  # fmt: skip
def executorch_header(file: ImageFile) -> Iterator[Hit]:
    """What a .pte file says of its segments, constants and tensor sizes does not fit.

    Segments behind the end, constants that do not exist, sizes below zero or with a product of 2^31 and more: what
    runtimes before the fixes of 2025 took without a check. The advisories do not say which condition is whose, so no
    hit names one. A condition to look at, no proof of an attack.
    """
    for found in _models(file, "pte"):
        for problem in found.hit.problems:
            yield Hit(f"In the ExecuTorch program, {problem}.", _at(file, found))


@rule(
    "CARVE-08", "Bytes that look like int8 weights", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.LOW, cwe="CWE-312", threats="M5 H9",
    fix="give the model beside the image to see how much of it lies there; " + _ENCRYPT,
    source="statistics of trained weights: Han et al., Deep Compression, ICLR 2016; " + _SOURCE,
)  # fmt: skip
def looks_like_weights(file: ImageFile) -> Iterator[Hit]:
    """A stretch of the image is distributed as int8 weights are, and lies in no model that was found.

    Around zero, as often above as below, the rarer the larger, alike on even and odd places. One finding an image, for
    all such stretches together; statistics alone, so it is said with low confidence.
    """
    from tinymlsec.target.firmware.carve.compiled import weight_areas

    areas = weight_areas(file.carved, file.located)
    if areas:
        size = sum(area.size for area in areas)
        first = max(areas, key=lambda area: area.size)
        message = f"{len(areas)} stretches with {size:,} bytes in all, the longest of {first.size:,} bytes."
        yield Hit(message, Location(file_offset=file.carved.places.offset(first.address), address=first.address))
