"""PROV: where a model file says it comes from, and what it tells of those who made it.

The facts are those of the attack `static-extraction` (`target.tflite.telltales`, `target.tflite.strings`). It reports
what PROV-02 to PROV-09 report as EXTR-DESCRIPTION, EXTR-PATHS, EXTR-LABELS, EXTR-NAMES, EXTR-TOOL, EXTR-SECRET,
EXTR-CONTACT and EXTR-THRESHOLD, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._metadata import metadata_of
from tinymlsec.rules._places import model_of
from tinymlsec.rules._walk import walk_of
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.strings import Hit as Text
from tinymlsec.target.tflite.strings import search_text
from tinymlsec.target.tflite.telltales import (
    Told,
    authorship,
    constant_thresholds,
    label_list,
    telling_names,
    tool_marks,
)

_STRIP = "strip names and metadata before the file is deployed; no runtime on a microcontroller needs them"
_EXTRACTION = "Sun et al., Mind Your Weight(s), USENIX Security 2021; own rule"
_VERSION = re.compile(r"(?i)(?<!con)version|rollback|counter|revision|serial")
_SIGNATURE = re.compile(r"(?i)sign|hash|digest|hmac|checksum|sha\d")
_USER = re.compile(r"(?:/home/|/Users/|\\Users\\)([\w.+@ -]{1,64})")


def _texts(file: ModelFile, kind: str) -> Iterator[Text]:
    if "texts" not in file.memo:
        file.memo["texts"] = search_text(file.data)
    yield from (text for text in file.memo["texts"] if text.kind == kind)


def _data(file: ModelFile) -> bytes:
    return file.data if isinstance(file.data, bytes) else bytes(file.data)


def _hit(told: Told | None) -> Iterator[Hit]:
    if told is not None:
        yield Hit(told.text[:1].upper() + told.text[1:], Location(file_offset=told.offset))


@rule(
    "PROV-01", "No version, counter or signature in the file", subject=Subject.MODEL, severity=Severity.NONE,
    confidence=Confidence.LOW, cwe="CWE-345 CWE-353", threats="S4 S5",
    fix="sign the model and give it a counter, in the update package or in metadata that the device checks",
    source="NIST SP 800-193 (2018) and IETF RFC 9019 (SUIT, 2021): authenticity and rollback protection of updates",
)  # fmt: skip
def no_origin(file: ModelFile) -> Iterator[Hit]:
    """A remark on nearly every model: the file itself does not say which version it is and who vouches for it.

    The format has no place for that, so it is looked for in the names of metadata entries. Most products sign the
    package around the model, which this rule cannot see; hence no severity and low confidence. What a device does with
    models that come as updates is asked by the rules about products.
    """
    model = model_of(file)
    names = [entry.name for entry in model.metadata if entry.name != "min_runtime_version"]
    tree_version = any(isinstance(e["content"], dict) and e["content"].get("version") for e in metadata_of(file))
    missing = []
    if not tree_version and not any(_VERSION.search(name) for name in names):
        missing.append("version or rollback counter")
    if not any(_SIGNATURE.search(name) for name in names):
        missing.append("signature or digest")
    if missing:
        at = int.from_bytes(bytes(file.data[:4]), "little")
        yield Hit(f"No metadata entry is named like a {', or like a '.join(missing)}.", Location(file_offset=at))


@rule(
    "PROV-02", "The file describes itself", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-200", threats="M5", fix=_STRIP, source=_EXTRACTION,
)  # fmt: skip
def describes(file: ModelFile) -> Iterator[Hit]:
    """Description, author, license and version that people wrote in tell what the model is for and whose it is.

    What converters write by themselves does not count.
    """
    yield from _hit(authorship(model_of(file), _data(file), metadata_of(file)))


@rule(
    "PROV-03", "An absolute path of a build machine", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-200 CWE-497", threats="M5", fix=_STRIP, source=_EXTRACTION,
)  # fmt: skip
def paths(file: ModelFile) -> Iterator[Hit]:
    """Paths in names and metadata tell user names, names of projects and data sets, and how the training was set up."""
    for text in _texts(file, "path"):
        user = _USER.search(text.text)
        whose = f" It names the user {user.group(1)!r}." if user else ""
        yield Hit(f"Text in the file: {text.text}.{whose}", Location(file_offset=text.offset))


@rule(
    "PROV-04", "The classes are named in the file", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-200", threats="M5", source=_EXTRACTION,
    fix="keep labels on the side that shows them to people; the device needs class numbers only",
)  # fmt: skip
def labels(file: ModelFile) -> Iterator[Hit]:
    """A list of labels, in metadata or in an archive behind the model, tells what each output means.

    With it an attacker knows which output to aim at, and sees in which field the product is used.
    """
    end = walk_of(file).end or None
    found = label_list(model_of(file), _data(file), end)
    if found is not None:
        shown = ", ".join(line[:40] for line in found.lines[:5])
        yield Hit(f"{len(found.lines)} labels, such as: {shown}.", Location(file_offset=found.offset))


@rule(
    "PROV-05", "Tensor names tell how the model was made", subject=Subject.MODEL, severity=Severity.NONE,
    confidence=Confidence.HIGH, cwe="CWE-200", threats="M5", fix=_STRIP, source=_EXTRACTION,
)  # fmt: skip
def names(file: ModelFile) -> Iterator[Hit]:
    """A remark: names of layers show the framework and the architecture that the model was trained as.

    Converters keep them by default, so nearly every model has them. The graph shows most of this without names.
    """
    yield from _hit(telling_names(model_of(file), _data(file)))


@rule(
    "PROV-06", "The training and conversion tools are named", subject=Subject.MODEL, severity=Severity.NONE,
    confidence=Confidence.HIGH, cwe="CWE-200", threats="M5", fix=_STRIP, source=_EXTRACTION,
)  # fmt: skip
def tools(file: ModelFile) -> Iterator[Hit]:
    """A remark: converter, its version and settings, in the description and in metadata that converters write."""
    yield from _hit(tool_marks(model_of(file), _data(file), metadata_of(file)))


@rule(
    "PROV-07", "What looks like a credential", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-798 CWE-312", threats="M5 S12",
    fix="revoke the credential, and remove it from the file", source=_EXTRACTION,
)  # fmt: skip
def credentials(file: ModelFile) -> Iterator[Hit]:
    """Keys of well-known forms, private keys in PEM, and texts such as `api_key=...`. Messages show four characters."""
    for text in _texts(file, "secret"):
        yield Hit(f"Text in the file: {text.text}.", Location(file_offset=text.offset))


@rule(
    "PROV-08", "An address", subject=Subject.MODEL, severity=Severity.LOW, confidence=Confidence.MEDIUM,
    cwe="CWE-200", threats="M5", fix=_STRIP, source=_EXTRACTION,
)  # fmt: skip
def addresses(file: ModelFile) -> Iterator[Hit]:
    """Addresses of mail and of the web tell persons, companies and servers behind the model."""
    for text in _texts(file, "contact"):
        yield Hit(f"Text in the file: {text.text}.", Location(file_offset=text.offset))


@rule(
    "PROV-09", "A decision threshold is in the clear", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-312", threats="M5", source=_EXTRACTION,
    fix="keep thresholds where they can be changed and protected, or accept that they are known",
)  # fmt: skip
def thresholds(file: ModelFile) -> Iterator[Hit]:
    """An operator that compares with one constant, or a text such as `threshold: 0.8`.

    Who knows the threshold knows how close an input has to come.
    """
    for op, told in constant_thresholds(model_of(file)):
        yield from (Hit(hit.message, hit.location.model_copy(update={"op": op.index})) for hit in _hit(told))
    for text in _texts(file, "threshold"):
        yield Hit(f"Text in the file: {text.text}.", Location(file_offset=text.offset))
