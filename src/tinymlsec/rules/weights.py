"""WEIGHT: are constants weights, or do they carry something else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tinymlsec.errors import ModelFileError
from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules import _weight_statistics as statistics
from tinymlsec.rules._metadata import compression_buffers
from tinymlsec.rules._payloads import LEAST_TEXT, in_parts, programs, texts
from tinymlsec.rules._places import at_buffer, model_of
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile
from tinymlsec.target.tflite.constant import constant
from tinymlsec.target.tflite.graph import Buffer, Model, Subgraph, Tensor
from tinymlsec.target.tflite.schema import byte_size, element_dtype

_HIDING = "Wang et al., EvilModel, ISCC 2021; Liu et al., StegoNet, ACSAC 2020"
_COMPARE = "compare the tensor with the one of the trained model; convert again from the source"
LEAST_BYTES = 512
"""Bytes of a constant from which its content is looked at."""
MAX_LOOKED = 16 << 20
"""Bytes of one constant that are looked at; the largest of a microcontroller's model are below 1 MiB."""
LEAST_HIDDEN_TEXT = 32
"""Characters of the shortest text that counts in planes of least significant bits."""
LEAST_PATTERN = 1024
LARGE_UNUSED = 64
"""Bytes of an unused buffer that are worth a finding; converters leave none, editors leave crumbs."""
OUTSTANDING = 64.0
"""Times the median from which a channel stands out. Over 56 tensors of 8 or more channels of eleven public models the
largest was 16.4."""


@dataclass(frozen=True)
class _Constant:
    """A buffer with content, and the first tensor that uses it."""

    buffer: Buffer
    raw: NDArray[np.uint8]
    """Its bytes, the first `MAX_LOOKED` of them."""
    graph: Subgraph | None = None
    tensor: Tensor | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.buffer.data)

    @property
    def width(self) -> int:
        element = element_dtype(self.tensor.dtype) if self.tensor else None
        return 1 if element is None else element.itemsize

    @property
    def name(self) -> str:
        if self.tensor is None:
            return f"buffer {self.buffer.index}, which no tensor uses"
        return f'tensor {self.tensor.index} ("{self.tensor.name[:60]}")'


def _constants(file: ModelFile) -> list[_Constant]:
    """Buffers of tensors and buffers that nothing uses, once each; metadata are looked at by PROV."""
    if "constants" not in file.memo:
        model = model_of(file)
        users: dict[int, tuple[Subgraph, Tensor]] = {}
        for graph in model.subgraphs:
            for tensor in graph.tensors:
                users.setdefault(tensor.buffer, (graph, tensor))
        named = {entry.buffer for entry in model.metadata} | compression_buffers(model)
        file.memo["constants"] = [
            _Constant(buffer, np.frombuffer(buffer.data[:MAX_LOOKED], np.uint8), *users.get(buffer.index, (None, None)))
            for buffer in model.buffers
            if len(buffer.data) and (buffer.index in users or buffer.index not in named)
        ]
    constants: list[_Constant] = file.memo["constants"]
    return constants


def _looked_at(file: ModelFile, least: int = LEAST_BYTES) -> Iterator[_Constant]:
    for item in _constants(file):
        text = item.tensor is not None and item.tensor.dtype == "string"
        if item.raw.size >= least and not text:
            yield item


def _plain_weights(file: ModelFile, least: int = LEAST_BYTES) -> Iterator[_Constant]:
    """Without packed tensors, whose bytes are indices or a code: they have another size than shape and type say."""
    for item in _looked_at(file, least):
        if item.tensor is None or byte_size(item.tensor.dtype, math.prod(item.tensor.shape)) == item.size:
            yield item


def _at(model: Model, item: _Constant, within: int = 0) -> Location:
    several = item.graph is not None and len(model.subgraphs) > 1
    place = at_buffer(model, item.buffer.index, within, None if item.tensor is None else item.tensor.index)
    return place.model_copy(update={"subgraph": item.graph.index}) if several and item.graph else place


@rule(
    "WEIGHT-01", "A program or archive in a constant", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-506 CWE-912", threats="S3 S14", fix=_COMPARE, source=_HIDING,
)  # fmt: skip
def program(file: ModelFile) -> Iterator[Hit]:
    """Weights have room for megabytes that no tool looks at. A model file has carried malware past scanners that way.

    Looked for are the first bytes of programs, scripts and archives at any place of a constant or of an unused buffer,
    each checked further: an ELF header must be consistent, a zip entry must have a plausible name, a gzip stream must
    unpack. By chance they turn up in uniformly random bytes less than once in 2^40 places. Of one kind the first place
    in a constant is told.
    """
    items = list(_looked_at(file, 16))
    told: set[tuple[int, str]] = set()
    for number, found in in_parts([item.raw.tobytes() for item in items], programs):
        item = items[number]
        if (number, found.what) in told:
            continue
        told.add((number, found.what))
        text = f"{found.what[:1].upper()}{found.what[1:]} begins {found.offset} bytes into {item.name}."
        yield Hit(text, _at(model_of(file), item, found.offset))


@rule(
    "WEIGHT-02", "Text in a constant", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-506 CWE-200", threats="S3 M5", fix=_COMPARE, source=_HIDING,
)  # fmt: skip
def text(file: ModelFile) -> Iterator[Hit]:
    """Readable text, base64 or hexadecimal digits among weights: a script, a key, or a note that got there by mistake.

    Text is a run of 48 printable characters with words and blanks, code a run of 64 digits of base64; tensors of type
    string are exempt. See `_payloads.texts` for why weights do not look like that by chance.
    """
    items = list(_looked_at(file, LEAST_TEXT))
    told: set[int] = set()
    for number, found in in_parts([item.raw.tobytes() for item in items], texts):
        if number not in told:
            told.add(number)
            name = items[number].name
            text = f"{name[:1].upper()}{name[1:]} holds {found.what}."
            yield Hit(text, _at(model_of(file), items[number], found.offset))


@rule(
    "WEIGHT-03", "A message in the least significant bits", subject=Subject.MODEL, severity=Severity.HIGH,
    confidence=Confidence.HIGH, cwe="CWE-506 CWE-912", threats="S3", fix=_COMPARE, source=_HIDING,
)  # fmt: skip
def low_bits(file: ModelFile) -> Iterator[Hit]:
    """The lowest bits of weights can be exchanged without the model losing much, so messages are put there.

    Programs, archives and text are looked for in what the lowest bits spell: for bytes the lowest bit of each, packed
    from either end; for 16 and 32 bits the lowest byte of each element, and for 32 bits the two and three lowest. A
    message that is encrypted or begins later looks like noise here; WEIGHT-04 may see it in narrow tensors of int8.
    """
    streams: dict[str, list[tuple[_Constant, bytes]]] = {}
    for item in _plain_weights(file):
        for how, stream in _planes(item):
            streams.setdefault(how, []).append((item, stream))
    told: set[int] = set()
    for how, parts in streams.items():
        for search in (programs, partial(texts, least=LEAST_HIDDEN_TEXT)):
            for number, found in in_parts([stream for _, stream in parts], search):
                item = parts[number][0]
                if item.buffer.index not in told:
                    told.add(item.buffer.index)
                    message = f"The {how} of {item.name} spell {found.what}, from position {found.offset}."
                    yield Hit(message, _at(model_of(file), item))


def _planes(item: _Constant) -> Iterator[tuple[str, bytes]]:
    if item.tensor is None:
        return
    if item.width == 1:
        bits = item.raw & 1
        yield "lowest bits, the first one highest,", np.packbits(bits).tobytes()
        yield "lowest bits, the first one lowest,", np.packbits(bits, bitorder="little").tobytes()
    elif item.raw.size % item.width == 0:
        elements = item.raw.reshape(-1, item.width)
        for count in (1, 2, 3)[: item.width - 1]:
            yield f"{count} lowest bytes", elements[:, :count].tobytes()


@rule(
    "WEIGHT-04", "Least significant bits are random where they should not be", subject=Subject.MODEL,
    severity=Severity.MEDIUM, confidence=Confidence.MEDIUM, cwe="CWE-506", threats="S3", fix=_COMPARE,
    source="Westfeld and Pfitzmann, Attacks on Steganographic Systems, Information Hiding 1999; adapted",
)  # fmt: skip
def pairs(file: ModelFile) -> Iterator[Hit]:
    """A message in the lowest bits makes the two values of each pair (2k, 2k + 1) equally frequent.

    The test compares, within the histogram of one int8 tensor, the differences inside pairs with those between
    neighbours of different pairs. Trained weights show no preference; the limit is 6 standard deviations. It can only
    see a message where the histogram is steep, in tensors of many weights that are narrow (a standard deviation of
    about 10 steps or less); it is blind to wide ones and to messages in a small share of the weights. The documentation
    of the model rules has the measured rates.
    """
    model = model_of(file)
    for item in _plain_weights(file, statistics.LEAST_PAIRS):
        if item.tensor is not None and item.tensor.dtype == "int8":
            score = statistics.pair_score(item.raw.view(np.int8))
            if score is not None and score > statistics.PAIR_LIMIT:
                yield Hit(
                    f"In {item.name} values that differ in the lowest bit only are equally frequent, by {score:.1f} "
                    f"standard deviations; expected below {statistics.PAIR_LIMIT:g}.",
                    _at(model, item),
                )


@rule(
    "WEIGHT-05", "A constant looks encrypted or random", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.MEDIUM, cwe="CWE-506 CWE-912", threats="S3", fix=_COMPARE, source=_HIDING,
)  # fmt: skip
def random_bytes(file: ModelFile) -> Iterator[Hit]:
    """Trained weights gather around zero. Bytes that are uniformly distributed are no such weights.

    They are encrypted or compressed data, or weights of a layer that was never trained. Tested is the most significant
    byte of each element, in tensors of 2,048 elements or more, block by block (4,096 elements) in those of 8,192 or
    more: chi-square with 255 degrees of freedom below 340, where uniform bytes lie in all but 3 of 10,000 cases. In the
    52 such constants of eleven public models the lowest value was 722.
    """
    model = model_of(file)
    for item in _plain_weights(file, statistics.LEAST_UNIFORM):
        found = statistics.random_run(item.raw, item.width)
        if found is not None:
            yield Hit(
                f"{found.count:,} elements of {item.name}, from number {found.first}, are uniformly distributed "
                f"(chi-square {found.chi_square:.0f} at 255 degrees of freedom); expected weights, far above "
                f"{statistics.UNIFORM_LIMIT:.0f}.",
                _at(model, item, found.first * item.width),
            )


@rule(
    "WEIGHT-06", "One channel is far larger than the others", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.LOW, cwe="CWE-506 CWE-1039", threats="M1 M2 S3",
    fix="look at what the channel reacts to; compare with the trained model",
    source="Gu et al., BadNets, IEEE Access 2019 (weights of a trigger stand out); own threshold",
)  # fmt: skip
def outstanding(file: ModelFile) -> Iterator[Hit]:
    """A channel whose largest weight is 64 times the median of its layer decides alone whenever it reacts.

    Faults of memory, hand-made edits and some back doors look like that. Only tensors of float, or with a scale for
    each channel, and with at least eight channels that are not zero are looked at.
    """
    model = model_of(file)
    for item in _looked_at(file, 64):
        tensor = item.tensor
        q = tensor.quantization if tensor is not None else None
        if tensor is None or len(tensor.shape) < 2 or not (tensor.dtype == "float32" or (q and q.per_channel)):
            continue
        axis = q.dimension if q and q.per_channel else 0
        values = _values(model, tensor) if item.size <= MAX_LOOKED else None
        if values is None or not 0 <= axis < values.ndim or not values.size:
            continue
        found = statistics.outstanding_channel(values, q.scale if q else np.ones(1, np.float32), axis)
        if found is not None and found[1] > OUTSTANDING:
            within = found[0] * (item.raw.size // values.shape[0]) if axis == 0 else 0
            yield Hit(
                f"Channel {found[0]} of {item.name} has weights up to {found[1]:.0f} times the median of its channels; "
                f"expected at most {OUTSTANDING:.0f}.",
                _at(model, item, within),
            )


def _values(model: Model, tensor: Tensor) -> NDArray[np.generic] | None:
    try:
        return constant(model, tensor)
    except ModelFileError:
        return None


@rule(
    "WEIGHT-07", "A constant repeats a pattern", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-1164 CWE-506", threats="S3", fix=_COMPARE,
    source="Own rule: filler, and memory that was never written, repeat",
)  # fmt: skip
def pattern(file: ModelFile) -> Iterator[Hit]:
    """A block of 2 to 64 bytes that fills a constant of 1,024 bytes or more is no result of training.

    It is filler (`DE AD BE EF`), memory that nobody wrote, or a table. A tensor filled with one value does not count.
    """
    model = model_of(file)
    for item in _plain_weights(file, LEAST_PATTERN):
        length = statistics.period(item.raw, item.width)
        if length is not None:
            shown = item.raw[:length].tobytes()[:16].hex(" ")
            yield Hit(f"{item.raw.size:,} bytes of {item.name} repeat {length} bytes, from {shown}.", _at(model, item))


@rule(
    "WEIGHT-08", "A buffer that nothing uses", subject=Subject.MODEL, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-1164 CWE-506", threats="S3", fix="convert again; unused buffers have no use",
    source=_HIDING,
)  # fmt: skip
def unused(file: ModelFile) -> Iterator[Hit]:
    """A buffer of 64 bytes or more that no tensor, metadata entry or compression table refers to.

    It costs flash and is the simplest place to carry something in: no runtime ever looks at it.
    """
    model = model_of(file)
    for item in _constants(file):
        if item.tensor is None and item.buffer.index and item.size >= LARGE_UNUSED:
            yield Hit(f"Buffer {item.buffer.index} holds {item.size:,} bytes that nothing uses.", _at(model, item))


@rule(
    "WEIGHT-09", "A weight that is no number", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-1284 CWE-682", threats="S3 M1",
    fix="find out where training or conversion broke; do not deploy", source="IEEE 754; own rule",
)  # fmt: skip
def not_a_number(file: ModelFile) -> Iterator[Hit]:
    """An infinite weight, or one that is not a number, makes every output that depends on it useless.

    A comparison with such a result is always false, so a detector never fires. An infinite number that stands alone is
    a bound for the operators that clip, and no weight.
    """
    model = model_of(file)
    for item in _constants(file):
        if item.tensor is None or item.tensor.dtype not in ("float32", "float16", "float64"):
            continue
        if item.raw.size % item.width == 0:
            values = item.raw.view(f"<f{item.width}")
            bad = np.flatnonzero(~np.isfinite(values) if values.size > 1 else np.isnan(values))
            if bad.size:
                first = int(bad[0])
                text = f"{bad.size} of {values.size} values of {item.name} are infinite or no numbers"
                yield Hit(f"{text}, the first is number {first}.", _at(model, item, first * item.width))
