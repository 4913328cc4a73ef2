"""Profiling: which samples of a window speak of which input values, and how.

The attacker has the same firmware with the same weights and chooses the inputs. What a sample shows is found by
correlation with everything that a kernel may hold in a register or on the bus at that time: codes, codes with the
offset, products, sums, weights, by Hamming weight or by the distance of any two of them that are few products apart.
A sample that shows several at once (a register and the bus) is explained by the sum of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product as pairs_of

import numpy as np
from numpy.typing import NDArray

EXPLAINED = 0.97
"""Share of a sample's variance that its terms must explain; others are left out."""
GOOD = 0.02
"""Spread up to which no further term is looked for."""
DIGITS = 5
"""Of correlations that are compared: of equals the first is taken."""
POOR = 0.1
"""Spread from which single bits are tried instead."""
TERMS = 4
LEAST = 0.35
"""Correlation of a further term with what is left; chance stays below 0.25 with `ROWS` known inputs."""
ROWS = 384
"""Known inputs from which the points of a window are found."""
BLOCK = 24
"""Products whose samples are looked at together."""
LAG = 4
"""Products between two words whose distance is looked at: kernels unroll four."""
BEFORE, AFTER = 8, 40
"""Samples around those of a block that may speak of it."""


@dataclass(frozen=True)
class Word:
    """A word that a kernel holds.

    Kinds: X code, F code with the offset, P product, S sum after a group, W weight, each of 32 bits; B and V are code
    and weight as bytes on the bus; L four codes as they are loaded, E two codes with the offset as halfwords; a digit
    is that bit of the code.
    """

    kind: str
    at: int
    """Number of the product, or of the group (S)."""
    of: int = 0
    """Which of the channels that are summed together (P, S, W, V)."""


Values = NDArray[np.int32]


@dataclass(frozen=True)
class Term:
    """A Hamming weight, the distance of two words, or both, with the units of the trace for each bit."""

    gain: float
    first: Word
    second: Word | None = None
    with_weight: bool = False
    """Weight of the first word beside its distance from the second."""

    @property
    def kind(self) -> str:
        """weight, distance or both."""
        return "weight" if self.second is None else "both" if self.with_weight else "distance"

    def count(self, first: Values | None, second: Values | None) -> NDArray[np.float32]:
        """Bits for given words, which broadcast."""
        assert first is not None
        if second is None:
            return _bits(first)
        return _bits(first ^ second) + (_bits(first) if self.with_weight else 0)


def _bits(words: Values) -> NDArray[np.float32]:
    return np.bitwise_count(np.ascontiguousarray(words, np.int32).view(np.uint32)).astype(np.float32)


@dataclass(frozen=True)
class Spoken:
    """A sample and what explains it."""

    sample: int
    terms: tuple[Term, ...]
    spread: float
    """Standard deviation of what the terms leave, without noise."""


@dataclass(frozen=True)
class Known:
    """Values of all words for known inputs of windows with the same code.

    Args:
        codes: (n, k) by number of the product.
        weights: (n, c, k) of the channels that are summed together.
        offset: added to codes.
        groups: products that are added at once.
    """

    codes: NDArray[np.int32]
    weights: NDArray[np.int32]
    offset: int
    groups: Sequence[tuple[int, ...]]

    def __post_init__(self) -> None:
        moved = self.codes + np.int32(self.offset)
        products = moved[:, None, :] * self.weights
        added = np.stack([products[:, :, list(group)].sum(2, dtype=np.int32) for group in self.groups], axis=2)
        self.__dict__.update(
            _moved=moved, _products=products, _sums=np.cumsum(added, axis=2, dtype=np.int32)
        )  # frozen, and worked out once

    def word(self, word: Word) -> NDArray[np.int32]:
        """(n,) its values."""
        moved, products, sums = (self.__dict__[name] for name in ("_moved", "_products", "_sums"))
        match word.kind:
            case "X":
                made = self.codes[:, word.at]
            case "F":
                made = moved[:, word.at]
            case "P":
                made = products[:, word.of, word.at]
            case "S":
                made = sums[:, word.of, word.at]
            case "W":
                made = self.weights[:, word.of, word.at]
            case "B":
                made = self.codes[:, word.at] & 0xFF
            case "V":
                made = self.weights[:, word.of, word.at] & 0xFF
            case "L":
                bytes_ = self.codes[:, word.at : word.at + 4] & 0xFF
                made = (bytes_ << np.array([0, 8, 16, 24], np.int32)).sum(1).astype(np.int32)
            case "E":
                low, high = moved[:, word.at], moved[:, word.at + 2]
                made = (low & 0xFFFF) | (high << 16)
            case _:
                made = (self.codes[:, word.at] >> int(word.kind)) & 1
        return np.ascontiguousarray(made, np.int32)

    def bits(self, term: Term) -> NDArray[np.float32]:
        """(n,) bits of a term."""
        return term.count(self.word(term.first), None if term.second is None else self.word(term.second))

    def explained(self, spoken: Spoken) -> NDArray[np.float32]:
        """(n,) what the terms of a sample give."""
        total = np.zeros(len(self.codes), np.float32)
        for term in spoken.terms:
            total += np.float32(term.gain) * self.bits(term)
        return total


def find(
    signal: NDArray[np.float32],
    known: Known,
    classes: NDArray[np.int64],
    begins: NDArray[np.int64],
    *,
    packed: bool,
    mixed: bool,
) -> tuple[Spoken, ...]:
    """Samples that speak.

    Args:
        signal: (n, t) without noise.
        known: what the device computed with.
        classes: (n,) levels may differ between these.
        begins: (k,) first sample that depends on each input value.
        packed: codes are loaded four at a time.
        mixed: the probe sees weights and distances at once.
    """
    centered = _centered(signal, classes)
    varied = (centered * centered).sum(0) > 1e-6
    found: dict[int, Spoken] = {}
    for start in range(0, known.codes.shape[1], BLOCK):
        block = range(start, min(start + BLOCK, known.codes.shape[1]))
        low, high = int(begins[block].min()) - BEFORE, int(begins[block].max()) + AFTER
        samples = np.arange(max(low, 0), min(high, signal.shape[1]))
        samples = samples[varied[samples]]
        if len(samples):
            terms = list(_terms(known, block, packed, mixed))
            for spoken in _block(centered[:, samples], samples, known, classes, terms):
                if spoken.sample not in found or spoken.spread < found[spoken.sample].spread:
                    found[spoken.sample] = spoken
    for sample in np.flatnonzero(varied).tolist():
        if sample not in found or found[sample].spread > POOR:
            other = _by_bits(sample, centered, known, classes, begins)
            if other is not None and (sample not in found or other.spread < found[sample].spread / 2):
                found[sample] = other
    return tuple(found[sample] for sample in sorted(found))


def _block(
    centered: NDArray[np.float32],
    samples: NDArray[np.int64],
    known: Known,
    classes: NDArray[np.int64],
    terms: Sequence[Term],
) -> Iterator[Spoken]:
    """What explains the samples of some products."""
    columns = _centered(np.stack([known.bits(term) for term in terms], axis=1), classes)
    length = np.sqrt((columns * columns).sum(0))
    unit = (columns / np.where(length > 1e-3, length, np.inf)).astype(np.float32)
    scale = np.sqrt((centered * centered).sum(0))
    likeness = np.abs(unit.T @ (centered / scale)).round(DIGITS)
    for place, sample in enumerate(samples):
        chosen = _pursued(centered[:, place], unit, [int(likeness[:, place].argmax())])
        spoken = _fitted(int(sample), centered[:, place], columns[:, chosen], [terms[i] for i in chosen])
        if spoken is not None:
            yield spoken


def _fitted(
    sample: int, values: NDArray[np.float32], columns: NDArray[np.float32], terms: Sequence[Term]
) -> Spoken | None:
    """The gains of terms; None where they do not explain the sample."""
    basis = columns.astype(np.float64)
    gains, *_ = np.linalg.lstsq(basis, values.astype(np.float64), rcond=None)
    rest = values - basis @ gains
    if 1 - float((rest * rest).sum()) / float((values.astype(np.float64) ** 2).sum()) < EXPLAINED:
        return None
    with_gain = tuple(replace(term, gain=float(gain)) for gain, term in zip(gains, terms, strict=True))
    return Spoken(sample, with_gain, float(rest.std()))


def _by_bits(
    sample: int, centered: NDArray[np.float32], known: Known, classes: NDArray[np.int64], begins: NDArray[np.int64]
) -> Spoken | None:
    """By single bits of the latest value, where that meets something constant (Schindler, Lemke, Paar, CHES 2005)."""
    if not (begins <= sample).any():
        return None
    latest = int(np.flatnonzero(begins == begins[begins <= sample].max())[0])
    terms = [Term(1.0, Word(str(bit), latest)) for bit in range(8)]
    columns = _centered(np.stack([known.bits(term) for term in terms], axis=1), classes)
    return _fitted(sample, centered[:, sample], columns, terms)


def _pursued(sample: NDArray[np.float32], unit: NDArray[np.float32], chosen: list[int]) -> list[int]:
    """Orthogonal matching pursuit: further terms for what is left (Pati, Rezaiifar, Krishnaprasad, Asilomar 1993)."""
    while len(chosen) < TERMS:
        basis = unit[:, chosen]
        rest = sample - basis @ np.linalg.lstsq(basis, sample, rcond=None)[0]
        size = float(np.sqrt((rest * rest).sum()))
        if size < GOOD * np.sqrt(len(sample)):
            break
        likeness = np.abs(unit.T @ rest) / size
        best = int(likeness.round(DIGITS).argmax())
        if likeness[best] < LEAST or best in chosen:
            break
        chosen.append(best)
    return chosen


def _terms(known: Known, block: range, packed: bool, mixed: bool) -> Iterator[Term]:
    """Terms that the samples of some products may show, the plainest first: of equals the first is taken."""
    last = {k: g for g, group in enumerate(known.groups) for k in group}
    together = range(known.weights.shape[1])
    for k in block:
        words = [Word("X", k), Word("F", k), *(Word("S", last[k], c) for c in together)]
        words += [*(Word("P", k, c) for c in together), Word("B", k)]
        yield from (Term(1.0, word) for word in words)
    if packed:
        yield from (Term(1.0, Word("L", k)) for k in block if k + 4 <= known.codes.shape[1])
        yield from (Term(1.0, Word("E", k)) for k in block if k + 2 < known.codes.shape[1])
    for first, second in _neighbors(known, block, packed, last):
        yield Term(1.0, first, second)
        if mixed and first.kind not in "BV":
            yield Term(1.0, first, second, with_weight=True)
            if first.kind != "S":
                yield Term(1.0, second, first, with_weight=True)


def _neighbors(
    known: Known, block: range, packed: bool, last: Mapping[int, int]
) -> Iterator[tuple[Word, Word]]:  # fmt: skip
    """Words that may follow each other in a register, or on the bus."""
    for k in block:
        if last[k]:
            every = range(known.weights.shape[1])
            yield from ((Word("S", last[k], c), Word("S", last[k] - 1, c)) for c in every)
    for k, lag in pairs_of(block, range(LAG + 1)):
        if k - lag < 0 or packed:
            continue
        for first, second in pairs_of("XFPW", repeat=2):
            if (first, second) != ("W", "W") and (lag or first < second):
                yield Word(first, k), Word(second, k - lag)
        if lag < 2:
            yield from ((Word(a, k), Word(b, k - lag)) for a, b in pairs_of("BV", repeat=2) if (a, b) != ("V", "V"))


def _centered(values: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Without the mean of each class."""
    made = values.astype(np.float32, copy=True)
    for each in np.unique(classes):
        made[classes == each] -= made[classes == each].mean(0)
    return made
