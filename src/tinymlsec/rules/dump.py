"""DUMP: whether an image locks its own readout, and what whoever reads it out gets."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._image_places import at_address
from tinymlsec.rules._readout import OFF, ON, readouts
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ImageFile

_MANUALS = (
    "reference manuals of the parts (ST RM0008, RM0090, RM0351; NXP UM10360; Nordic nRF52840 PS), as in _readout.py"
)


@rule(
    "DUMP-01", "Readout protection is switched off", subject=Subject.IMAGE, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-1191 CWE-1244", threats="H9",
    fix="program the level that production units shall have, the permanent one where the part has it",
    source=_MANUALS,
)  # fmt: skip
def protection_off(file: ImageFile) -> Iterator[Hit]:
    """The image sets the part's readout protection to its open state (STM32 option bytes, nRF52 APPROTECT, Kinetis
    FSEC, LPC code read protection).

    Images that hold no such setting give no finding: production may set it elsewhere.
    """
    for found in readouts(file):
        if found.state == OFF:
            yield Hit(f"{found.what}; expected: a locked level.", at_address(file, found.address))


@rule(
    "DUMP-02", "Readout protection can be lowered", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-1191", threats="H9",
    fix="use the permanent level where products are not to be serviced; keep secrets out of reach of one readout",
    source=f"{_MANUALS}; Obermaier and Tatschner, Shedding too much Light, WOOT 2017",
)  # fmt: skip
def protection_lowered(file: ImageFile) -> Iterator[Hit]:
    """The image sets a level that a debugger can undo, if at the price of an erase.

    Erasing takes the content with it, as designed; on several parts that step has been got around.
    """
    for found in readouts(file):
        if found.state == ON:
            yield Hit(f"{found.what}; expected: a permanent level.", at_address(file, found.address))


@rule(
    "DUMP-03", "A readout gives the model", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-312 CWE-311", threats="M5",
    fix="encrypt the model with a key of the device, or accept that its worth ends with the first opened unit",
    source="Sun et al., Mind Your Weight(s), USENIX Security 2021",
)  # fmt: skip
def gives_model(file: ImageFile) -> Iterator[Hit]:
    """What the holder of this image has, in one sentence: models as files, how many weights of them, and labels.

    Reported for model files that lie in the stored bytes as they are (found by the scanner's carving or given beside
    the image). One finding an image.
    """
    plain = [(at, model) for model in file.models if (at := _stored_at(file, model)) is not None]
    if not plain:
        return
    weights, labels = (sum(column) for column in zip(*(_contents(model) for _, model in plain), strict=True))
    text = f"{len(plain)} model file{'s' if len(plain) > 1 else ''} with {weights:,} weights and biases in the clear"
    said = f"{text}{f' and {labels} labels' if labels else ''}; expected: none without the device's key."
    yield Hit(said, at_address(file, plain[0][0]) if plain else Location())


def _stored_at(file: ImageFile, model: bytes) -> int | None:
    """Load address of a model file in the stored bytes; None where it lies there in another form or not at all."""
    for address, data in file.image.stored():
        at = data.find(model) if model else -1
        if at >= 0:
            return address + at
    return None


def _contents(data: bytes) -> tuple[int, int]:
    """(weights and biases, labels) of a model file; zeros where it cannot be read."""
    from tinymlsec.target.tflite.facts import parameter_count
    from tinymlsec.target.tflite.reader import read_model

    try:
        model = read_model(data)
    except ModelFileError:
        return 0, 0
    labels = 0
    for entry in model.metadata:
        lines = bytes(model.buffers[entry.buffer].data[:65_536]).rstrip(b"\0").split(b"\n")
        texts = [line for line in lines if line.strip() and line.isascii() and len(line) <= 80]
        labels = max(labels, len(texts) if len(texts) > 1 and len(texts) >= len(lines) - 1 else 0)
    return parameter_count(model), labels
